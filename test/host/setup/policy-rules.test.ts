import { describe, expect, it } from 'vitest';
import { hidingNothing, rulesIn, withoutRules, withRules } from '../../../lib/host/setup/policy-rules.ts';

const rule = (path: string, capabilities: string) =>
  `path "${path}" {\n  capabilities = [${capabilities}]\n}\n`;
const policy = `# One.\n${rule('a', '"read"')}\n# Two.\n${rule('b/*', '"list", "update"')}`;

describe('rules of a policy', () => {
  it('are read as the files write them', () => {
    expect(rulesIn(policy)).toEqual([
      { path: 'a', capabilities: ['read'] },
      { path: 'b/*', capabilities: ['list', 'update'] },
    ]);
    expect(rulesIn('# None.\n')).toEqual([]);
  });

  it('are added to those that are there, once for each path', () => {
    const more = [
      { path: 'c', capabilities: ['update'] },
      { path: 'a', capabilities: ['create', 'read'] },
      { path: 'c', capabilities: ['read'] },
    ];
    expect(withRules(policy, more)).toBe(
      `# One.\n${rule('a', '"create", "read"')}\n# Two.\n${rule('b/*', '"list", "update"')}\n${rule('c', '"read", "update"')}`,
    );
    expect(withRules(policy, [])).toBe(policy);
  });

  it('are taken out again without a trace', () => {
    const more = ['c', 'd', 'e'].map((path) => ({ path, capabilities: ['read'] }));
    const wide = withRules(policy, more);
    expect(withoutRules(wide, ({ path }) => path === 'd')).toBe(
      withRules(
        policy,
        more.filter(({ path }) => path !== 'd'),
      ),
    );
    expect(withoutRules(wide, ({ path }) => 'cde'.includes(path))).toBe(policy);
    expect(withoutRules(wide, () => false)).toBe(wide);
  });

  it('keep to their parameters, unless another rule of the path takes any', () => {
    const bounded = { path: 'k/config', capabilities: ['update'], parameters: ['min', 'max'] };
    const written = withRules('', [bounded, { ...bounded, parameters: ['min'] }]);
    expect(written).toContain('  allowed_parameters = { "max" = [], "min" = [] }\n');
    expect(rulesIn(written)).toEqual([{ ...bounded, parameters: ['max', 'min'] }]);
    expect(withRules(written.trimStart(), [{ path: 'k/config', capabilities: ['read'] }])).toContain(
      rule('k/config', '"read", "update"'),
    );
  });

  it('hide nothing of the closest rule with *', () => {
    const others = [
      { path: 'b/*', capabilities: ['list'] },
      { path: 'b/c/*', capabilities: ['read'] },
      { path: 'b/c/d', capabilities: ['delete'] },
    ];
    const hiding = (path: string) => hidingNothing([{ path, capabilities: ['update'] }], others)[0];
    expect(hiding('b/c/e')?.capabilities).toEqual(['update', 'read']);
    expect(hiding('b/x')?.capabilities).toEqual(['update', 'list']);
    expect(hiding('x')?.capabilities).toEqual(['update']);
    // Vault takes rules of one path together by itself.
    expect(hiding('b/c/d')?.capabilities).toEqual(['update']);
  });
});
