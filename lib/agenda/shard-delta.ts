import type { AgendaEntry, ShardState } from './shard.ts';

/** What a visit changes. `remove` leaves a tombstone, so that a late message cannot bring the id back; `forget` leaves none. */
export interface ShardDelta<E extends AgendaEntry> {
  readonly set?: readonly E[];
  readonly remove?: readonly string[];
  readonly forget?: readonly string[];
}

/** The shard once a visit's change is made, at `now` (milliseconds). */
export function withDelta<E extends AgendaEntry>(
  state: ShardState<E>,
  delta: ShardDelta<E>,
  now: number,
): ShardState<E> {
  const entries = new Map(state.entries);
  const tombstones = new Map(state.tombstones);
  for (const entry of delta.set ?? []) entries.set(entry.id, entry);
  for (const id of delta.forget ?? []) entries.delete(id);
  for (const id of delta.remove ?? []) {
    entries.delete(id);
    tombstones.set(id, now);
  }
  return { entries, tombstones };
}

/** Whether nothing is to be written. Entries are values that are replaced, never changed, so identity tells. */
export function sameState<E extends AgendaEntry>(a: ShardState<E>, b: ShardState<E>): boolean {
  if (a.entries.size !== b.entries.size || a.tombstones.size !== b.tombstones.size) return false;
  for (const [id, entry] of a.entries) if (b.entries.get(id) !== entry) return false;
  // A second removal counts from its own time: a message on its way since the first one must not outlive the tombstone.
  for (const [id, goneAt] of a.tombstones) if (b.tombstones.get(id) !== goneAt) return false;
  return true;
}
