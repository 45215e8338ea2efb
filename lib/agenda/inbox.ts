import { createHash } from 'node:crypto';
import { decodeTime, ulid } from 'ulid';
import * as z from 'zod';
import type { AgendaEntry, ShardState } from './shard.ts';

/** What a writer asks of a shard. Every message is written once, under a name of its own (a ULID, which holds its time). */
export type InboxMessage<E extends AgendaEntry> =
  | { readonly op: 'add'; readonly entry: E }
  | { readonly op: 'remove'; readonly id: string };

export interface ReceivedMessage<E extends AgendaEntry> {
  readonly name: string;
  /** Milliseconds since the epoch: when it was written. */
  readonly writtenAt: number;
  readonly message: InboxMessage<E>;
}

const ULID_LENGTH = 26;

/**
 * A name for a message written at `now` (milliseconds), never used again: a ULID. One that is about a single id says which by a hash, so
 * that whoever looks for that id need not read them all.
 */
export function messageName(now: number, id?: string): string {
  return id === undefined ? ulid(now) : `${ulid(now)}-${hashOf(id)}`;
}

/** When a message was written, in milliseconds since the epoch. Throws for what is no name of a message. */
export function writtenAt(name: string): number {
  return decodeTime(name.slice(0, ULID_LENGTH));
}

export function isAbout(name: string, id: string): boolean {
  return name.slice(ULID_LENGTH) === `-${hashOf(id)}`;
}

function hashOf(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 12);
}

/** How a book takes a message for an id it already has: a lease stays as it is, a hint takes the least time due. */
export type MergeEntry<E extends AgendaEntry> = (existing: E, incoming: E) => E;

/** How long a tombstone is kept, and beyond which age a message's lease is looked up before it is believed. */
export const TOMBSTONE_MS = 3_600_000;

function messageSchema<E extends AgendaEntry>(entry: z.ZodType<E>): z.ZodType<InboxMessage<E>> {
  return z.union([
    z.object({ op: z.literal('add'), entry }),
    z.object({ op: z.literal('remove'), id: z.string() }),
  ]);
}

/** As it is stored: several entries may be posted as one. */
const postedSchema = <E extends AgendaEntry>(entry: z.ZodType<E>) =>
  z.union([
    messageSchema(entry).transform((message) => [message]),
    z
      .object({ op: z.literal('add_all'), entries: z.array(entry).min(1) })
      .transform(({ entries }) => entries.map((one): InboxMessage<E> => ({ op: 'add', entry: one }))),
  ]);

/** What a stored message asks for, one by one. Throws a ZodError or a SyntaxError for what is none. */
export function messagesIn<E extends AgendaEntry>(
  text: string,
  entry: z.ZodType<E>,
): readonly InboxMessage<E>[] {
  return postedSchema(entry).parse(JSON.parse(text));
}

/** The text of a message that adds entries. */
export function additionOf(entries: readonly AgendaEntry[]): string {
  const [entry, ...others] = entries;
  return JSON.stringify(others.length === 0 ? { op: 'add', entry } : { op: 'add_all', entries });
}

/** Messages that are older than any tombstone: only a look at Vault tells whether what they add is still alive. */
export function mustBeLookedUp<E extends AgendaEntry>(received: ReceivedMessage<E>, now: number): boolean {
  return received.message.op === 'add' && now - received.writtenAt > TOMBSTONE_MS;
}

/** Applies messages to a shard, oldest first. Pure; messages for dead leases are left out by the caller. */
export function mergeMessages<E extends AgendaEntry>(
  state: ShardState<E>,
  received: readonly ReceivedMessage<E>[],
  merge: MergeEntry<E>,
  now: number,
): ShardState<E> {
  const entries = new Map(state.entries);
  const tombstones = new Map(state.tombstones);
  for (const { message } of [...received].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (message.op === 'remove') {
      entries.delete(message.id);
      tombstones.set(message.id, now);
    } else if (!tombstones.has(message.entry.id)) {
      const existing = entries.get(message.entry.id);
      entries.set(message.entry.id, existing === undefined ? message.entry : merge(existing, message.entry));
    }
  }
  return { entries, tombstones };
}

/**
 * A shard without the tombstones whose time is over. One is kept for as long as a visit still sees a message that would add its id: whoever
 * deletes messages may be slow, and the removal's own may go first.
 */
export function withoutOldTombstones<E extends AgendaEntry>(
  state: ShardState<E>,
  received: readonly ReceivedMessage<E>[],
  now: number,
): ShardState<E> {
  const seen = new Set(received.flatMap(({ message }) => (message.op === 'add' ? [message.entry.id] : [])));
  const tombstones = new Map(
    [...state.tombstones].filter(([id, goneAt]) => now - goneAt <= TOMBSTONE_MS || seen.has(id)),
  );
  return tombstones.size === state.tombstones.size ? state : { entries: state.entries, tombstones };
}
