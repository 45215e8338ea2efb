import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderPolicy } from '../../../lib/host/setup/render-policy.ts';

/** As the policy files name a variable. */
const variable = (name: string) => `\${${name}}`;
const rule = (where: string, capabilities = '"update"') =>
  `path "${where}" {\n  capabilities = [${capabilities}]\n}\n`;
const template = `# A.\n${rule('sys/leases/renew')}\n# B.\n${rule(`${variable('namespace')}/sys/leases/renew`, '"sudo", "update"')}`;

describe('rendering a policy', () => {
  it('fills in every variable', () => {
    expect(renderPolicy(rule(`${variable('state')}/data/${variable('state')}`), { state: 'a/b' })).toBe(
      rule('a/b/data/a/b'),
    );
    expect(renderPolicy(template, { namespace: 'lotabots' })).toContain('path "lotabots/sys/leases/renew"');
  });

  it('keeps the first of two rules that have become one path, however the second differs', () => {
    expect(renderPolicy(template, { namespace: '' })).toBe(`# A.\n${rule('sys/leases/renew')}\n# B.\n`);
  });

  it.each(['a*', '+/b', 'a"b', 'a{b}', 'a b', 'a\nb', '/a', 'a/', 'a//b', variable('x')])(
    'refuses %j, which would mean something in a policy',
    (state) => {
      expect(() => renderPolicy(rule(`${variable('state')}/x`), { state })).toThrow(
        expect.objectContaining({ code: 'setup_path_unsafe' }),
      );
    },
  );

  it('refuses a variable that it does not know', () => {
    expect(() => renderPolicy(rule(`${variable('mount')}/x`), { state: 'a' })).toThrow(
      expect.objectContaining({ code: 'setup_policy_variable_unknown' }),
    );
  });

  it.each(['inference-service', 'api-gateway'])(
    'has nothing to fill in in the policy of %s',
    async (name) => {
      const file = path.resolve(import.meta.dirname, `../../../vault/policies/${name}.hcl`);
      const policy = await readFile(file, 'utf8');
      expect(renderPolicy(policy, {})).toBe(policy);
    },
  );
});
