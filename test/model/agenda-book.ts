import { drop, put, type Sorted } from './sorted-record.ts';

/** The agenda's clock: whole ticks. A tombstone or message is old when more than TOMB ticks have passed. */
export const TOMB = 1;
/** How far a claim moves an entry's due time. */
const CLAIM = 1;
/** How far a renewal moves it. */
const PERIOD = 2;

export interface Entry {
  readonly due: number;
  /** The worker whose claim stands, if any. */
  readonly claim: string | null;
  /** Lost, and `lease.lost` is not known to be published. */
  readonly unpublished: boolean;
}

export interface Message {
  readonly op: 'add' | 'rm';
  readonly id: string;
  /** When its name was made (the time within its ULID). */
  readonly at: number;
  readonly due: number;
}

export interface Shard {
  readonly v: number;
  readonly E: Sorted<Entry>;
  readonly T: Sorted<number>;
}

/** Each one a reason for a line of the protocol; the tests take them out one at a time. */
export const agendaGuards = {
  /** scan: inbox first, shards second. */
  scanInboxFirst: true,
  /** visit: shard first, inbox second. */
  visitShardFirst: true,
  /** A removal leaves a tombstone. */
  tombstones: true,
  /** No tombstone is dropped while a message that would add its id was seen in the inbox. */
  keepTombstoneOfMessage: true,
  /** A message older than TOMB is added only if its lease is alive. */
  lookupOldMessages: true,
  /** The entry that is there wins over a message. */
  entryWins: true,
  /** A shard is written at the version read. */
  checkAndSet: true,
  /** Every message has a name of its own, never used again. */
  uniqueMessageNames: true,
  /** A message posted again, because the first answer was lost, carries the time of the first. */
  retryKeepsTime: true,
  /** Claimed by check-and-set before renewing. */
  claims: true,
  /** Messages are deleted once the shard holds them. */
  deleteAfterCas: true,
  /** A lost write of results never repeats the renewals. */
  keepResults: true,
  /** Results change only entries that are still there and still claimed by this worker. */
  applyIsDelta: true,
  /** A removal is written before the lease is revoked. */
  removeBeforeRevoke: true,
  /** Who comes to revoke later than TOMB after its removal was written, writes it again first. */
  removeAgainWhenLate: true,
  /** Shard and inbox are read again before `lease.lost` is said. */
  lookAgainBeforeLost: true,
};
export type AgendaGuards = typeof agendaGuards;

export interface Merge {
  readonly E: Sorted<Entry>;
  readonly T: Sorted<number>;
  readonly removed: readonly string[];
}

interface Seen {
  readonly E: Sorted<Entry>;
  readonly T: Sorted<number>;
  /** Messages by name, in the order of their names. */
  readonly M: Sorted<Message>;
}

/** The ids for which a LOOKUP is due before their message may be added. */
export function toLookUp({ E, T, M }: Seen, now: number, g: AgendaGuards): string[] {
  if (!g.lookupOldMessages) return [];
  const old = Object.values(M).filter((m) => m.op === 'add' && now - m.at > TOMB);
  return [...new Set(old.map((m) => m.id))].filter((id) => !(id in T) && !(id in E));
}

/** `for m in M` of visit: what the shard holds once the messages are in it. `dead`: ids whose LOOKUP said so. */
export function merge(seen: Seen, dead: readonly string[], now: number, g: AgendaGuards): Merge {
  let { E, T } = seen;
  const removed: string[] = [];
  for (const m of Object.values(seen.M)) {
    if (m.op === 'rm') {
      E = drop(E, m.id);
      if (g.tombstones) T = put(T, m.id, now);
      removed.push(m.id);
    } else if (!(m.id in T) && !(m.id in E && g.entryWins) && !dead.includes(m.id)) {
      E = put(E, m.id, { due: m.due, claim: null, unpublished: false });
    }
  }
  return { E, T, removed };
}

/** `drop tombstones older than TOMB`. */
export function dropOldTombstones(
  T: Sorted<number>,
  M: Sorted<Message>,
  now: number,
  g: AgendaGuards,
): Sorted<number> {
  const adds = Object.values(M).flatMap((m) => (m.op === 'add' ? [m.id] : []));
  const kept = Object.entries(T).filter(
    ([id, goneAt]) => now - goneAt <= TOMB || (g.keepTombstoneOfMessage && adds.includes(id)),
  );
  return kept.length === Object.keys(T).length ? T : Object.fromEntries(kept);
}

/** apply, first visit: claims what is due. Answers the due time each claimed entry had: its round. */
export function claim(
  E: Sorted<Entry>,
  me: string,
  before: Sorted<number>,
  now: number,
  g: AgendaGuards,
): { E: Sorted<Entry>; rounds: Sorted<number> } {
  let claimed = E;
  let rounds: Sorted<number> = {};
  for (const [id, entry] of Object.entries(E)) {
    const mine = before[id];
    if (entry.claim === me && mine !== undefined) rounds = put(rounds, id, mine);
    else if (entry.due <= now) {
      rounds = put(rounds, id, entry.due);
      if (g.claims) claimed = put(claimed, id, { ...entry, due: now + CLAIM, claim: me });
    }
  }
  return { E: claimed, rounds };
}

/** apply, second visit: a delta of what the renewals answered. */
export function applyResults(
  E: Sorted<Entry>,
  me: string,
  results: Sorted<'ok' | 'lost'>,
  now: number,
  g: AgendaGuards,
): Sorted<Entry> {
  let applied = E;
  for (const [id, result] of Object.entries(results)) {
    const entry = E[id];
    const mine = entry !== undefined && (entry.claim === me || !g.claims);
    if (g.applyIsDelta && !mine) continue;
    const after: Entry =
      result === 'ok'
        ? { due: now + PERIOD, claim: null, unpublished: false }
        : { due: now, claim: me, unpublished: true };
    applied = put(applied, id, after);
  }
  return applied;
}

/** apply, third visit: the entries whose `lease.lost` is out. */
export function applyPublished(from: Merge, said: readonly string[], now: number, g: AgendaGuards): Merge {
  let { E, T } = from;
  for (const id of said.filter((id) => E[id]?.unpublished)) {
    E = drop(E, id);
    if (g.tombstones) T = put(T, id, now);
  }
  return { ...from, E, T };
}
