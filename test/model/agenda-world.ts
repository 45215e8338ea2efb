import type { AgendaGuards, Merge, Message, Shard } from './agenda-book.ts';
import type { Sorted } from './sorted-record.ts';

export interface LineUpAdd {
  readonly id: string;
  /** The message may land any time after its name was made, even after the removal. */
  readonly late?: boolean;
  /** Posted twice: the first answer was lost. */
  readonly twice?: boolean;
  /** Begins with the second post; the first is long merged. */
  readonly fromRetry?: boolean;
}

export interface LineUpRemoval {
  readonly id: string;
  /** The caller may die before it revokes. */
  readonly mayCrash?: boolean;
  /** Begins when the removal is written and merged, and only the revocation is left. */
  readonly merged?: boolean;
}

/** Who takes part, and what may go wrong. */
export interface AgendaLineUp {
  readonly name: string;
  /** The ids of each shard, by their hash. */
  readonly shards: readonly (readonly string[])[];
  /** Ids that are entries from the start, due at once. */
  readonly entries?: readonly string[];
  /** Ids whose add is in the inbox from the start. With `entries`: merged, and the worker died before deleting it. */
  readonly waiting?: readonly string[];
  /** Callers who get a lease and post it. */
  readonly adds?: readonly LineUpAdd[];
  readonly removes?: readonly LineUpRemoval[];
  /** Leases that are lost without anybody having asked for it. */
  readonly losses?: readonly string[];
  readonly scans?: number;
  readonly workers: number;
  /** Requests on the bus from the start, for each shard. */
  readonly asked?: number;
  /** How often the bus delivers what a scan publishes. */
  readonly deliveries?: number;
  readonly ticks?: number;
  /** When new entries are due. */
  readonly due?: number;
  /** Crashes of workers and scans. */
  readonly crashes?: number;
  /** Writes that are done, but whose answer is lost. */
  readonly unknowns?: number;
}

export interface Caller {
  readonly name: string;
  readonly id: string;
  at: 'issue' | 'POST add' | 'POST add again' | 'POST rm' | 'POST rm late' | 'revoke' | 'done' | 'dead';
  made: number;
}

export interface Scan {
  readonly name: string;
  at: 'begin' | 'LIST' | 'READ' | 'publish' | 'done' | 'dead';
  n: number;
  found: readonly number[];
  /** Due and posted before the scan began, and nobody has taken them on since. For the invariant only. */
  owed: readonly string[];
}

export interface Worker {
  readonly name: string;
  at:
    | 'idle'
    | 'READ'
    | 'LIST'
    | 'READ m'
    | 'LOOKUP'
    | 'CAS'
    | 'DELETE m'
    | 'RENEW'
    | 'publish'
    | 'done'
    | 'dead';
  pass: 'claim' | 'results' | 'clear';
  n: number;
  shard: Shard;
  /** Messages of the listing still to be read, then those still to be deleted. */
  unread: readonly string[];
  names: readonly string[];
  M: Sorted<Message>;
  lookups: readonly string[];
  dead: readonly string[];
  body: Merge | null;
  rounds: Sorted<number>;
  torenew: readonly string[];
  results: Sorted<'ok' | 'lost'>;
  say: readonly string[];
}

export interface AgendaWorld {
  now: number;
  shards: readonly Shard[];
  inbox: readonly Sorted<Message>[];
  bus: readonly number[];
  leases: Sorted<'unborn' | 'live' | 'revoked' | 'lost'>;
  callers: readonly Caller[];
  scans: readonly Scan[];
  workers: readonly Worker[];
  crashes: number;
  unknowns: number;
  /** What the invariants remember. */
  posted: readonly string[];
  removing: readonly string[];
  removed: readonly string[];
  renewed: readonly string[];
  announced: readonly string[];
  broken: string | null;
}

/** One request of a process: what it does to the world and to the process. */
export type Move<P> = readonly [label: string, act: (w: AgendaWorld, p: P) => void];

/** Later than anything a line-up does: every claim has lapsed and every tombstone is old. */
export const END = 100;
export const emptyShard: Shard = { v: 0, E: {}, T: {} };
export const over = (p: { at: string }) => p.at === 'done' || p.at === 'dead';
export const replace = <T>(list: readonly T[], i: number, item: T) =>
  list.map((old, j) => (j === i ? item : old));
export const including = (list: readonly string[], id: string) =>
  list.includes(id) ? list : [...list, id].sort();

export const newScan = (name: string): Scan => ({ name, at: 'begin', n: 0, found: [], owed: [] });
export const newWorker = (name: string): Worker => ({
  ...{
    name,
    at: 'idle',
    pass: 'claim',
    n: 0,
    shard: emptyShard,
    unread: [],
    names: [],
    M: {},
    lookups: [],
    dead: [],
  },
  ...{ body: null, rounds: {}, torenew: [], results: {}, say: [] },
});

/** Who takes part under which guards. */
export interface AgendaCase {
  readonly lineUp: AgendaLineUp;
  readonly g: AgendaGuards;
}

export const shardOf = ({ lineUp }: AgendaCase, id: string) =>
  lineUp.shards.findIndex((ids) => ids.includes(id));

/** Remembers the first thing that broke. */
export function breaks(w: AgendaWorld, what: string) {
  w.broken ??= what;
}
