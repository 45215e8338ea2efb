import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AttemptResult,
  begun,
  begunAgain,
  IN_FLIGHT_MS,
  isDue,
  isSpent,
  isTimely,
  judged,
  type Notice,
  newNotice,
  noticeSchema,
  putOff,
  replayed,
} from '../../lib/notices/notice.ts';
import { RETRY_DELAYS_MS } from '../../lib/notices/schedule.ts';

const NOW = Date.UTC(2026, 10, 21);
const HOUR = 3_600_000;
const middle = () => 0.5;

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const took = fc.integer({ min: 0, max: 15_000 });
const failure = fc.record(
  { status: fc.constantFrom(429, 500, 503), retryAfterMs: fc.integer({ min: 0, max: 48 * HOUR }) },
  { requiredKeys: [] },
);

const fresh = () => newNotice(NOW);
const retry = (more: { retryAfterMs?: number; answer?: string } = {}): AttemptResult => ({
  kind: 'retry',
  status: 500,
  ...more,
});
const judge = (notice: Notice, result: AttemptResult, now: number) =>
  judged(notice, notice, result, now, middle);

/** After the n-th attempt, each having failed at once when it was due. */
function failedTimes(count: number): Notice {
  let notice = fresh();
  for (let n = 0; n < count; n += 1) {
    const at = notice.due;
    notice = judge(begun(notice, at, middle), retry(), at);
  }
  return notice;
}

describe('an attempt that is begun', () => {
  it('is counted, and keeps others away for as long as it may take', () => {
    const counted = begun(fresh(), NOW, middle);

    expect(counted).toMatchObject({ state: 'pending', tries: 1, attempts: [{ at: NOW }] });
    expect(isDue(counted, NOW + IN_FLIGHT_MS - 1)).toBe(false);
    expect(isDue(counted, NOW + IN_FLIGHT_MS)).toBe(true);
    expect(noticeSchema.parse(JSON.parse(JSON.stringify(counted)))).toEqual(counted);
  });

  it('leaves to the schedule when the next is due, should its worker die', () => {
    expect(begun(failedTimes(3), NOW, middle).due).toBe(NOW + 2 * HOUR);
  });

  it('is begun anew when it has waited for so long that others might take it up', () => {
    const counted = begun(fresh(), NOW, middle);

    expect(isTimely(counted, NOW + 40_000)).toBe(true);
    expect(isTimely(counted, NOW + 40_001)).toBe(false);
    const again = begunAgain(counted, NOW + 50_000);
    expect(again).toMatchObject({ tries: 1, attempts: [{ at: NOW + 50_000 }], due: NOW + 110_000 });
  });

  it('counts for nothing when it was not made', () => {
    const counted = begun(failedTimes(2), NOW, middle);

    const after = putOff(counted, counted, NOW + 9);

    expect(after).toEqual({ ...failedTimes(2), due: NOW + 9 });
    expect(putOff(counted, { tries: 2 }, NOW)).toBe(counted);
    // Another worker's attempt arrived after all.
    const arrived = judge(counted, { kind: 'delivered', status: 200, durationMs: 1 }, NOW);
    expect(putOff(arrived, counted, NOW + 9)).toBe(arrived);
  });
});

