import { createHash } from 'node:crypto';
import * as z from 'zod';
import { type Outcome, outcomeSchema } from '../bus/events.ts';
import { LONGEST_RETRY_AFTER_MS } from './retry-after.ts';
import { nextAttempt } from './schedule.ts';

/** What is kept of an attempt: never the body of the answer. */
const attemptSchema = z.object({
  at: z.number(),
  /** The answer's status; none when no answer came. */
  status: z.number().optional(),
  /** Why no answer came: a code of delivery-failure.ts. */
  reason: z.string().optional(),
  duration_ms: z.number().optional(),
});
export type DeliveryAttempt = z.infer<typeof attemptSchema>;

/** One notice to one subscription. Times in milliseconds since the epoch. */
export const deliverySchema = z.object({
  event: outcomeSchema,
  subscription: z.string(),
  created: z.number(),
  state: z.enum(['pending', 'delivered', 'failed']),
  attempts: z.array(attemptSchema),
  /** When to try again, or (not pending) when the document is deleted. */
  due: z.number(),
});
export type Delivery = z.infer<typeof deliverySchema>;

/** A finished delivery stays this long: for replay, and so that a late duplicate of its event is not sent again. */
export const KEPT_MS = 15 * 24 * 3_600_000;

/** The same event to the same subscription is one delivery, however often the event comes. */
export function deliveryId(eventId: string, subscription: string): string {
  return `dlv_${createHash('sha256').update(`${subscription}\n${eventId}`).digest('base64url').slice(0, 27)}`;
}

export function newDelivery(event: Outcome, subscription: string, now: number): Delivery {
  return { event, subscription, created: now, state: 'pending', attempts: [], due: now };
}

/** Standard Webhooks' body: type, timestamp, data. */
export function noticeBody(event: Outcome): string {
  return JSON.stringify({ type: event.type, timestamp: event.time, data: event.data });
}

/**
 * The delivery as it is written *before* the attempt is made: counted, and with the next time. A worker that dies while it sends
 * leaves neither a lost notice nor one that is tried without end.
 */
export function beforeAttempt(delivery: Delivery, now: number, random: () => number): Delivery {
  const attempts = [...delivery.attempts, { at: now }];
  const next = nextAttempt({ attempt: attempts.length, now, random });
  if (next === 'exhausted') return { ...delivery, attempts, due: now + FINAL_ATTEMPT_MS };
  return { ...delivery, attempts, due: next };
}

/** How long the last attempt has before it counts as failed, should its worker die. */
const FINAL_ATTEMPT_MS = 60_000;

/** What an attempt came to. */
export type AttemptResult =
  | { readonly kind: 'delivered'; readonly status: number; readonly durationMs: number }
  | {
      readonly kind: 'retry';
      readonly status?: number;
      readonly reason?: string;
      readonly durationMs?: number;
      readonly retryAfterMs?: number;
    }
  | { readonly kind: 'disabled'; readonly status: number; readonly durationMs: number };

/**
 * The delivery after the attempt that `beforeAttempt` counted. The pause that was drawn then counts from now, so the next attempt never
 * comes sooner than was written before: a hint for that version is still not later than the document.
 */
export function afterAttempt(delivery: Delivery, result: AttemptResult, now: number): Delivery {
  const attempts = withResult(delivery.attempts, result);
  if (result.kind === 'delivered') return finished({ ...delivery, attempts }, 'delivered', now);
  if (result.kind === 'disabled') return finished({ ...delivery, attempts }, 'failed', now);
  if (isSpent(delivery)) return finished({ ...delivery, attempts }, 'failed', now);
  const pause = delivery.due - (attempts.at(-1)?.at ?? delivery.due);
  const asked = Math.min(result.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS);
  return { ...delivery, attempts, due: now + Math.max(pause, asked) };
}

export function finished(delivery: Delivery, state: 'delivered' | 'failed', now: number): Delivery {
  return { ...delivery, state, due: now + KEPT_MS };
}

/** Whether the schedule has no attempt left, although the last one's result was never written. */
export function isSpent(delivery: Delivery): boolean {
  const attempt = delivery.attempts.length;
  return attempt > 0 && nextAttempt({ attempt, now: 0, random: () => 0 }) === 'exhausted';
}

function withResult(attempts: readonly DeliveryAttempt[], result: AttemptResult): DeliveryAttempt[] {
  const last = attempts.at(-1);
  if (last === undefined) return [];
  const { status, durationMs } = result;
  const reason = result.kind === 'retry' ? result.reason : undefined;
  return [
    ...attempts.slice(0, -1),
    {
      ...last,
      ...(status === undefined ? {} : { status }),
      ...(reason === undefined ? {} : { reason }),
      ...(durationMs === undefined ? {} : { duration_ms: durationMs }),
    },
  ];
}
