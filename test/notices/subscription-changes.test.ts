import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcomeSchemas } from '../../lib/bus/events.ts';
import { createSigningSecret } from '../../lib/notices/signature.ts';
import { type Subscription, signingSecretsAt, subscriptionSchema } from '../../lib/notices/subscription.ts';
import {
  changed,
  DEFAULT_OVERLAP_MS,
  disabledByHand,
  enabled,
  isAlike,
  MOST_OLD_SECRETS,
  newSubscription,
  newSubscriptionSchema,
  showable,
  subscriptionChangesSchema,
  withNewSecret,
} from '../../lib/notices/subscription-changes.ts';
import { NEW_SECRET, OLD_SECRET, subscriptionOf } from './events.ts';

const NOW = Date.UTC(2026, 10, 21);
const HOUR = 3_600_000;
const url = 'https://hooks.example.com/';

/** The fields at fault, each with its message. */
function faults(schema: typeof newSubscriptionSchema | typeof subscriptionChangesSchema, input: unknown) {
  const { error } = schema.safeParse(input);
  return error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
}

describe('a subscription that is asked for', () => {
  it('hears of everything, for everybody, unless it says otherwise', () => {
    expect(newSubscriptionSchema.parse({ url })).toEqual({ url, types: ['*'], names: ['*'] });
  });

  it('becomes a document', () => {
    const wanted = newSubscriptionSchema.parse({
      consumer: 'api-gateway',
      url,
      types: ['secret.*', 'notices.batch'],
      names: ['app-*'],
      batch: '1m30s',
      cloudevents: true,
      description: 'Ours.',
    });
    const made = newSubscription(wanted, { id: 'api-gateway:1', secret: NEW_SECRET, now: NOW });
    expect(subscriptionSchema.parse(made)).toEqual({
      id: 'api-gateway:1',
      url,
      types: ['secret.*', 'notices.batch'],
      names: ['app-*'],
      batch_ms: 90_000,
      cloudevents: true,
      description: 'Ours.',
      created: NOW,
      secrets: [{ secret: NEW_SECRET }],
    });
  });

  it.each(Object.keys(outcomeSchemas).filter((type) => type !== 'subscription.test'))(
    'may name the type %s',
    (type) => {
      expect(faults(newSubscriptionSchema, { url, types: [type] })).toEqual([]);
    },
  );

  const misspelt = 'types.0: matches no type of notice; docs/events.md lists them';
  it.each<[string, object, string]>([
    ['a misspelt type', { types: ['secrets.*'] }, misspelt],
    ['a type in capitals', { types: ['Secret.rotated'] }, misspelt],
    ['a command, which is no notice', { types: ['rotation.due'] }, misspelt],
    ['one misspelt type of two', { types: ['lease.lots', 'lease.lost'] }, misspelt],
    [
      'nothing but batches',
      { types: ['notices.batch'] },
      'types: matches no event that a subscription hears of',
    ],
    [
      'nothing but tests',
      { types: ['subscription.test'] },
      'types: matches no event that a subscription hears of',
    ],
    ['no type', { types: [] }, 'types: expected at least one'],
    ['too many types', { types: Array(51).fill('*') }, 'types: expected at most 50'],
    ['no name', { names: [] }, 'names: expected at least one'],
    ['too many names', { names: Array(101).fill('*') }, 'names: expected at most 100'],
    ['a batch of no length', { batch: '0s' }, 'batch: expected at least 1s'],
    ['a batch too long', { batch: '61m' }, 'batch: expected at most 1h'],
    ['a batch in words', { batch: 'daily' }, 'batch: expected a duration such as 90s, 15m, 1h30m or 7d'],
    ['no endpoint', { url: '' }, 'url: expected a URL'],
    ['an endless endpoint', { url: `${url}${'x'.repeat(2_048)}` }, 'url: expected at most 2048 characters'],
    ['a long description', { description: 'x'.repeat(257) }, 'description: expected at most 256 characters'],
  ])('with %s is refused, where it is wrong', (_what, wrong, fault) => {
    expect(faults(newSubscriptionSchema, { url, ...wrong })).toEqual([fault]);
    expect(faults(subscriptionChangesSchema, wrong)).toEqual([fault]);
  });

  it.each([':x', 'a b', '', 'x'.repeat(129)])('cannot name %j', (name) => {
    expect(faults(newSubscriptionSchema, { url, names: [name] })).toEqual([
      expect.stringMatching(/^names\.0: expected letters, digits/),
    ]);
  });

  it.each(['_all', 'A', 'a/b', '', '-a', 'a'.repeat(64)])('cannot be of a consumer %j', (consumer) => {
    expect(faults(newSubscriptionSchema, { url, consumer })).toEqual([
      'consumer: expected lower-case letters, digits and dashes, at most 63 characters',
    ]);
  });

  it('says nothing else, and a change cannot move it to another owner', () => {
    for (const more of [{ secrets: [] }, { id: 'x' }, { disabled: null }, { batch_ms: 1_000 }]) {
      expect(faults(newSubscriptionSchema, { url, ...more })).toHaveLength(1);
      expect(faults(subscriptionChangesSchema, more)).toHaveLength(1);
    }
    expect(faults(subscriptionChangesSchema, { consumer: 'api-gateway' })).toHaveLength(1);
  });

  it('is there already when the same endpoint hears of the same, in whatever order', () => {
    const there = subscriptionOf({ url, types: ['secret.*', 'lease.*'] });
    const wanted = { url, types: ['lease.*', 'secret.*'], names: ['*'] };
    expect(isAlike(there, wanted)).toBe(true);
    expect(isAlike(there, { ...wanted, types: ['lease.*'] })).toBe(false);
    expect(isAlike(there, { ...wanted, names: ['a'] })).toBe(false);
    expect(isAlike(there, { ...wanted, url: `${url}other` })).toBe(false);
  });
});

