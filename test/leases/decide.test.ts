import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  afterPublishing,
  afterRenewal,
  asFinal,
  canBeKept,
  claimEnd,
  decide,
  finalDue,
  handoverStart,
  isDue,
  isTaken,
  type LeasePolicy,
  type RenewalOutcome,
  renewalDue,
  withNotice,
} from '../../lib/leases/decide.ts';
import type { CareEntry, LeaseEntry } from '../../lib/leases/entry.ts';
import { lease, leasesAround, moments, policies, token } from './entries.ts';

const POLICY: LeasePolicy = { scanIntervalMs: 60_000, lookAheadMs: 70_000 };
const NOW = 1_800_000_000_000;
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const granted = (ttlSeconds: number, renewable = true): RenewalOutcome => ({
  kind: 'granted',
  ttlSeconds,
  renewable,
});

describe('when a lease is due', () => {
  it('is at 2/3 of what was granted, less up to a tenth, the same on every machine', () => {
    fc.assert(
      fc.property(fc.string(), moments, fc.integer({ min: 1, max: 10_000_000 }), (id, from, seconds) => {
        const share = (renewalDue(id, from, seconds * 1_000) - from) / (seconds * 1_000);
        expect(share).toBeGreaterThan(0.598);
        expect(share).toBeLessThanOrEqual(2 / 3);
        expect(renewalDue(id, from, seconds * 1_000)).toBe(renewalDue(id, from, seconds * 1_000));
      }),
    );
  });

  it('spreads leases that were issued together', () => {
    const dues = Array.from({ length: 1_000 }, (_, n) => renewalDue(`lease ${n}`, 0, 3_600_000));
    expect(Math.max(...dues) - Math.min(...dues)).toBeGreaterThan(230_000);
    expect(new Set(dues).size).toBeGreaterThan(950);
  });

  it('never waits longer than 0.67 of its TTL while it can be renewed', () => {
    fc.assert(
      fc.property(moments, fc.integer({ min: 1, max: 1_000_000 }), fc.string(), (now, ttl, id) => {
        const after = afterRenewal(lease({ id, ttl, claim: 'me' }), granted(ttl), now, POLICY, Math.random);
        expect(after?.due).toBeLessThanOrEqual(now + ttl * 1_000 * 0.67);
        expect(after?.expire).toBe(now + ttl * 1_000);
        expect(after?.claim).toBeUndefined();
        expect(after?.final).toBeFalsy();
      }),
    );
  });

  it('is not kept when its TTL is under three scan intervals', () => {
    expect(canBeKept(179, POLICY)).toBe(false);
    expect(canBeKept(180, POLICY)).toBe(true);
  });
});

describe('which entries a visit takes', () => {
  it('takes what is due within the look-ahead, and its neighbours within 5% of their TTL', () => {
    expect(isDue(lease({ due: NOW + 70_000 }), NOW, POLICY)).toBe(true);
    expect(isDue(lease({ due: NOW + 70_001 }), NOW, POLICY)).toBe(false);
    expect(isTaken(lease({ due: NOW + 250_000 }), NOW, POLICY)).toBe(true);
    expect(isTaken(lease({ due: NOW + 250_001 }), NOW, POLICY)).toBe(false);
    // Retries are spaced on purpose: they are not drawn forward.
    expect(isTaken(lease({ due: NOW + 250_000, failures: 1 }), NOW, POLICY)).toBe(false);
  });

  it('never takes what another worker has claimed before the claim runs out, however far it looks ahead', () => {
    fc.assert(
      fc.property(leasesAround(NOW), policies, fc.nat(10_000_000), (entry, policy, later) => {
        const claimed = { ...entry, claim: 'another', due: claimEnd(entry, NOW) };
        const now = NOW + later;
        expect(isTaken(claimed, now, policy)).toBe(now >= claimed.due);
        expect(isDue(claimed, now, policy)).toBe(now >= claimed.due);
      }),
    );
  });

  it('claims for at most two minutes and a quarter of the life left, and never under five seconds', () => {
    fc.assert(
      fc.property(leasesAround(NOW), (entry) => {
        const claim = claimEnd(entry, NOW) - NOW;
        expect(claim).toBeGreaterThanOrEqual(5_000);
        expect(claim).toBeLessThanOrEqual(120_000);
        expect(claim).toBeLessThanOrEqual(Math.max(5_000, (entry.expire - NOW) / 4));
      }),
    );
  });
});

