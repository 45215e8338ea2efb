import { ulid } from 'ulid';
import type { Book, ScannedShard } from '../agenda/book.ts';
import type { Hint } from '../agenda/hint.ts';
import type { Bus } from '../bus/bus.ts';
import { type Command, eventId } from '../bus/events.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { handoverStart, isDue, type LeasePolicy } from './decide.ts';
import type { CareEntry } from './entry.ts';

export interface ScanDependencies {
  readonly leases: Book<CareEntry>;
  readonly rotations: Book<Hint>;
  readonly deliveries: Book<Hint>;
  readonly bus: Bus;
  readonly metrics: Metrics;
  readonly policy: LeasePolicy;
  readonly now: () => number;
  /** Most shards put to work by one scan, soonest to expire first: a returning Vault is not trampled. */
  readonly mostShards?: number;
}

export interface ScanReport {
  readonly entries: number;
  readonly due: number;
  /** Milliseconds since the oldest entry fell due; 0 when nothing is overdue. */
  readonly oldestOverdueMs: number;
  readonly published: number;
}

interface DueShard {
  readonly command: Command;
  readonly earliest: number;
}

const MOST_SHARDS = 64;

/**
 * Finds what is due in all three books and has the workers sent to it. Reads each shard once and each inbox once, whatever the number
 * of entries; changes nothing.
 */
export async function scanBooks(deps: ScanDependencies): Promise<ScanReport> {
  const [leases, rotations, deliveries] = await Promise.all([
    deps.leases.scan(),
    deps.rotations.scan(),
    deps.deliveries.scan(),
  ]);
  const now = deps.now();
  const due = [
    ...dueLeaseShards(leases, now, deps.policy),
    // A grace is a promise: what rotates and what is delivered is never early, so there is no look-ahead.
    ...dueHintShards('rotation.due', rotations, now),
    ...dueHintShards('delivery.due', deliveries, now),
  ].sort((a, b) => a.earliest - b.earliest);
  const commands = due.slice(0, deps.mostShards ?? MOST_SHARDS).map(({ command }) => command);
  if (commands.length > 0) await deps.bus.publish(commands);
  return report(deps, { leases, rotations, deliveries }, now, commands.length);
}

function dueLeaseShards(
  shards: readonly ScannedShard<CareEntry>[],
  now: number,
  policy: LeasePolicy,
): readonly DueShard[] {
  const all = shards.flatMap(({ entries }) => entries);
  const inUse = new Set(
    all.flatMap((entry) => (entry.kind === 'lease' && entry.parent ? [entry.parent] : [])),
  );
  const ends = new Map(
    all.flatMap((entry) => (entry.kind === 'token' && entry.final ? [[entry.accessor, entry.expire]] : [])),
  );
  return shards.flatMap(({ shard, entries, fresh }) => {
    const dueEntries = entries.filter(
      (entry) => isDue(entry, now, policy) || mustHearOfParent(entry, ends, now, policy),
    );
    if (dueEntries.length === 0 && !fresh) return [];
    const idle = dueEntries.flatMap((entry) =>
      entry.kind === 'token' && !inUse.has(entry.accessor) ? [entry.accessor] : [],
    );
    const parents = new Set(
      entries.flatMap((entry) => (entry.kind === 'lease' && entry.parent ? [entry.parent] : [])),
    );
    const data = {
      shard,
      scanned_at: now,
      idle_parents: idle,
      ending_parents: Object.fromEntries([...ends].filter(([accessor]) => parents.has(accessor))),
    };
    return [
      {
        command: {
          id: eventId('leases.due', ulid()),
          type: 'leases.due',
          time: new Date(now).toISOString(),
          data,
        },
        earliest: soonestEnd(dueEntries) ?? now + policy.scanIntervalMs,
      } satisfies DueShard,
    ];
  });
}

/** Undefined for a shard that only has messages: what was just put under care lives for three scan intervals at least. */
function soonestEnd(entries: readonly CareEntry[]): number | undefined {
  return entries
    .map(({ expire }) => expire)
    .reduce<number | undefined>((a, b) => Math.min(a ?? b, b), undefined);
}

/** A lease whose parent token ends first, and whose handover begins by that. */
function mustHearOfParent(
  entry: CareEntry,
  ends: ReadonlyMap<string, number>,
  now: number,
  policy: LeasePolicy,
): boolean {
  if (entry.kind !== 'lease' || entry.parent === undefined || entry.told?.includes('expiring')) return false;
  const end = ends.get(entry.parent);
  if (end === undefined || end >= entry.expire) return false;
  return handoverStart({ ...entry, expire: end }, policy) <= now + policy.lookAheadMs;
}

function dueHintShards(
  type: 'rotation.due' | 'delivery.due',
  shards: readonly ScannedShard<Hint>[],
  now: number,
): readonly DueShard[] {
  return shards.flatMap(({ shard, entries, fresh }) => {
    const earliest = Math.min(...entries.map(({ due }) => due));
    if (earliest > now && !fresh) return [];
    const command: Command = {
      id: eventId(type, ulid()),
      type,
      time: new Date(now).toISOString(),
      data: { shard },
    };
    return [{ command, earliest: Math.min(earliest, now) }];
  });
}

function report(
  deps: ScanDependencies,
  books: {
    readonly leases: readonly ScannedShard<CareEntry>[];
    readonly rotations: readonly ScannedShard<Hint>[];
    readonly deliveries: readonly ScannedShard<Hint>[];
  },
  now: number,
  published: number,
): ScanReport {
  deps.metrics.set('leasekeeper_last_scan_timestamp_seconds', now / 1_000);
  const counts = Object.entries(books).map(([book, shards]) => {
    const dues = shards.flatMap(({ entries }) => entries.map(({ due }) => due));
    const overdue = dues.filter((due) => due <= now);
    const oldest = overdue.length === 0 ? 0 : now - overdue.reduce((a, b) => Math.min(a, b));
    deps.metrics.set('leasekeeper_agenda_due', overdue.length, { book });
    deps.metrics.set('leasekeeper_agenda_oldest_overdue_seconds', oldest / 1_000, { book });
    return { entries: dues.length, due: overdue.length, oldest };
  });
  return {
    entries: counts.reduce((sum, { entries }) => sum + entries, 0),
    due: counts.reduce((sum, { due }) => sum + due, 0),
    oldestOverdueMs: Math.max(...counts.map(({ oldest }) => oldest)),
    published,
  };
}