describe('a change', () => {
  const stored = (subscription: Subscription) => JSON.parse(JSON.stringify(subscription));
  const before = subscriptionOf({ url, batch_ms: 30_000, description: 'Ours.', failing_since: 1, warned: 1 });

  it('leaves what it does not name', () => {
    expect(stored(changed(before, { types: ['secret.*'] }))).toEqual({ ...before, types: ['secret.*'] });
    expect(stored(changed(before, { names: ['a'], cloudevents: true, batch: 1_000 }))).toEqual({
      ...before,
      names: ['a'],
      cloudevents: true,
      batch_ms: 1_000,
    });
  });

  it('takes away what is null', () => {
    const { batch_ms: _, description: __, ...bare } = before;
    expect(stored(changed(before, { batch: null, description: null }))).toEqual(bare);
  });

  it('to another endpoint forgets that the old one failed', () => {
    const { failing_since: _, warned: __, ...well } = before;
    expect(stored(changed(before, { url: `${url}other` }))).toEqual({ ...well, url: `${url}other` });
  });

  it('that changes nothing is the same object', () => {
    expect(changed(before, {})).toBe(before);
    expect(changed(before, { url, types: ['*'], batch: 30_000, description: 'Ours.' })).toBe(before);
    expect(changed(before, { url: undefined, types: undefined, batch: undefined })).toBe(before);
  });
});

describe('disabled and enabled', () => {
  it('keeps the first reason', () => {
    const gone = subscriptionOf({ disabled: { at: 1, reason: 'gone' } });
    expect(disabledByHand(gone, NOW)).toBe(gone);
    expect(disabledByHand(subscriptionOf(), NOW).disabled).toEqual({ at: NOW, reason: 'by_hand' });
  });

  it('begins anew with its five days and its warnings', () => {
    const off = subscriptionOf({ disabled: { at: 1, reason: 'failing' }, failing_since: 1, warned: 2 });
    expect(enabled(off)).toEqual(subscriptionOf());
    const well = subscriptionOf();
    expect(enabled(well)).toBe(well);
  });
});

