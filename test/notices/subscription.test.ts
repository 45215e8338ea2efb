import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signingSecretsAt, subscriptionSchema, wants } from '../../lib/notices/subscription.ts';
import { disabled, expiring, NEW_SECRET, OLD_SECRET, rotated, subscriptionOf } from './events.ts';

const NOW = Date.UTC(2026, 10, 21);

const nameCharacter = fc.constantFrom(...'ab.-_*');
const plainName = fc.string({ unit: fc.constantFrom(...'ab.-_'), minLength: 1, maxLength: 12 });
const glob = fc.string({ unit: nameCharacter, minLength: 1, maxLength: 8 });

/** What a glob means, said in another way: one character after the other, every possibility tried. */
function meant(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  const rest = pattern.slice(1);
  if (pattern.startsWith('*')) return meant(rest, text) || (text !== '' && meant(pattern, text.slice(1)));
  return pattern[0] === text[0] && text !== '' && meant(rest, text.slice(1));
}

const wantsName = (pattern: string, name: string) =>
  wants(subscriptionOf({ names: [pattern] }), rotated(name));

describe('wants', () => {
  it.each<[string, string, boolean]>([
    ['*', 'app-database', true],
    ['app-database', 'app-database', true],
    ['app', 'app-database', false],
    ['app-*', 'app-database', true],
    ['*-database', 'app-database', true],
    ['a*-*e', 'app-database', true],
    ['app*app', 'app', false],
    ['a.p', 'abp', false],
  ])('the pattern %s for the name %s: %s', (pattern, name, wanted) => {
    expect(wantsName(pattern, name)).toBe(wanted);
  });

  it('means by a star any run of characters, and by anything else itself', () => {
    fc.assert(
      fc.property(glob, plainName, (pattern, name) => {
        expect(wantsName(pattern, name)).toBe(meant(pattern, name));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is decided at once for a pattern made to be slow', () => {
    // With a regular expression it never ends.
    expect(wantsName(`${'*a'.repeat(60)}*b`, 'a'.repeat(128))).toBe(false);
  });

  it('looks at the type of the event', () => {
    const secrets = subscriptionOf({ types: ['secret.*', 'subscription.disabled'] });

    expect(wants(secrets, rotated('app'))).toBe(true);
    expect(wants(secrets, disabled('other'))).toBe(true);
    expect(wants(secrets, expiring('app'))).toBe(false);
  });

  it('takes a name for the managed secret or any of its consumers, or the consumer of the lease', () => {
    const gateway = subscriptionOf({ names: ['api-gateway'] });

    expect(wants(gateway, rotated('api-gateway'))).toBe(true);
    expect(wants(gateway, rotated('app', ['inference-service', 'api-gateway']))).toBe(true);
    expect(wants(gateway, rotated('app', ['inference-service']))).toBe(false);
    expect(wants(gateway, expiring('api-gateway'))).toBe(true);
    expect(wants(gateway, expiring('inference-service'))).toBe(false);
  });

  it('is never so while disabled', () => {
    const off = subscriptionOf({ disabled: { at: NOW, reason: 'by_hand' } });

    expect(wants(off, rotated('app'))).toBe(false);
  });

  it('is never so for a test, which is recorded for the one that it is for', () => {
    const test = {
      ...disabled('_all:other'),
      type: 'subscription.test',
      data: { subscription: '_all:other' },
    } as const;

    expect(wants(subscriptionOf({ id: '_all:me' }), test)).toBe(false);
  });

  it('is limited to what concerns the consumer whose subscription it is', () => {
    const mine = subscriptionOf({ id: 'api-gateway:mine' });

    expect(wants(mine, rotated('app', ['inference-service', 'api-gateway']))).toBe(true);
    expect(wants(mine, rotated('app', ['inference-service']))).toBe(false);
    // A secret of that name is not one that the consumer uses.
    expect(wants(mine, rotated('api-gateway', []))).toBe(false);
    expect([wants(mine, expiring('api-gateway')), wants(mine, expiring('api-gateway-2'))]).toEqual([
      true,
      false,
    ]);
    expect(wants(mine, disabled('api-gateway:other'))).toBe(true);
    expect(wants(mine, disabled('inference-service:other'))).toBe(false);
    expect(wants(mine, disabled('_all:ops'))).toBe(false);
  });

  it.each(['mine', ':x', 'Api:x', 'api gateway:x', 'a:b/c', '_every:x', '_all:', '../x:y', 'a:b:c'])(
    'has no id %j',
    (id) => {
      expect(subscriptionSchema.safeParse(subscriptionOf({ id })).success).toBe(false);
    },
  );

  it('is never so for its own end, which could only be told where nobody listens', () => {
    expect(wants(subscriptionOf({ id: '_all:me' }), disabled('_all:me'))).toBe(false);
    expect(wants(subscriptionOf({ id: '_all:me' }), disabled('_all:other'))).toBe(true);
  });
});

describe('signing secrets', () => {
  const overlap = subscriptionOf({ secrets: [{ secret: OLD_SECRET, until: NOW }, { secret: NEW_SECRET }] });

  it('both sign until the older one is over', () => {
    expect(signingSecretsAt(overlap, NOW - 1)).toEqual([OLD_SECRET, NEW_SECRET]);
    expect(signingSecretsAt(overlap, NOW)).toEqual([NEW_SECRET]);
  });

  it('there is always one: a document without one that stays is refused', () => {
    const ending = subscriptionOf({ secrets: [{ secret: OLD_SECRET, until: NOW }] });

    expect(subscriptionSchema.safeParse(ending).success).toBe(false);
    expect(subscriptionSchema.safeParse({ ...ending, secrets: [] }).success).toBe(false);
    expect(subscriptionSchema.safeParse(overlap).success).toBe(true);
  });

  it('are never named by the error about a wrong one', () => {
    const wrong = `whsec_${'canary'.repeat(3)}`;
    const { error } = subscriptionSchema.safeParse(subscriptionOf({ secrets: [{ secret: wrong }] }));

    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual(['secrets.0.secret']);
    expect(JSON.stringify(error)).not.toContain('canary');
  });
});
