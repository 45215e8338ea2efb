import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CallerRate } from '../../lib/access/caller-rate.ts';

const SECOND = 1_000;

describe('the rate of one caller', () => {
  it('is a burst, then so many in a second', () => {
    const rate = new CallerRate({ perSecond: 10, burst: 5 });
    const served = (at: number) => rate.take('a', 1, at) === 0;

    expect(Array.from({ length: 7 }, () => served(0))).toEqual([true, true, true, true, true, false, false]);
    expect(rate.take('a', 1, 0)).toBe(100);
    expect([served(99), served(100), served(100)]).toEqual([false, true, false]);
    // After a pause the burst is whole again, and no more than whole.
    expect(Array.from({ length: 6 }, () => served(60 * SECOND))).toEqual([
      true,
      true,
      true,
      true,
      true,
      false,
    ]);
  });

  it('is its own', () => {
    const rate = new CallerRate({ perSecond: 1, burst: 1 });
    expect([rate.take('a', 1, 0), rate.take('a', 1, 0), rate.take('b', 1, 0)]).toEqual([0, 1_000, 0]);
  });

  it('takes several at once, or none of them; of more than a full bucket, all that it holds', () => {
    const rate = new CallerRate({ perSecond: 1, burst: 5 });
    expect(rate.take('a', 3, 0)).toBe(0);
    expect(rate.take('a', 3, 0)).toBe(1_000);
    expect(rate.take('a', 2, 0)).toBe(0);
    expect(rate.take('b', 20, 0)).toBe(0);
    expect(rate.take('b', 1, 0)).toBe(1_000);
  });

  it('does not shut anybody out when the clock is set back', () => {
    const rate = new CallerRate({ perSecond: 1, burst: 2 });
    rate.take('a', 2, 3_600 * SECOND);
    expect(rate.take('a', 1, 0)).toBe(SECOND);
    expect(rate.take('a', 1, SECOND)).toBe(0);
  });

  it('forgets those first that are full, and never more than it may keep', () => {
    const rate = new CallerRate({ perSecond: 1, burst: 2 }, 3);
    rate.take('idle', 1, 0);
    for (const caller of ['a', 'b', 'c']) rate.take(caller, 2, 5 * SECOND);
    expect(['a', 'b', 'c'].map((caller) => rate.take(caller, 1, 5 * SECOND))).toEqual([1_000, 1_000, 1_000]);
    // A fourth: whoever has asked longest ago has a full bucket again.
    rate.take('d', 2, 5 * SECOND);
    expect(['b', 'c', 'd', 'a'].map((caller) => rate.take(caller, 1, 5 * SECOND))).toEqual([
      1_000, 1_000, 1_000, 0,
    ]);
  });

  it('never serves more than the burst and what has come in since, whoever asks when', () => {
    const asked = fc.array(fc.record({ after: fc.nat(400), cost: fc.integer({ min: 1, max: 4 }) }), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(asked, (all) => {
        const rate = new CallerRate({ perSecond: 10, burst: 4 });
        let now = 0;
        let served = 0;
        for (const { after, cost } of all) {
          now += after;
          if (rate.take('a', cost, now) === 0) served += cost;
          expect(served).toBeLessThanOrEqual(4 + now / 100 + 1e-6);
        }
      }),
    );
  });
});