describe('what is decided', () => {
  it('never mints: there is no decision that makes a new credential', () => {
    const kinds = ['wait', 'publish', 'look-for-opening', 'renew', 'announce', 'retire', 'forget'];
    fc.assert(
      fc.property(leasesAround(NOW), policies, (entry, policy) => {
        expect(kinds).toContain(decide(entry, NOW, policy).kind);
      }),
      { numRuns: 1_000 },
    );
  });

  it('never renews a final lease, nor forgets one that may still be alive', () => {
    fc.assert(
      fc.property(leasesAround(NOW), policies, (entry, policy) => {
        const { kind } = decide(entry, NOW, policy);
        if (entry.final) expect(kind).not.toBe('renew');
        if (kind === 'forget') expect(entry.final && entry.expire <= NOW).toBe(true);
        if (kind === 'retire') expect(entry.retire_at).toBeLessThanOrEqual(NOW);
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['a lease in its life', lease({ expire: NOW + 1_000_000 }), { kind: 'renew' }],
    ['a lease past its end of which nothing is known', lease({ expire: NOW - 1 }), { kind: 'renew' }],
    ['a wrapped lease', lease({ wrap: { accessor: 'a', expire: NOW } }), { kind: 'look-for-opening' }],
    ['a final lease before its handover', lease({ final: true, expire: NOW + 3_600_000 }), { kind: 'wait' }],
    [
      'a final lease in it',
      lease({ final: true, expire: NOW + 700_000 }),
      { kind: 'announce', notice: 'expiring' },
    ],
    [
      'a final lease that was told',
      lease({ final: true, told: ['expiring'], expire: NOW + 1 }),
      { kind: 'wait' },
    ],
    ['the same at its end', lease({ final: true, told: ['expiring'], expire: NOW }), { kind: 'forget' }],
    ['a replaced lease in its grace', lease({ retire_at: NOW + 1, expire: NOW + 60_000 }), { kind: 'wait' }],
    ['a replaced lease after it', lease({ retire_at: NOW, expire: NOW + 60_000 }), { kind: 'retire' }],
    [
      'a replaced lease that ends before it',
      lease({ retire_at: NOW + 60_000, expire: NOW + 1 }),
      { kind: 'renew' },
    ],
    ['a lease whose loss is not told', lease({ unpublished: ['lost'] }), { kind: 'publish' }],
    ['a token', token({ expire: NOW + 1 }), { kind: 'renew' }],
    ['a final token', token({ final: true, expire: NOW + 1 }), { kind: 'wait' }],
    ['a final token at its end', token({ final: true, expire: NOW }), { kind: 'forget' }],
  ] satisfies readonly (readonly [string, CareEntry, unknown])[])('%s', (_, entry, decision) => {
    expect(decide(entry, NOW, POLICY)).toEqual(decision);
  });

  it('goes on renewing while the bus does not take the news that renewal is failing', () => {
    const failing = afterRenewal(
      lease({ expire: NOW + 600_000 }),
      { kind: 'failed' },
      NOW,
      POLICY,
      () => 0.5,
    );
    expect(failing).toMatchObject({ unpublished: ['renewal_failing'] });
    expect(failing && decide(failing, failing.due, POLICY)).toEqual({ kind: 'renew' });
  });
});

describe('the handover', () => {
  it('begins before the end by the largest of a fifth of the TTL, two scan intervals, and what was asked for', () => {
    const ahead = (changes: Partial<LeaseEntry>, policy = POLICY) => {
      const entry = lease({ expire: NOW, ...changes });
      return NOW - handoverStart(entry, policy);
    };
    expect(ahead({ ttl: 3_600 })).toBe(720_000);
    expect(ahead({ ttl: 300 })).toBe(120_000);
    expect(ahead({ ttl: 300, handover: 150_000 })).toBe(150_000);
    expect(ahead({ ttl: 3_600, handover: 150_000 })).toBe(720_000);
    expect(ahead({ ttl: 3_600 }, { scanIntervalMs: 600_000, lookAheadMs: 0 })).toBe(1_200_000);
  });

  it('is what a final lease waits for, and then its end', () => {
    const final = asFinal(lease({ claim: 'me', failures: 3 }), NOW, POLICY);
    expect(final).toMatchObject({ final: true, expire: NOW, due: NOW - 720_000, failures: 0 });
    expect(final.claim).toBeUndefined();
    expect(finalDue({ ...final, told: ['expiring'] }, POLICY)).toBe(NOW);
    expect(finalDue({ ...final, retire_at: NOW - 900_000 }, POLICY)).toBe(NOW - 900_000);
    expect(asFinal(token(), NOW, POLICY).due).toBe(NOW);
  });
});

describe('after a renewal', () => {
  it('takes a lease that was granted noticeably less than asked for as final', () => {
    const ttl = (seconds: number) => afterRenewal(lease(), granted(seconds), NOW, POLICY, Math.random);
    expect(ttl(3_420)?.final).toBeFalsy();
    expect(ttl(3_419)).toMatchObject({ final: true, expire: NOW + 3_419_000 });
    expect(afterRenewal(lease(), granted(3_600, false), NOW, POLICY, Math.random)?.final).toBe(true);
  });

  it('takes a lease as final once it reaches the life its consumer asked for', () => {
    const until = (end: number) =>
      afterRenewal(lease({ until: end }), granted(3_600), NOW, POLICY, Math.random);
    expect(until(NOW + 3_600_001)?.final).toBeFalsy();
    expect(until(NOW + 3_600_000)).toMatchObject({ final: true });
  });

  it('does not put off a lease that is to be retired', () => {
    const replaced = lease({ retire_at: NOW + 90_000 });
    expect(afterRenewal(replaced, granted(3_600), NOW, POLICY, Math.random)?.due).toBe(NOW + 90_000);
  });

  it('keeps the end of a lease that cannot be renewed', () => {
    expect(
      afterRenewal(lease({ expire: NOW }), { kind: 'not-renewable' }, NOW, POLICY, Math.random),
    ).toMatchObject({ final: true, expire: NOW });
  });

  it('retries at a quarter of the life left, from 5 s to 5 min, and never past the end while 5 s are left', () => {
    fc.assert(
      fc.property(leasesAround(NOW), random, (entry, number) => {
        fc.pre(entry.expire + entry.ttl * 1_000 >= NOW);
        const failed = afterRenewal(entry, { kind: 'failed' }, NOW, POLICY, () => number);
        const wait = (failed?.due ?? 0) - NOW;
        const left = entry.expire - NOW;
        if (entry.told?.includes('renewal_failing') || entry.due > NOW + 330_000) {
          expect(wait).toBeGreaterThanOrEqual(4_499);
        }
        expect(wait).toBeLessThanOrEqual(330_000);
        if (left >= 5_000) expect(wait).toBeLessThanOrEqual(left);
        if (left >= 40_000) expect(wait).toBeLessThanOrEqual(left * 0.275);
        expect(failed?.expire).toBe(entry.expire);
        expect(failed?.failures).toBe((entry.failures ?? 0) + 1);
      }),
      { numRuns: 1_000 },
    );
  });

  it('tries once more before the end even when only five seconds are left', () => {
    const last = afterRenewal(lease({ expire: NOW + 5_000 }), { kind: 'failed' }, NOW, POLICY, () => 0.99);
    expect(last?.due).toBeLessThanOrEqual(NOW + 5_000);
  });

  it('gives a lease up that no renewal of ours can have kept alive, though Vault will not say so', () => {
    const entry = lease({ expire: NOW });
    const failed = (now: number, one: CareEntry = entry) =>
      afterRenewal(one, { kind: 'failed' }, now, POLICY, Math.random);
    expect(failed(NOW + 3_600_000)).toMatchObject({ unpublished: ['renewal_failing'] });
    expect(failed(NOW + 3_600_001)).toMatchObject({ unpublished: ['lost'] });
    expect(failed(NOW + 3_600_001, token({ expire: NOW }))).toBeUndefined();
  });

  it('tells of a lost lease at once, and lets a lost token go', () => {
    expect(afterRenewal(lease({ due: NOW + 9 }), { kind: 'lost' }, NOW, POLICY, Math.random)).toMatchObject({
      unpublished: ['lost'],
      due: NOW,
    });
    expect(afterRenewal(token(), { kind: 'lost' }, NOW, POLICY, Math.random)).toBeUndefined();
  });

  it('drops the news of a failure once it is none any more, and tells a later one again', () => {
    const failing = withNotice(lease(), 'renewal_failing', NOW);
    const well = afterRenewal(failing, granted(3_600), NOW, POLICY, Math.random);
    expect(well).toMatchObject({ told: [], unpublished: [], failures: 0 });
    const again = well && afterRenewal(well, { kind: 'failed' }, NOW, POLICY, Math.random);
    expect(again).toMatchObject({ told: ['renewal_failing'], unpublished: ['renewal_failing'] });
  });
});

describe('the life of a lease', () => {
  const outcomes = fc.oneof(
    { weight: 8, arbitrary: fc.constant(granted(3_600)) },
    { weight: 3, arbitrary: fc.constant<RenewalOutcome>({ kind: 'failed' }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 3_599 }).map((seconds) => granted(seconds)) },
    { weight: 1, arbitrary: fc.constantFrom<RenewalOutcome>({ kind: 'lost' }, { kind: 'not-renewable' }) },
  );
  const steps = fc.array(fc.record({ outcome: outcomes, late: fc.nat(120_000), published: fc.boolean() }), {
    maxLength: 60,
    size: 'max',
  });

  it('tells each thing once, however often it is looked at and however late', () => {
    fc.assert(
      fc.property(steps, random, (played, number) => {
        const told = play(played, number);
        expect(told.filter((one) => one === 'expiring').length).toBeLessThanOrEqual(1);
        expect(told.filter((one) => one === 'lost').length).toBeLessThanOrEqual(1);
        // Of two failures told, a renewal that worked stands between.
        const failing = told.filter((one) => one === 'renewal_failing' || one === 'renewed');
        expect(failing.join(' ')).not.toContain('renewal_failing renewal_failing');
      }),
      { numRuns: 1_000 },
    );
  });

  interface PlayedStep {
    readonly outcome: RenewalOutcome;
    readonly late: number;
    readonly published: boolean;
  }

  function play(played: readonly PlayedStep[], number: number): string[] {
    const told: string[] = [];
    let entry: LeaseEntry | undefined = lease({ due: NOW, expire: NOW + 3_600_000 });
    let now = NOW;
    for (const { outcome, late, published } of played) {
      now = Math.max(now, entry.due) + late;
      const decision = decide(entry, now, POLICY);
      if (decision.kind === 'forget') break;
      if (decision.kind === 'announce') entry = withNotice(entry, decision.notice, now);
      if (decision.kind === 'renew') {
        if (outcome.kind === 'granted') told.push('renewed');
        const after = afterRenewal(entry, outcome, now, POLICY, () => number);
        if (after?.kind !== 'lease') break;
        entry = after;
      }
      if (!published || !entry.unpublished?.length) continue;
      told.push(...entry.unpublished);
      entry = afterPublishing(entry, entry.unpublished, POLICY);
      if (entry === undefined) break;
    }
    return told;
  }
});