describe('an attempt that has ended', () => {
  const counted = begun(fresh(), NOW, middle);

  it('well is delivered', () => {
    const after = judge(counted, { kind: 'delivered', status: 204, durationMs: 7, answer: '' }, NOW + 10);

    expect(after).toMatchObject({ state: 'delivered', attempts: [{ at: NOW, status: 204, duration_ms: 7 }] });
    expect(after).not.toHaveProperty('answer');
  });

  it('with 410 is failed', () => {
    expect(judge(counted, { kind: 'gone', status: 410, durationMs: 1 }, NOW)).toMatchObject({
      state: 'failed',
      attempts: [{ status: 410 }],
    });
  });

  it('without an answer keeps the reason, with one its first bytes', () => {
    const silent = judge(counted, { kind: 'retry', reason: 'timeout' }, NOW);
    const loud = judge(begun(silent, NOW, middle), retry({ answer: 'no thanks' }), NOW);

    expect(silent.attempts).toEqual([{ at: NOW, reason: 'timeout' }]);
    expect(loud.answer).toBe('no thanks');
    expect(judge(begun(loud, NOW, middle), { kind: 'retry', reason: 'reset' }, NOW)).not.toHaveProperty(
      'answer',
    );
  });

  it('lets the pause begin at its end', () => {
    expect(judge(counted, retry(), NOW + 15_000).due).toBe(NOW + 20_000);
  });

  it('honours Retry-After, up to a day', () => {
    const asked = (retryAfterMs: number) => judge(counted, retry({ retryAfterMs }), NOW).due - NOW;

    expect([asked(1_000), asked(90_000), asked(72 * HOUR)]).toEqual([5_000, 90_000, 24 * HOUR]);
  });

  it('changes nothing that others have settled or begun meanwhile, unless it was delivered', () => {
    const done = judge(counted, { kind: 'delivered', status: 200, durationMs: 1 }, NOW);
    const others = begun(counted, NOW + IN_FLIGHT_MS, middle);
    const delivered: AttemptResult = { kind: 'delivered', status: 200, durationMs: 1 };

    expect(judged(done, counted, retry(), NOW, middle)).toBe(done);
    expect(judged(others, counted, retry(), NOW, middle)).toBe(others);
    expect(judged(others, counted, delivered, NOW, middle).state).toBe('delivered');
  });

  it('keeps to the schedule, within its jitter', () => {
    const history = fc.array(fc.tuple(failure, unit, took), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(history, (failures) => {
        let notice = fresh();
        for (const [result, random, duration] of failures) {
          const before = begun(notice, notice.due, () => random);
          const pause = RETRY_DELAYS_MS[before.tries - 1] ?? Number.NaN;
          const now = notice.due + duration;
          notice = judged(before, before, { kind: 'retry', ...result }, now, () => random);
          expect(notice.due - now).toBeGreaterThanOrEqual(Math.floor(pause * 0.8));
          expect(notice.due - now).toBeLessThanOrEqual(Math.max(pause * 1.2, result.retryAfterMs ?? 0));
        }
      }),
    );
  });

  it('makes ten attempts and no more, whichever worker dies at whichever', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), unit, (deaths, random) => {
        let notice = fresh();
        let made = 0;
        for (const dies of deaths) {
          if (notice.state !== 'pending' || isSpent(notice)) break;
          const at = notice.due;
          notice = begun(notice, at, () => random);
          made += 1;
          if (!dies) notice = judge(notice, retry(), at);
        }
        expect(made).toBe(10);
        expect(notice.state === 'failed' || isSpent(notice)).toBe(true);
      }),
    );
  });
});

describe('replaying', () => {
  it('gives what has ended a schedule of its own, and keeps the attempts', () => {
    const failed = failedTimes(10);
    const again = replayed(failed, NOW);

    expect(failed.state).toBe('failed');
    expect(again).toMatchObject({ state: 'pending', tries: 0, due: NOW });
    expect(again.attempts).toEqual(failed.attempts);
    expect(isSpent(begun(again, NOW, middle))).toBe(false);
  });

  it('does not bring forward an attempt that is being made', () => {
    const trying = begun(fresh(), NOW, middle);
    const counted = replayed(trying, NOW + 1);

    expect(counted).toEqual({ ...trying, tries: 0 });
    expect(replayed(counted, NOW + 2)).toBe(counted);
  });

  it('brings forward what waits for its next attempt, and nothing that is due', () => {
    const waiting = failedTimes(4);

    expect(replayed(waiting, NOW)).toMatchObject({ state: 'pending', tries: 0, due: NOW });
    expect(replayed(fresh(), NOW)).toEqual(fresh());
    const due = fresh();
    expect(replayed(due, NOW)).toBe(due);
  });

  it('keeps a bounded number of attempts, the last ones', () => {
    let notice = fresh();
    for (let n = 0; n < 40; n += 1)
      notice = judge(begun(replayed(notice, NOW), NOW + n, middle), retry(), NOW);

    expect(notice.attempts).toHaveLength(12);
    expect(notice.attempts.at(-1)?.at).toBe(NOW + 39);
  });
});
