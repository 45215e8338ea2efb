import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DISABLED_AFTER_MS,
  type Subscription,
  signingSecretsAt,
  subscriptionSchema,
  wants,
  withHealth,
} from '../../lib/notices/subscription.ts';
import { disabled, expiring, NEW_SECRET, OLD_SECRET, rotated, subscriptionOf } from './events.ts';

const NOW = Date.UTC(2026, 10, 21);
const HOUR = 3_600_000;

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

  it('is never so for its own end, which could only be told where nobody listens', () => {
    expect(wants(subscriptionOf({ id: 'me' }), disabled('me'))).toBe(false);
    expect(wants(subscriptionOf({ id: 'me' }), disabled('other'))).toBe(true);
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

describe('withHealth', () => {
  const attempts = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 40 * HOUR })), {
    maxLength: 60,
  });

  it('remembers since when it fails, and forgets it with the first success', () => {
    const fresh = subscriptionOf();
    const failing = withHealth(fresh, false, NOW);

    expect(failing.failing_since).toBe(NOW);
    expect(withHealth(failing, true, NOW + 1).failing_since).toBeUndefined();
  });

  it('writes on a change only', () => {
    const fresh = subscriptionOf();
    const failing = withHealth(fresh, false, NOW);

    expect(withHealth(fresh, true, NOW)).toBe(fresh);
    expect(withHealth(failing, false, NOW + DISABLED_AFTER_MS - 1)).toBe(failing);
  });

  it('disables exactly what has failed for five days on end', () => {
    fc.assert(
      fc.property(attempts, (history) => {
        let subscription: Subscription = subscriptionOf();
        let since: number | undefined;
        let expected: number | undefined;
        let now = NOW;
        for (const [delivered, later] of history) {
          now += later;
          since = delivered ? undefined : (since ?? now);
          if (since !== undefined && now - since >= 5 * 24 * HOUR) expected ??= now;
          subscription = withHealth(subscription, delivered, now);
          // A disabled one gets no more attempts.
          if (expected !== undefined) break;
        }
        expect(subscription.disabled).toEqual(
          expected === undefined ? undefined : { at: expected, reason: 'failing' },
        );
      }),
    );
  });
});
