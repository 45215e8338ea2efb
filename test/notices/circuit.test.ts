import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { Circuits, PAUSES_MS } from '../../lib/notices/circuit.ts';

const NOW = 1_000_000;
const ONE = '_all:one';

let circuits: Circuits;
beforeEach(() => {
  circuits = new Circuits();
});

/** One attempt; undefined when it may not be made. */
function attempt(outcome: 'well' | 'failed' | 'unanswered', now: number, endpoint = ONE): boolean {
  if (circuits.enter(endpoint, false, now) !== undefined) return false;
  circuits.leave(endpoint, outcome, now);
  return true;
}

describe('a circuit', () => {
  it('opens after five failures on end, and for nobody else', () => {
    for (let n = 0; n < 4; n += 1) expect(attempt('failed', NOW)).toBe(true);
    expect(circuits.closedOff(ONE, NOW)).toBeUndefined();
    expect(attempt('failed', NOW)).toBe(true);

    expect(circuits.closedOff(ONE, NOW)).toBe(NOW + 3_000);
    expect(circuits.closedOff('_all:other', NOW)).toBeUndefined();
  });

  it('is not opened by failures between which one went well', () => {
    for (const outcome of ['failed', 'failed', 'failed', 'failed', 'well', 'failed', 'failed'] as const) {
      expect(attempt(outcome, NOW)).toBe(true);
    }
    expect(circuits.closedOff(ONE, NOW)).toBeUndefined();
  });

  it('opens at once when a notice is left unanswered, and is over before the first retry', () => {
    attempt('unanswered', NOW);

    expect(attempt('well', NOW + 2_999)).toBe(false);
    // 5 s less a fifth.
    expect(attempt('well', NOW + 4_000)).toBe(true);
    expect(circuits.closedOff(ONE, NOW + 4_000)).toBeUndefined();
  });

  it('lets one notice try while the others wait, and all follow once it went well', () => {
    attempt('unanswered', NOW);
    const later = NOW + 3_000;

    expect(circuits.enter(ONE, false, later)).toBeUndefined();
    expect(circuits.enter(ONE, false, later)).toBeGreaterThan(later);
    expect(circuits.closedOff(ONE, later)).toBeGreaterThan(later);
    circuits.leave(ONE, 'well', later);
    expect(circuits.enter(ONE, false, later)).toBeUndefined();
    expect(circuits.enter(ONE, false, later)).toBeUndefined();
  });

  it('lets another try when the one that tried was never sent', () => {
    attempt('unanswered', NOW);
    circuits.enter(ONE, false, NOW + 3_000);
    circuits.leave(ONE, 'unsent', NOW + 3_000);

    expect(circuits.enter(ONE, false, NOW + 3_000)).toBeUndefined();
  });

  it('leaves it alone for longer each time, five minutes at most', () => {
    let now = NOW;
    const pauses = Array.from({ length: 7 }, () => {
      expect(attempt('unanswered', now)).toBe(true);
      const until = circuits.closedOff(ONE, now) ?? now;
      const pause = until - now;
      now = until;
      return pause;
    });

    expect(pauses).toEqual([...PAUSES_MS, 300_000, 300_000]);
  });

  it('begins with the shortest pause again once it went well', () => {
    attempt('unanswered', NOW);
    attempt('unanswered', NOW + 3_000);
    expect(attempt('well', NOW + 33_000)).toBe(true);

    attempt('unanswered', NOW + 33_000);

    expect(circuits.closedOff(ONE, NOW + 33_000)).toBe(NOW + 36_000);
  });

  it('is not opened further by those that were on their way when it opened', () => {
    const outcomes = Array.from({ length: 4 }, () => circuits.enter(ONE, false, NOW));
    expect(outcomes).toEqual([undefined, undefined, undefined, undefined]);
    for (let n = 0; n < 4; n += 1) circuits.leave(ONE, 'unanswered', NOW + 15_000);

    expect(circuits.closedOff(ONE, NOW + 15_000)).toBe(NOW + 18_000);
  });

  it('begins with one try for an endpoint that was failing when the worker began', () => {
    expect(circuits.enter(ONE, true, NOW)).toBeUndefined();
    expect(circuits.enter(ONE, true, NOW)).toBeGreaterThan(NOW);
    circuits.leave(ONE, 'failed', NOW);

    expect(circuits.closedOff(ONE, NOW)).toBe(NOW + 3_000);
  });

  it('never closes an endpoint off for ever, whatever happens', () => {
    const steps = fc.array(
      fc.tuple(
        fc.constantFrom('well', 'failed', 'unanswered', 'unsent'),
        fc.integer({ min: 0, max: 60_000 }),
      ),
    );
    fc.assert(
      fc.property(steps, (history) => {
        const some = new Circuits();
        let now = NOW;
        for (const [outcome, later] of history) {
          now += later;
          const until = some.enter(ONE, false, now);
          if (until === undefined) some.leave(ONE, outcome, now);
          else expect(until - now).toBeLessThanOrEqual(300_000);
        }
        expect(some.enter(ONE, false, now + 300_000)).toBeUndefined();
      }),
    );
  });
});
