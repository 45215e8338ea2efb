/** One rule of an ACL policy. */
export interface PolicyRule {
  readonly path: string;
  readonly capabilities: readonly string[];
}

const RULE = /^path "([^"\n]*)" \{\n {2}capabilities = \[([^\]\n]*)\]\n\}\n/gm;

/** The rules of a policy, as the policy files write them. */
export function rulesIn(policy: string): readonly PolicyRule[] {
  return [...policy.matchAll(RULE)].map(([, path = '', list = '']) => ({
    path,
    capabilities: list.split(', ').map((one) => one.replaceAll('"', '')),
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

/**
 * The rules, none of which takes anything away. Of all rules that match a path Vault follows only the closest, so one for a single path
 * would hide what a rule with `*` in another policy of the same token allows there.
 */
export function hidingNothing(
  rules: readonly PolicyRule[],
  others: readonly PolicyRule[],
): readonly PolicyRule[] {
  return rules.map(({ path, capabilities }) => {
    if (others.some((other) => other.path === path)) return { path, capabilities };
    const [hidden] = others
      .filter((other) => other.path.endsWith('*') && path.startsWith(other.path.slice(0, -1)))
      .toSorted((a, b) => b.path.length - a.path.length);
    return { path, capabilities: [...capabilities, ...(hidden?.capabilities ?? [])] };
  });
}

function merged(rules: readonly PolicyRule[]): readonly PolicyRule[] {
  const byPath = new Map<string, Set<string>>();
  for (const { path, capabilities } of rules) {
    byPath.set(path, new Set([...(byPath.get(path) ?? []), ...capabilities]));
  }
  return [...byPath].map(([path, capabilities]) => ({ path, capabilities: [...capabilities].toSorted() }));
}

function hclOf({ path, capabilities }: PolicyRule): string {
  const list = capabilities.map((one) => `"${one}"`).join(', ');
  return `path "${path}" {\n  capabilities = [${list}]\n}\n`;
}