describe('a new signing secret', () => {
  const fresh = (byte: number) => createSigningSecret((size) => Buffer.alloc(size, byte));
  const rotate = (subscription: Subscription, secret: string, overlapMs = DEFAULT_OVERLAP_MS, now = NOW) =>
    withNewSecret(subscription, secret, { overlapMs, now });

  it('signs at once, and the old one until the overlap ends', () => {
    const after = rotate(subscriptionOf({ secrets: [{ secret: OLD_SECRET }] }), NEW_SECRET);
    expect(signingSecretsAt(after, NOW)).toEqual([NEW_SECRET, OLD_SECRET]);
    expect(signingSecretsAt(after, NOW + 24 * HOUR - 1)).toEqual([NEW_SECRET, OLD_SECRET]);
    expect(signingSecretsAt(after, NOW + 24 * HOUR)).toEqual([NEW_SECRET]);
  });

  it('for one that has leaked leaves none of the old ones', () => {
    const overlapping = rotate(subscriptionOf({ secrets: [{ secret: OLD_SECRET }] }), NEW_SECRET);
    expect(rotate(overlapping, fresh(3), 0).secrets).toEqual([{ secret: fresh(3) }]);
  });

  it('does not lengthen the time of those that are on their way out, and drops those that are over', () => {
    const first = rotate(subscriptionOf({ secrets: [{ secret: OLD_SECRET }] }), NEW_SECRET, HOUR);
    const second = rotate(first, fresh(3), 24 * HOUR, NOW + HOUR / 2);
    expect(signingSecretsAt(second, NOW + HOUR - 1)).toEqual([fresh(3), NEW_SECRET, OLD_SECRET]);
    expect(signingSecretsAt(second, NOW + HOUR)).toEqual([fresh(3), NEW_SECRET]);
    expect(rotate(first, fresh(3), HOUR, NOW + HOUR).secrets.map(({ secret }) => secret)).toEqual([
      fresh(3),
      NEW_SECRET,
    ]);
  });

  it('asked for again changes nothing', () => {
    const after = rotate(subscriptionOf({ secrets: [{ secret: OLD_SECRET }] }), NEW_SECRET);
    expect(rotate(after, NEW_SECRET)).toBe(after);
  });

  it('always leaves exactly one that stays, and at most ten that go', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ overlap: fc.integer({ min: 0, max: 50 }), later: fc.nat(20) }), {
          minLength: 1,
          maxLength: 30,
        }),
        (history) => {
          let now = NOW;
          let subscription = subscriptionOf({ secrets: [{ secret: OLD_SECRET }] });
          for (const [index, { overlap, later }] of history.entries()) {
            now += later * HOUR;
            subscription = rotate(subscription, fresh(index + 3), overlap * HOUR, now);
            const { secrets } = subscriptionSchema.parse(subscription);
            expect(secrets.filter(({ until }) => until === undefined)).toEqual([
              { secret: fresh(index + 3) },
            ]);
            expect(secrets.length).toBeLessThanOrEqual(1 + MOST_OLD_SECRETS);
            expect(secrets.every(({ until = now + 1 }) => until > now)).toBe(true);
          }
        },
      ),
    );
  });
});

describe('what is shown', () => {
  it('is all but the secrets, with times that people can read', () => {
    const all: Subscription = {
      id: 'api-gateway:1',
      url,
      description: 'Ours.',
      types: ['*'],
      names: ['*'],
      secrets: [{ secret: NEW_SECRET }, { secret: OLD_SECRET, until: NOW }],
      batch_ms: 90_000,
      cloudevents: true,
      created: NOW,
      disabled: { at: NOW, reason: 'gone' },
      failing_since: NOW,
      warned: 1,
    };
    const iso = '2026-11-21T00:00:00.000Z';
    expect(JSON.parse(JSON.stringify(showable(all)))).toEqual({
      id: 'api-gateway:1',
      consumer: 'api-gateway',
      url,
      description: 'Ours.',
      types: ['*'],
      names: ['*'],
      secrets: [{}, { until: iso }],
      batch: '1m30s',
      cloudevents: true,
      created: iso,
      disabled: { at: iso, reason: 'gone' },
      failing_since: iso,
      warned: 1,
    });
    expect(JSON.stringify(showable(subscriptionOf()))).not.toContain('consumer');
  });

  it('says a batch as it is asked for', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 3_600_000 }), (ms) => {
        const { batch } = showable(subscriptionOf({ batch_ms: ms }));
        expect(newSubscriptionSchema.parse({ url, batch }).batch).toBe(ms);
      }),
    );
  });
});
