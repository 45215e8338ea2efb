import { LeasekeeperError } from '../errors.ts';
import { LONGEST_RETRY_AFTER_MS, parseRetryAfter } from './retry-after.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The pauses before each retry, in milliseconds: ten attempts over three days. */
export const RETRY_DELAYS_MS: readonly number[] = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
];

/** Each pause is drawn from its length less to plus this share, so that what failed together is not retried together. */
export const JITTER = 0.2;

export interface FailedAttempt {
  /** How many attempts have been made: 1 after the first. */
  readonly attempt: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** What the receiver asked for. It can put the next attempt off, up to 24 h, but never bring it forward. */
  readonly retryAfterMs?: number;
}

/**
 * When to try again, in milliseconds since 1970, or `exhausted` when that was the last attempt.
 * Throws `attempt_invalid` for a number that counts no attempts.
 */
export function nextAttempt({ attempt, now, random, retryAfterMs = 0 }: FailedAttempt): number | 'exhausted' {
  if (!Number.isSafeInteger(attempt) || attempt < 1) {
    throw new LeasekeeperError('attempt_invalid', 'Attempts are counted from 1.');
  }
  const delay = RETRY_DELAYS_MS[attempt - 1];
  if (delay === undefined) return 'exhausted';
  const scheduled = delay * (1 - JITTER + 2 * JITTER * random());
  const asked = Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);
  return now + Math.round(Math.max(scheduled, asked));
}

/** What a receiver answered. */
export interface Answer {
  readonly status: number;
  /** The Retry-After header as it came. */
  readonly retryAfter?: string;
}

/** What follows from an answer for the delivery. */
export type Judgement =
  | { readonly kind: 'delivered'; readonly status: number }
  | { readonly kind: 'retry'; readonly status: number; readonly retryAfterMs?: number }
  | { readonly kind: 'gone'; readonly status: number };

/** The answers whose Retry-After means "later", as Standard Webhooks recommends. */
const ASK_FOR_LATER: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/**
 * 2xx is delivered. 410 (gone) disables the endpoint. All else is tried again, redirects too: they are not followed,
 * since they would lead to an address nobody subscribed. `now` is in milliseconds since 1970.
 */
export function judge({ status, retryAfter }: Answer, now: number): Judgement {
  if (status >= 200 && status <= 299) return { kind: 'delivered', status };
  if (status === 410) return { kind: 'gone', status };
  const retryAfterMs = ASK_FOR_LATER.has(status) ? parseRetryAfter(retryAfter, now) : undefined;
  return { kind: 'retry', status, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}
