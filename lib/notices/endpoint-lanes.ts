import pLimit, { type LimitFunction } from 'p-limit';

/** The sender opens no more connections to one origin. */
const WIDTH = 4;

/**
 * One lane for each endpoint, so that one that is slow holds up its own notices only. Without lanes sixteen notices that wait for their
 * timeout would keep everybody else's back for that long.
 */
export class EndpointLanes {
  readonly #lanes = new Map<string, LimitFunction>();

  /** Runs `work` when it is its turn. */
  async run<T>(endpoint: string, work: () => Promise<T>): Promise<T> {
    const limit = this.#lanes.get(endpoint) ?? pLimit(WIDTH);
    this.#lanes.set(endpoint, limit);
    try {
      return await limit(work);
    } finally {
      if (limit.activeCount + limit.pendingCount === 0) this.#lanes.delete(endpoint);
    }
  }
}
