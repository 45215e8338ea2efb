import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  afterFailure,
  afterGrant,
  asFinal,
  decide,
  endOf,
  handoverWindowMs,
  type LeasePolicy,
  type LeaseState,
  nextLook,
  type ParentView,
} from '../../lib/secrets-manager/lease-decision.ts';

const IMMORTAL: ParentView = { expiresAt: Number.POSITIVE_INFINITY, superseded: false };
const START = 1_700_000_000_000;

const seconds = fc.integer({ min: 1, max: 3_000_000 });
const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const policies: fc.Arbitrary<LeasePolicy> = fc.record({ overlapMs: fc.integer({ min: 0, max: 600_000 }) });
const parents: fc.Arbitrary<ParentView> = fc.record({
  expiresAt: fc.oneof(
    fc.constant(Number.POSITIVE_INFINITY),
    seconds.map((ttl) => START + ttl * 1_000),
  ),
  superseded: fc.boolean(),
});

/** A lease right after it was issued, renewed or refused. */
const states: fc.Arbitrary<{ state: LeaseState; policy: LeasePolicy }> = fc
  .record({
    ttl: seconds,
    grantShare: fc.oneof(fc.constant(1), share),
    renewable: fc.boolean(),
    random: share,
    failedAt: fc.option(share, { nil: undefined }),
    policy: policies,
  })
  .map(({ ttl, grantShare, renewable, random, failedAt, policy }) => {
    const ttlMs = ttl * 1_000;
    const grant = { ttlMs: Math.max(1_000, ttlMs * grantShare), renewable };
    const state = afterGrant(ttlMs, grant, START, policy, () => random);
    if (failedAt === undefined) return { state, policy };
    const now = START + grant.ttlMs * failedAt;
    return { state: afterFailure(state, IMMORTAL, now, () => random), policy };
  });

describe('decide', () => {
  test('from the end of the lease or of its token on, nothing but the end', () => {
    fc.assert(
      fc.property(states, parents, share, ({ state, policy }, parent, late) => {
        const now = endOf(state, parent) + late * 10_000;
        expect(decide(state, parent, now, policy)).toBe('end');
      }),
    );
  });

  test('no new credential while life is safe: renewable, its token in use, more than the window left', () => {
    fc.assert(
      fc.property(states, share, ({ state, policy }, at) => {
        fc.pre(!state.final);
        const safeUntil = state.expiresAt - handoverWindowMs(state.ttlMs, policy);
        const now = START + (safeUntil - START) * at;
        fc.pre(now < safeUntil);
        expect(['wait', 'renew']).toContain(decide(state, IMMORTAL, now, policy));
      }),
    );
  });

  test('waits up to the next look, and does something at it', () => {
    fc.assert(
      fc.property(states, parents, share, ({ state, policy }, parent, at) => {
        const look = nextLook(state, parent);
        expect(look).toBeLessThanOrEqual(endOf(state, parent));
        expect(decide(state, parent, look, policy)).not.toBe('wait');
        if (look > START)
          expect(decide(state, parent, START + (look - START) * at * 0.999, policy)).toBe('wait');
      }),
    );
  });

  test('a lease whose token was superseded is replaced at once', () => {
    const state = afterGrant(
      3_600_000,
      { ttlMs: 3_600_000, renewable: true },
      START,
      { overlapMs: 0 },
      () => 0,
    );
    const parent = { expiresAt: START + 60_000, superseded: true };
    expect(decide(state, parent, START + 1, { overlapMs: 0 })).toBe('replace');
  });

  test('a lease that turned out not to be renewable is final', () => {
    const policy = { overlapMs: 60_000 };
    const state = afterGrant(3_600_000, { ttlMs: 3_600_000, renewable: true }, START, policy, () => 0);
    const final = asFinal(state, policy);
    expect(decide(final, IMMORTAL, START + 2_400_001, policy)).toBe('wait');
    expect(decide(final, IMMORTAL, START + 2_880_001, policy)).toBe('replace');
  });
});

describe('a whole life', () => {
  const lives = fc.record({
    ttl: fc.integer({ min: 2, max: 100_000 }),
    times: share,
    random: share,
    policy: policies,
  });

  test('is renewed to its max TTL and handed over with the whole window left, in few requests', () => {
    fc.assert(
      fc.property(lives, ({ ttl, times, random, policy }) => {
        const ttlMs = ttl * 1_000;
        const maxEnd = START + Math.floor(ttlMs * (1 + 20 * times));
        // As Vault answers: the increment or what is left of the max TTL, in whole seconds.
        const grantAt = (now: number) => ({
          ttlMs: Math.min(ttlMs, Math.floor((maxEnd - now) / 1_000) * 1_000),
          renewable: true,
        });
        let state = afterGrant(ttlMs, grantAt(START), START, policy, () => random);
        let requests = 0;
        for (;;) {
          const now = nextLook(state, IMMORTAL);
          const action = decide(state, IMMORTAL, now, policy);
          if (action === 'replace') {
            // Unless the last renewal was granted less than the window to begin with.
            const left = Math.min(handoverWindowMs(ttlMs, policy), maxEnd - now - 1_000);
            expect(state.expiresAt - now).toBeGreaterThanOrEqual(left - 1);
            return;
          }
          expect(action).toBe('renew');
          state = afterGrant(ttlMs, grantAt(now), now, policy, () => random);
          requests += 1;
          expect(requests).toBeLessThanOrEqual(40);
        }
      }),
    );
  });

  test('when every renewal fails: ever later tries, few of them, all before the end', () => {
    fc.assert(
      fc.property(lives, ({ ttl, random, policy }) => {
        const ttlMs = ttl * 1_000;
        let state = afterGrant(ttlMs, { ttlMs, renewable: true }, START, policy, () => random);
        let tries = 0;
        let last = START;
        for (;;) {
          const now = nextLook(state, IMMORTAL);
          expect(now).toBeGreaterThan(last);
          if (decide(state, IMMORTAL, now, policy) === 'end') break;
          last = now;
          state = afterFailure(state, IMMORTAL, now, () => random);
          tries += 1;
        }
        // A third of the longest life here at five minutes a try, then quarters down to a second.
        expect(tries).toBeLessThanOrEqual(30 + ttlMs / 3 / 270_000);
        expect(tries).toBeGreaterThanOrEqual(3);
      }),
    );
  });
});
