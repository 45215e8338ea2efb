import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { judge, nextAttempt, RETRY_DELAYS_MS } from '../../lib/notices/schedule.ts';

const SECOND = 1000;
const HOUR = 3_600 * SECOND;
const NOW = Date.UTC(2026, 10, 21);

/** What `Math.random` may give. */
const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const attempts = fc.integer({ min: 1, max: RETRY_DELAYS_MS.length });
const times = fc.integer({ min: 0, max: 4e12 });

describe('nextAttempt', () => {
  it('waits 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, then is exhausted', () => {
    const waits = Array.from({ length: 10 }, (_, index) =>
      nextAttempt({ attempt: index + 1, now: 0, random: () => 0.5 }),
    );
    const hours = [2, 5, 10, 14, 20, 24].map((count) => count * HOUR);

    expect(waits).toEqual([5 * SECOND, 300 * SECOND, 1_800 * SECOND, ...hours, 'exhausted']);
  });

  it('goes on for over two and a half days at the least, three at the middle', () => {
    const total = RETRY_DELAYS_MS.reduce((sum, delay) => sum + delay, 0);

    expect(total).toBeGreaterThan(72 * HOUR);
    expect(total * 0.8).toBeGreaterThan(60 * HOUR);
  });

  it('stays within a fifth of the schedule, in whole milliseconds', () => {
    fc.assert(
      fc.property(attempts, times, unit, (attempt, now, random) => {
        const delay = RETRY_DELAYS_MS[attempt - 1] ?? 0;
        const at = Number(nextAttempt({ attempt, now, random: () => random }));
        expect(at).toBeGreaterThanOrEqual(now + delay * 0.8);
        expect(at).toBeLessThanOrEqual(now + delay * 1.2);
        expect(Number.isInteger(at)).toBe(true);
      }),
    );
  });

  it('reaches both ends of that', () => {
    expect(nextAttempt({ attempt: 1, now: 0, random: () => 0 })).toBe(4_000);
    expect(nextAttempt({ attempt: 1, now: 0, random: () => 1 })).toBe(6_000);
  });

  it('is put off by Retry-After, never brought forward, and by a day at most', () => {
    fc.assert(
      fc.property(
        attempts,
        times,
        unit,
        fc.nat({ max: 100 * HOUR }),
        (attempt, now, random, retryAfterMs) => {
          const scheduled = Number(nextAttempt({ attempt, now, random: () => random }));
          const asked = Number(nextAttempt({ attempt, now, random: () => random, retryAfterMs }));
          expect(asked).toBe(Math.max(scheduled, now + Math.min(retryAfterMs, 24 * HOUR)));
        },
      ),
    );
  });

  it('gives no further attempts for a Retry-After', () => {
    expect(nextAttempt({ attempt: 10, now: 0, random: () => 0, retryAfterMs: 1 })).toBe('exhausted');
    expect(nextAttempt({ attempt: 1_000, now: 0, random: () => 0 })).toBe('exhausted');
  });

  it.each([0, -1, 1.5, Number.NaN])('takes %d for no number of attempts', (attempt) => {
    expect(() => nextAttempt({ attempt, now: 0, random: () => 0 })).toThrow(
      expect.objectContaining({ code: 'attempt_invalid' }),
    );
  });
});

describe('judge', () => {
  it.each([200, 201, 202, 204, 299])('takes %d for delivered', (status) => {
    expect(judge({ status, retryAfter: '60' }, NOW)).toEqual({ kind: 'delivered', status });
  });

  it('disables what is gone', () => {
    expect(judge({ status: 410, retryAfter: '60' }, NOW)).toEqual({ kind: 'gone', status: 410 });
  });

  it.each([429, 502, 503, 504])('waits as %d asks', (status) => {
    const date = new Date(NOW + 90 * SECOND).toUTCString();

    expect(judge({ status, retryAfter: '120' }, NOW)).toEqual({
      kind: 'retry',
      status,
      retryAfterMs: 120_000,
    });
    expect(judge({ status, retryAfter: date }, NOW)).toEqual({ kind: 'retry', status, retryAfterMs: 90_000 });
    expect(judge({ status, retryAfter: 'soon' }, NOW)).toEqual({ kind: 'retry', status });
    expect(judge({ status }, NOW)).toEqual({ kind: 'retry', status });
  });

  it('tries everything else again by the schedule', () => {
    const handled = new Set([410, 429, 502, 503, 504]);
    const others = fc
      .integer({ min: 100, max: 999 })
      .filter((status) => !handled.has(status) && (status < 200 || status > 299));
    fc.assert(
      fc.property(others, (status) => {
        expect(judge({ status, retryAfter: '60' }, NOW)).toEqual({ kind: 'retry', status });
      }),
      { examples: [[301], [307], [199], [300], [404], [500]] },
    );
  });
});
