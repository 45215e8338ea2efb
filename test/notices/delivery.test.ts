import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type AttemptResult,
  afterAttempt,
  beforeAttempt,
  type Delivery,
  deliveryId,
  deliverySchema,
  isSpent,
  KEPT_MS,
  newDelivery,
  noticeBody,
} from '../../lib/notices/delivery.ts';
import { RETRY_DELAYS_MS } from '../../lib/notices/schedule.ts';
import { rotated } from './events.ts';

const NOW = Date.UTC(2026, 10, 21);
const HOUR = 3_600_000;
const middle = () => 0.5;

const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const took = fc.integer({ min: 0, max: 15_000 });
const failure = fc.record(
  { status: fc.constantFrom(429, 500, 503), retryAfterMs: fc.integer({ min: 0, max: 48 * HOUR }) },
  { requiredKeys: [] },
);

const fresh = () => newDelivery(rotated('app'), 'everything', NOW);
const retry = (more: { retryAfterMs?: number } = {}): AttemptResult => ({
  kind: 'retry',
  status: 500,
  ...more,
});

/** The n-th attempt, each of those before having failed at once when it was due. */
function failedTimes(count: number): Delivery {
  let delivery = fresh();
  for (let n = 0; n < count; n += 1) {
    const at = delivery.due;
    delivery = afterAttempt(beforeAttempt(delivery, at, middle), retry(), at);
  }
  return delivery;
}

describe('deliveryId', () => {
  it('is the same for the same event and subscription, and for no other', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (event, one, otherEvent, other) => {
        fc.pre(!one.includes('\n') && !other.includes('\n'));
        const same = event === otherEvent && one === other;
        expect(deliveryId(event, one) === deliveryId(otherEvent, other)).toBe(same);
      }),
    );
  });

  it('can stand in a path', () => {
    fc.assert(fc.property(fc.string(), (text) => /^dlv_[\w-]{27}$/.test(deliveryId(text, text))));
  });
});

describe('the body', () => {
  it('is type, timestamp and data, as Standard Webhooks has it', () => {
    const event = rotated('app');

    expect(JSON.parse(noticeBody(event))).toEqual({
      type: 'secret.rotated',
      timestamp: event.time,
      data: event.data,
    });
  });
});

describe('beforeAttempt', () => {
  it('counts the attempt and says when the next is due, so that neither is lost with the worker', () => {
    const counted = beforeAttempt(fresh(), NOW, middle);

    expect(counted).toMatchObject({ state: 'pending', attempts: [{ at: NOW }], due: NOW + 5_000 });
    expect(deliverySchema.parse(JSON.parse(JSON.stringify(counted)))).toEqual(counted);
  });

  it('leaves the last attempt a minute to be judged', () => {
    const last = beforeAttempt(failedTimes(9), NOW, middle);

    expect(last.attempts).toHaveLength(10);
    expect(last).toMatchObject({ state: 'pending', due: NOW + 60_000 });
    expect(isSpent(last)).toBe(true);
  });
});

describe('afterAttempt', () => {
  const counted = beforeAttempt(fresh(), NOW, middle);

  it('ends with a delivery, kept for 15 days', () => {
    const after = afterAttempt(counted, { kind: 'delivered', status: 204, durationMs: 7 }, NOW + 10);

    expect(KEPT_MS).toBe(15 * 24 * HOUR);
    expect(after).toMatchObject({ state: 'delivered', due: NOW + 10 + KEPT_MS });
    expect(after.attempts).toEqual([{ at: NOW, status: 204, duration_ms: 7 }]);
  });

  it('ends with 410, kept as long', () => {
    const after = afterAttempt(counted, { kind: 'disabled', status: 410, durationMs: 1 }, NOW);

    expect(after).toMatchObject({ state: 'failed', due: NOW + KEPT_MS, attempts: [{ status: 410 }] });
  });

  it('keeps the reason when no answer came', () => {
    const { attempts } = afterAttempt(counted, { kind: 'retry', reason: 'timeout' }, NOW);

    expect(attempts).toEqual([{ at: NOW, reason: 'timeout' }]);
  });

  it('lets the pause begin at the end of the attempt', () => {
    expect(afterAttempt(counted, retry(), NOW + 15_000).due).toBe(NOW + 20_000);
  });

  it('honours Retry-After, up to a day', () => {
    const asked = (retryAfterMs: number) => afterAttempt(counted, retry({ retryAfterMs }), NOW).due - NOW;

    expect([asked(1_000), asked(90_000), asked(72 * HOUR)]).toEqual([5_000, 90_000, 24 * HOUR]);
  });

  it('never brings forward what was written before the attempt', () => {
    const history = fc.array(fc.tuple(failure, unit, took), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(history, (failures) => {
        let delivery = fresh();
        for (const [result, random, duration] of failures) {
          const before = beforeAttempt(delivery, delivery.due, () => random);
          const pause = RETRY_DELAYS_MS[before.attempts.length - 1] ?? Number.NaN;
          const now = delivery.due + duration;
          delivery = afterAttempt(before, { kind: 'retry', ...result }, now);
          expect(delivery.due).toBeGreaterThanOrEqual(before.due);
          expect(delivery.due - now).toBeGreaterThanOrEqual(pause * 0.8);
          expect(delivery.due - now).toBeLessThanOrEqual(Math.max(pause * 1.2, result.retryAfterMs ?? 0));
        }
      }),
    );
  });

  it('makes ten attempts and no more, whichever worker dies at whichever', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), unit, (deaths, random) => {
        let delivery = fresh();
        let made = 0;
        for (const dies of deaths) {
          if (delivery.state !== 'pending' || isSpent(delivery)) break;
          const at = delivery.due;
          delivery = beforeAttempt(delivery, at, () => random);
          made += 1;
          if (!dies) delivery = afterAttempt(delivery, retry(), at);
        }
        expect(made).toBe(10);
        expect(delivery.state === 'failed' || isSpent(delivery)).toBe(true);
      }),
    );
  });

  it('fails after the tenth', () => {
    const last = failedTimes(10);

    expect(last).toMatchObject({ state: 'failed' });
    expect(last.attempts).toHaveLength(10);
  });
});

describe('isSpent', () => {
  it('is so once the schedule has no attempt left', () => {
    const counts = Array.from({ length: 11 }, (_, count) => failedTimes(count));

    expect(counts.map(isSpent)).toEqual([...Array.from({ length: 10 }, () => false), true]);
  });
});
