/**
 * Milliseconds of the longest single timer. Above 2^31−1 Node fires at once; and a timer counts no time while the machine sleeps, so
 * the clock is looked at again at least this often.
 */
const LONGEST_TIMER_MS = 60_000;

/** An alarm that is overdue rings after this, not at once: whoever sets it for the past again and again makes no hot loop. */
const SHORTEST_TIMER_MS = 20;

/** Rings once at an absolute time, however far off. It does not keep the process alive. */
export class Alarm {
  readonly #ring: () => void;
  readonly #now: () => number;
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(ring: () => void, now: () => number) {
    this.#ring = ring;
    this.#now = now;
  }

  /** Sets the time, in milliseconds since the epoch, in place of the one before. Infinity is never. */
  set(at: number): void {
    this.#at = at;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (at === Number.POSITIVE_INFINITY) return;
    const delay = Math.min(Math.max(at - this.#now(), SHORTEST_TIMER_MS), LONGEST_TIMER_MS);
    this.#timer = setTimeout(() => this.#wake(), delay);
    this.#timer.unref();
  }

  stop(): void {
    this.set(Number.POSITIVE_INFINITY);
  }

  #wake(): void {
    if (this.#now() < this.#at) {
      this.set(this.#at);
      return;
    }
    this.stop();
    this.#ring();
  }
}
