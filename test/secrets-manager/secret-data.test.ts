import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { SecretData } from '../../lib/secrets-manager/secret-data.ts';
import { redact } from '../../lib/telemetry/redaction.ts';
import { isSecret } from '../../lib/telemetry/secret.ts';

const CANARY = 'canary-5d0e';

test('gives its fields, anything but a string as JSON', () => {
  const data = new SecretData({ password: CANARY, port: 5432, nested: { a: [1] }, nothing: null });
  expect(data.names()).toEqual(['password', 'port', 'nested', 'nothing']);
  expect(data.get('password')).toBe(CANARY);
  expect(data.get('port')).toBe('5432');
  expect(data.get('nested')).toBe('{"a":[1]}');
  expect(data.get('nothing')).toBe('null');
  expect(data.has('toString')).toBe(false);
});

test('a missing field is an error that names the fields and no value', () => {
  const data = new SecretData({ password: CANARY });
  expect(() => data.get('__proto__')).toThrow(
    expect.objectContaining({ code: 'secret_field_missing', hint: 'Its fields are: password.' }),
  );
});

test('prints as [secret] however it is printed', () => {
  const data = new SecretData({ password: CANARY, nested: { deep: CANARY } });
  const secret = { path: 'a', data };
  const prints = [
    inspect(secret, { depth: 9, showHidden: true, getters: true }),
    inspect(data, { customInspect: false, showHidden: true, getters: true }),
    JSON.stringify(secret),
    `${data}`,
    JSON.stringify({ ...data }),
    JSON.stringify(redact(secret)),
    JSON.stringify(structuredClone(data)),
  ];
  for (const print of prints) expect(print).not.toContain(CANARY);
  expect(isSecret(data)).toBe(true);
});

test('is a copy, frozen through and through: callers share it', () => {
  const given = { nested: { list: ['a'] } };
  const data = new SecretData(given);
  given.nested.list.push('b');
  const { nested } = data.expose();
  expect(nested).toEqual({ list: ['a'] });
  expect(Object.isFrozen(nested)).toBe(true);
  expect(Object.isFrozen(data.expose())).toBe(true);
});
