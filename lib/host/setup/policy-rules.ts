/** One rule of an ACL policy. */
export interface PolicyRule {
  readonly path: string;
  readonly capabilities: readonly string[];
  /** The only parameters that a request may have; any when left out. */
  readonly parameters?: readonly string[];
}

const RULE =
  /^path "([^"\n]*)" \{\n {2}capabilities = \[([^\]\n]*)\]\n(?: {2}allowed_parameters = \{([^}\n]*)\}\n)?\}\n/gm;

/** The rules of a policy, as the policy files write them. */
export function rulesIn(policy: string): readonly PolicyRule[] {
  return [...policy.matchAll(RULE)].map(([, path = '', list = '', parameters]) => ({
    path,
    capabilities: quotedIn(list),
    ...(parameters === undefined ? {} : { parameters: quotedIn(parameters) }),
  }));
}

/** The policy with further rules. Rules of one path become one, so that whoever reads the policy sees at once what a path allows. */
export function withRules(policy: string, rules: readonly PolicyRule[]): string {
  const wanted = merged(rules);
  const there = new Set(rulesIn(policy).map(({ path }) => path));
  const widened = policy.replace(RULE, (rule) => {
    const [known] = rulesIn(rule);
    const more = wanted.filter(({ path }) => path === known?.path);
    return known === undefined || more.length === 0
      ? rule
      : merged([known, ...more])
          .map(hclOf)
          .join('');
  });
  return [widened, ...wanted.filter(({ path }) => !there.has(path)).map(hclOf)].join('\n');
}

/** The policy without some of its rules: what `withRules` added is gone without a trace. */
export function withoutRules(policy: string, isGone: (rule: PolicyRule) => boolean): string {
  return policy.replace(new RegExp(`\\n${RULE.source}`, RULE.flags), (text) => {
    const [rule] = rulesIn(text);
    return rule !== undefined && isGone(rule) ? '' : text;
  });
}

/**
 * The rules, none of which takes anything away. Of all rules that match a path Vault follows only the closest, so one for a single path
 * would hide what a rule with `*` in another policy of the same token allows there.
 */
export function hidingNothing(
  rules: readonly PolicyRule[],
  others: readonly PolicyRule[],
): readonly PolicyRule[] {
  return rules.map((rule) => {
    const { path, capabilities } = rule;
    if (others.some((other) => other.path === path)) return rule;
    const [hidden] = others
      .filter((other) => other.path.endsWith('*') && path.startsWith(other.path.slice(0, -1)))
      .toSorted((a, b) => b.path.length - a.path.length);
    if (hidden === undefined) return rule;
    // What the hidden rule allows is not bounded to parameters.
    return { path, capabilities: [...capabilities, ...hidden.capabilities] };
  });
}

function quotedIn(list: string): readonly string[] {
  return [...list.matchAll(/"([^"]*)"/g)].map(([, one = '']) => one);
}

function merged(rules: readonly PolicyRule[]): readonly PolicyRule[] {
  return [...new Set(rules.map(({ path }) => path))].map((path) => {
    const ofPath = rules.filter((rule) => rule.path === path);
    const capabilities = [...new Set(ofPath.flatMap((rule) => rule.capabilities))].toSorted();
    // One that takes any parameter makes all of them do so.
    const parameters = ofPath.map((rule) => rule.parameters).filter((some) => some !== undefined);
    if (parameters.length < ofPath.length) return { path, capabilities };
    return { path, capabilities, parameters: [...new Set(parameters.flat())].toSorted() };
  });
}

function hclOf({ path, capabilities, parameters }: PolicyRule): string {
  const list = capabilities.map((one) => `"${one}"`).join(', ');
  const only =
    parameters === undefined
      ? ''
      : `  allowed_parameters = { ${parameters.map((one) => `"${one}" = []`).join(', ')} }\n`;
  return `path "${path}" {\n  capabilities = [${list}]\n${only}}\n`;
}
