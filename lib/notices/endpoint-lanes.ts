import pLimit, { type LimitFunction } from 'p-limit';

/** What one lane's work may do to it. */
export interface Lane {
  /** The endpoint left a notice unanswered: what has not begun in this lane is not begun. */
  stop(): void;
}

/** The sender opens no more connections to one origin. */
const WIDTH = 4;

/**
 * One lane for each endpoint, so that one that does not answer holds up its own notices only. Without lanes sixteen notices that wait
 * for their timeout would keep everybody else's back for that long.
 */
export class EndpointLanes {
  readonly #lanes = new Map<string, LimitFunction>();
  readonly #stopped = new Set<string>();

  /** Undefined: the lane was stopped before it was this one's turn. */
  run<T>(endpoint: string, work: (lane: Lane) => Promise<T>): Promise<T | undefined> {
    const limit = this.#lanes.get(endpoint) ?? pLimit(WIDTH);
    this.#lanes.set(endpoint, limit);
    return limit(async () => {
      if (this.#stopped.has(endpoint)) return undefined;
      return work({ stop: () => void this.#stopped.add(endpoint) });
    });
  }
}
