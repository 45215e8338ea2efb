import { describe, expect, it } from 'vitest';
import { endOf, keyOf } from '../../lib/access/proof.ts';
import { Secret } from '../../lib/telemetry/secret.ts';

const withPayload = (payload: string) => new Secret(`e30.${Buffer.from(payload).toString('base64url')}.c2ln`);

describe('the end of a JWT', () => {
  it.each([
    ['is what it says, in milliseconds', '{"exp":1795262400}', 1_795_262_400_000],
    ['may be a fraction (RFC 7519, NumericDate)', '{"exp":1795262400.5}', 1_795_262_400_500],
    ['is unknown when it says none', '{"sub":"x"}', undefined],
    ['is unknown when it is no number', '{"exp":"1795262400"}', undefined],
    ['is unknown when it is no JSON', 'hunter2', undefined],
    ['is unknown when it is no object', 'null', undefined],
  ])('%s', (_, payload, end) => {
    expect(endOf(withPayload(payload))).toBe(end);
  });

  it.each(['', 'hunter2', 'a.', '.', 'a.%%%.c'])('is unknown of what is none: %j', (text) => {
    expect(endOf(new Secret(text))).toBeUndefined();
  });
});

describe('what stands for a proof', () => {
  it('is another for anything that differs', () => {
    const jwt = (text: string, role: string, mount?: string) =>
      keyOf({ kind: 'jwt', jwt: new Secret(text), role, ...(mount === undefined ? {} : { mount }) });
    const keys = [
      jwt('a', 'r', 'm'),
      jwt('b', 'r', 'm'),
      jwt('a', 's', 'm'),
      jwt('a', 'r', 'n'),
      jwt('m', 'r', 'a'),
      jwt('a', 'm', 'r'),
      keyOf({ kind: 'token', token: new Secret('a') }),
      keyOf({ kind: 'token', token: new Secret('b') }),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(jwt('a', 'r', 'm')).toBe(keys[0]);
    expect(keys.join()).not.toContain('hunter2');
  });
});
