import type { LeasekeeperEvent } from './events.ts';

/** Where events go. */
export interface Bus {
  /**
   * Hands events over and says which the bus has taken, by id. For an outcome, taken means that it cannot be lost any more: it is in
   * EventBridge, or in one process every worker that must has recorded it. Throws only when nothing was taken.
   */
  publish(events: readonly LeasekeeperEvent[]): Promise<ReadonlySet<string>>;
}
