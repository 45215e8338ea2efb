import { SetupError } from './setup-error.ts';

/** What may stand in for `${name}` in a policy file. An empty value vanishes together with the slash after it. */
export type PolicyValues = Readonly<Record<string, string>>;

/** Path segments of these only: `*` and `+` would widen the policy, quotes and braces would end the line. */
const SAFE_VALUE = /^[A-Za-z0-9_.~@=-]+(\/[A-Za-z0-9_.~@=-]+)*$/;
const VARIABLE = /\$\{([a-z_]+)\}(\/?)/g;
/** One rule of a policy, as the files write it: its path. */
const RULE = /^path "([^"\n]*)" \{\n(?: {2}[^\n]*\n)*\}\n/gm;

/**
 * A policy file with its variables filled in. Where `${namespace}` is empty, of rules that then have the same path the first stands.
 * Throws `setup_policy_variable_unknown`, and `setup_path_unsafe` for a value that would mean something in a policy.
 */
export function renderPolicy(template: string, values: PolicyValues): string {
  const filled = template.replace(VARIABLE, (_, name: string, slash: string) => {
    const value = values[name];
    if (value === undefined) throw unknownVariable(name);
    if (value === '') return slash === '' ? name : '';
    return `${safeValue(value)}${slash}`;
  });
  const seen = new Set<string>();
  const once = filled.replace(RULE, (rule, path: string) => {
    if (seen.has(path)) return '';
    seen.add(path);
    return rule;
  });
  return `${once.replace(/\n{3,}/g, '\n\n').trimEnd()}\n`;
}

/** A path that means only itself in a policy. Throws `setup_path_unsafe`. */
export function safeValue(value: string): string {
  if (SAFE_VALUE.test(value)) return value;
  throw unsafe(value);
}

/** The same for a name: one segment. */
export function safeName(name: string): string {
  if (!name.includes('/')) return safeValue(name);
  throw unsafe(name);
}

function unsafe(value: string): SetupError {
  return new SetupError('setup_path_unsafe', `${JSON.stringify(value)} cannot be written into a policy.`, {
    hint: 'Use letters, digits and _ . ~ @ = - in its segments: anything else could mean more than itself there.',
  });
}

function unknownVariable(name: string): SetupError {
  return new SetupError('setup_policy_variable_unknown', `A policy file names the variable ${name}.`, {
    hint: 'It is not one that setup gives. Check vault/policies against this version of Leasekeeper.',
  });
}
