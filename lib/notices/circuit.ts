/** A failure that the endpoint took all the time for counts as much as several that came at once. */
const OPENS_AFTER = 5;
/**
 * How long an endpoint is left alone, in milliseconds, each time that it fails again. The first is shorter than the pause before the first
 * retry, so that a lone notice is tried again on time.
 */
export const PAUSES_MS: readonly number[] = [3_000, 30_000, 60_000, 120_000, 300_000];
/** How long the others wait while one notice tries whether the endpoint is back. */
const WHILE_PROBING_MS = 20_000;

interface Known {
  /** On end, while it is closed. */
  failures: number;
  /** How often it has opened since the endpoint was well. */
  opened: number;
  /** Milliseconds since the epoch; undefined: closed. */
  until: number | undefined;
  probing: boolean;
}

/**
 * One circuit for each endpoint, so that a dead one costs the others nothing: after a few failures, or one notice left unanswered, it is
 * open, and what is for it waits without being counted. When its pause is over one notice tries; if it is answered, the rest follow.
 * Kept in memory: another process finds out for itself, at the price of one attempt.
 */
export class Circuits {
  readonly #known = new Map<string, Known>();

  /** Until when nothing may be sent; undefined: it may. */
  closedOff(endpoint: string, now: number): number | undefined {
    const known = this.#known.get(endpoint);
    if (known?.until === undefined) return undefined;
    if (known.until > now) return known.until;
    return known.probing ? now + WHILE_PROBING_MS : undefined;
  }

  /** As `closedOff`, for an attempt that is made now if it may. `failing`: it is known to have failed, by whoever tried it last. */
  enter(endpoint: string, failing: boolean, now: number): number | undefined {
    const known = this.#find(endpoint, failing);
    const until = this.closedOff(endpoint, now);
    if (until === undefined && known.until !== undefined) known.probing = true;
    return until;
  }

  /** What became of an attempt that had entered. `unanswered`: the endpoint let it wait until it gave up; `unsent`: it was never made. */
  leave(endpoint: string, outcome: 'well' | 'failed' | 'unanswered' | 'unsent', now: number): void {
    const known = this.#find(endpoint, false);
    const probed = known.probing;
    known.probing = false;
    if (outcome === 'unsent') return;
    if (outcome === 'well') {
      Object.assign(known, { failures: 0, opened: 0, until: undefined });
      return;
    }
    known.failures += outcome === 'unanswered' ? OPENS_AFTER : 1;
    // Those that had entered before it opened say nothing new.
    if (known.failures < OPENS_AFTER || (known.until !== undefined && !probed)) return;
    known.until = now + (PAUSES_MS[Math.min(known.opened, PAUSES_MS.length - 1)] ?? 0);
    known.opened += 1;
  }

  #find(endpoint: string, failing: boolean): Known {
    const known = this.#known.get(endpoint) ?? {
      failures: failing ? OPENS_AFTER : 0,
      opened: 0,
      until: failing ? 0 : undefined,
      probing: false,
    };
    this.#known.set(endpoint, known);
    return known;
  }
}
