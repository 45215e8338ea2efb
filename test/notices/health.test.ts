import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { announcementOf, DISABLED_AFTER_MS, healthAfter, WARNED_AFTER_MS } from '../../lib/notices/health.ts';
import type { AttemptResult } from '../../lib/notices/notice.ts';
import type { Subscription } from '../../lib/notices/subscription.ts';
import { subscriptionOf } from './events.ts';

const NOW = Date.UTC(2026, 10, 21);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const ok: AttemptResult = { kind: 'delivered', status: 204, durationMs: 1 };
const failed: AttemptResult = { kind: 'retry', status: 500 };
const gone: AttemptResult = { kind: 'gone', status: 410, durationMs: 1 };

/** Mostly failures: five days of them on end must not be rare. */
const delivered = fc.nat(9).map((n) => n === 0);
const attempts = fc.array(fc.tuple(delivered, fc.integer({ min: 1, max: 40 * HOUR })), {
  maxLength: 30,
  size: 'max',
});

describe('healthAfter', () => {
  it('remembers since when it fails, and forgets it with the first success', () => {
    const failing = healthAfter(subscriptionOf(), failed, NOW);
    const warned = healthAfter(failing, failed, NOW + DAY);

    expect(failing.failing_since).toBe(NOW);
    expect(warned.warned).toBe(1);
    expect(healthAfter(warned, ok, NOW + DAY + 1)).toEqual(subscriptionOf());
  });

  it('writes on a change only', () => {
    const fresh = subscriptionOf();
    const failing = healthAfter(fresh, failed, NOW);
    const warned = healthAfter(failing, failed, NOW + DAY);

    expect(healthAfter(fresh, ok, NOW)).toBe(fresh);
    expect(healthAfter(failing, failed, NOW + DAY - 1)).toBe(failing);
    expect(healthAfter(warned, failed, NOW + 2 * DAY)).toBe(warned);
  });

  it('disables at once what is gone, and leaves alone what is disabled', () => {
    const disabled = healthAfter(subscriptionOf(), gone, NOW);

    expect(disabled.disabled).toEqual({ at: NOW, reason: 'gone' });
    for (const result of [ok, failed, gone]) expect(healthAfter(disabled, result, NOW + 1)).toBe(disabled);
  });

  it('disables after five days, to the millisecond', () => {
    const failing = { ...subscriptionOf({ failing_since: NOW }), warned: 2 };

    expect(healthAfter(failing, failed, NOW + 5 * DAY - 1)).toBe(failing);
    expect(healthAfter(failing, failed, NOW + 5 * DAY).disabled?.reason).toBe('failing');
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
          if (since !== undefined && now - since >= 5 * DAY) expected ??= now;
          subscription = healthAfter(subscription, delivered ? ok : failed, now);
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

describe('what is told', () => {
  const told = (before: Subscription, result: AttemptResult, now: number) =>
    announcementOf(before, healthAfter(before, result, now), 7, now);
  const failing = healthAfter(subscriptionOf(), failed, NOW);

  it('is nothing of a first failure, of a success, or of what a person did', () => {
    expect(told(subscriptionOf(), failed, NOW)).toBeUndefined();
    expect(told(failing, ok, NOW)).toBeUndefined();
    const byHand = subscriptionOf({ disabled: { at: NOW, reason: 'by_hand' } });
    expect(announcementOf(subscriptionOf(), byHand, 7, NOW)).toBeUndefined();
  });

  it('is a warning well before the end, each one once, with the time of the end', () => {
    expect(WARNED_AFTER_MS).toEqual([DAY, 4 * DAY]);
    const first = told(failing, failed, NOW + DAY);
    const warned = healthAfter(failing, failed, NOW + DAY);
    const second = told(warned, failed, NOW + 4 * DAY);

    expect(first).toMatchObject({
      type: 'subscription.failing',
      data: {
        subscription: failing.id,
        since: new Date(NOW).toISOString(),
        disabled_at: new Date(NOW + DISABLED_AFTER_MS).toISOString(),
      },
    });
    expect(told(warned, failed, NOW + 3 * DAY)).toBeUndefined();
    expect(second?.id).not.toBe(first?.id);
    // Whoever sees the same, at another moment, tells the same.
    expect(told(failing, failed, NOW + DAY + 9)?.id).toBe(first?.id);
  });

  it('is the end, with its reason', () => {
    expect(told(subscriptionOf(), gone, NOW)?.data).toEqual({ subscription: failing.id, reason: 'gone' });
    // Disabled, enabled and disabled again is told again; whoever saw the same version tells the same.
    const after = healthAfter(subscriptionOf(), gone, NOW);
    const idAt = (version: number, now = NOW) => announcementOf(subscriptionOf(), after, version, now)?.id;
    expect([idAt(7) === idAt(8), idAt(7) === idAt(7, NOW + 1)]).toEqual([false, true]);
    const last = told({ ...failing, warned: 2 }, failed, NOW + DISABLED_AFTER_MS);
    expect(last).toMatchObject({ type: 'subscription.disabled', data: { reason: 'failing' } });
  });
});
