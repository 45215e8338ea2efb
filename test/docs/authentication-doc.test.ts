import { describe, expect, it } from 'vitest';
import { VARIABLES } from '../../lib/host/config.ts';
import { AUTH_VARIABLES, authSettings } from '../../lib/secrets-manager/auth-configuration.ts';
import { readProjectFile } from './documents.ts';

/** What stands in code in a column of the tables of a document. */
function inTables(document: string, column: number): readonly string[] {
  return [...readProjectFile(document).matchAll(/^\|(.*)\|$/gm)].flatMap(([, row = '']) =>
    [...(row.split('|')[column] ?? '').matchAll(/`([A-Za-z_]+)`/g)].map(([, name = '']) => name),
  );
}

const settings = Object.keys(authSettings);
const variables = AUTH_VARIABLES.map(([, variable]) => variable);
const missingIn = (names: readonly string[], listed: readonly string[]) =>
  names.filter((name) => !listed.includes(name));

describe('the tables of the configuration', () => {
  it('list every variable of the functions', () => {
    expect(missingIn(VARIABLES, inTables('README.md', 0))).toEqual([]);
  });

  it('list every setting of a login, with its variable', () => {
    expect(missingIn(settings, inTables('README.md', 0))).toEqual([]);
    expect(missingIn(variables, inTables('README.md', 1))).toEqual([]);
  });
});

describe('docs/authentication.md', () => {
  it('lists every setting of a login, with its variable', () => {
    const own = settings.filter((name) => name !== 'service');
    expect(missingIn(own, inTables('docs/authentication.md', 0))).toEqual([]);
    expect(missingIn(variables, inTables('docs/authentication.md', 1))).toEqual([]);
  });

  it('names every method', () => {
    const text = readProjectFile('docs/authentication.md');
    const methods = authSettings.authMethod.unwrap().options;
    expect(methods.filter((method) => !new RegExp(`^\\| \\[\`${method}\`\\]`, 'm').test(text))).toEqual([]);
  });

  it('says what was not tried', () => {
    expect(readProjectFile('docs/authentication.md')).toContain('never run against a HashiCorp Vault');
  });
});
