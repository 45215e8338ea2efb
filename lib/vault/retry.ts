import { isTransient, VaultError } from './errors.ts';

/** How often and how long to repeat one request. Times in milliseconds. */
export interface RetryPolicy {
  readonly attempts: number;
  readonly baseMs: number;
  readonly capMs: number;
  /** A Retry-After above this is not waited for: the caller learns of it and comes back. */
  readonly longestWaitMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 4, baseMs: 100, capMs: 2_000, longestWaitMs: 5_000 };

/** Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): anywhere between 0 and the exponential bound. */
export function backoffMs(attempt: number, policy: RetryPolicy, random: () => number): number {
  return Math.floor(random() * Math.min(policy.capMs, policy.baseMs * 2 ** attempt));
}

/**
 * Milliseconds to wait before repeating, or undefined when the request must not be repeated.
 * `repeatable` says that doing it twice is as good as once; otherwise only what surely was not carried out is repeated.
 */
export function retryWait(
  error: unknown,
  attempt: number,
  repeatable: boolean,
  policy: RetryPolicy,
  random: () => number,
): number | undefined {
  if (!(error instanceof VaultError) || !isTransient(error)) return undefined;
  if (attempt + 1 >= policy.attempts) return undefined;
  if (error.processed === 'maybe' && !repeatable) return undefined;
  if (error.retryAfterMs !== undefined) {
    return error.retryAfterMs <= policy.longestWaitMs ? error.retryAfterMs : undefined;
  }
  return backoffMs(attempt, policy, random);
}
