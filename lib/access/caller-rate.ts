/** How fast one caller may ask. */
export interface RateLimit {
  /** Requests in a second, on average. */
  readonly perSecond: number;
  /** Requests at once, after a pause. */
  readonly burst: number;
}

/** Callers kept in mind; a hash and a number each. */
const MOST_CALLERS = 10_000;

/**
 * A token bucket for each caller, in the memory of this process: two instances of a function each count for themselves. Pure but for
 * that memory: times are in milliseconds and passed in. A bucket is kept as the moment at which it is full again (the generic cell rate
 * algorithm of ATM Forum TM 4.0, which is the same thing), so one that is full need not be kept.
 */
export class CallerRate {
  readonly #everyMs: number;
  readonly #roomMs: number;
  readonly #most: number;
  readonly #fullAt = new Map<string, number>();

  constructor({ perSecond, burst }: RateLimit, most = MOST_CALLERS) {
    this.#everyMs = 1_000 / perSecond;
    this.#roomMs = this.#everyMs * burst;
    this.#most = most;
  }

  /**
   * Takes `cost` requests from a caller's bucket, at most all that a full one holds. Returns 0, or when there are too few, which then are
   * left alone, in how many milliseconds there will be enough.
   */
  take(caller: string, cost: number, now: number): number {
    // Never further ahead than an empty bucket is: the clock may have been set back.
    const fullAt = Math.min(Math.max(this.#fullAt.get(caller) ?? now, now), now + this.#roomMs);
    const after = fullAt + Math.min(cost * this.#everyMs, this.#roomMs);
    const waitMs = after - now - this.#roomMs;
    this.#fullAt.delete(caller);
    this.#fullAt.set(caller, waitMs > 0 ? fullAt : after);
    if (this.#fullAt.size > this.#most) this.#trim(now);
    return Math.max(waitMs, 0);
  }

  /** First those that are full, which lose nothing; if there are too few of them, whoever has asked longest ago. */
  #trim(now: number): void {
    for (const [caller, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(caller);
    for (const caller of this.#fullAt.keys()) {
      if (this.#fullAt.size <= this.#most) return;
      this.#fullAt.delete(caller);
    }
  }
}
