import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import * as z from 'zod';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { isVaultError, VaultError } from '../vault/errors.ts';
import type { KvStore } from '../vault/kv-store.ts';
import {
  additionOf,
  isAbout,
  type MergeEntry,
  mergeMessages,
  messageName,
  messagesIn,
  mustBeLookedUp,
  type ReceivedMessage,
  withoutOldTombstones,
  writtenAt,
} from './inbox.ts';
import { type AgendaEntry, packShard, SHARD_CAP_BYTES, type ShardState, unpackShard } from './shard.ts';
import { type ShardDelta, sameState, withDelta } from './shard-delta.ts';
import { shardOf } from './shard-of.ts';

/** What one kind of book holds and how it takes messages. */
export interface BookKind<E extends AgendaEntry> {
  readonly name: 'leases' | 'rotations' | 'deliveries';
  readonly entry: z.ZodType<E>;
  readonly merge: MergeEntry<E>;
}

export interface BookOptions<E extends AgendaEntry> {
  readonly kind: BookKind<E>;
  readonly store: KvStore;
  /** Milliseconds since the epoch, by Vault's clock. */
  readonly now: () => number;
  readonly random: () => number;
  /** Asked for an entry whose message is older than every tombstone. Default: believed. */
  readonly isAlive?: (entry: E) => Promise<boolean>;
  /** Told of what needs a person. The rest of the book goes on. */
  readonly onTrouble?: (trouble: BookTrouble) => void;
}

/** A shard without room for an entry, which waits in the inbox; a message, or a whole shard, that cannot be read. */
export type BookTrouble =
  | { readonly kind: 'shard_full' | 'shard_unreadable'; readonly shard: number }
  | { readonly kind: 'message_unreadable'; readonly shard: number; readonly message: string };

/** One shard as a scan saw it. */
export interface ScannedShard<E extends AgendaEntry> {
  readonly shard: number;
  readonly entries: readonly E[];
  /** Its inbox has messages that no worker has merged. */
  readonly fresh: boolean;
}

/** A shard at a known version: what a visit leaves behind, and the next may start from. */
export interface VisitedShard<E extends AgendaEntry> {
  readonly version: number;
  readonly state: ShardState<E>;
}

const aboutSchema = z.object({ shards: z.number().int().min(1).max(1024), schema: z.literal(1) });
const inboxDocument = z.object({ message: z.string() });

const PARALLEL_REQUESTS = 8;
const MOST_MESSAGES_A_VISIT = 1_000;
/** Each lost check-and-set means that another worker got on; this many in a row means that something is wrong. */
const MOST_TRIES = 40;

/**
 * A book of durable timers on KV v2: a fixed number of shards, and an inbox for each. Writers post messages without contention;
 * workers visit a shard, merge its inbox and change it by check-and-set. docs/architecture.md, "The agenda", says why each order
 * of reads and writes is as it is; the protocol was searched exhaustively (test/model).
 */
export class Book<E extends AgendaEntry> {
  readonly kind: BookKind<E>;
  readonly #store: KvStore;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #isAlive: (entry: E) => Promise<boolean>;
  readonly #limit = pLimit(PARALLEL_REQUESTS);
  readonly #onTrouble: (trouble: BookTrouble) => void;
  #shards: Promise<number> | undefined;

  constructor(options: BookOptions<E>) {
    this.kind = options.kind;
    this.#store = options.store;
    this.#now = options.now;
    this.#random = options.random;
    this.#isAlive = options.isAlive ?? (() => Promise.resolve(true));
    this.#onTrouble = options.onTrouble ?? (() => {});
  }

  /** Writes `about` when the book is new. The number of shards of a book never changes: an existing book keeps its own. */
  async create(shards: number): Promise<void> {
    try {
      await this.#store.write(this.#path('about'), { shards, schema: 1 }, 0);
    } catch (error) {
      if (!isVaultError(error, 'vault_cas_mismatch')) throw error;
    }
  }

  /** Puts an entry under care. When this returns, no scan that begins later overlooks it. */
  async add(entry: E): Promise<void> {
    await this.addAll([entry]);
  }

  /** As `add`, for several at the price of one for each shard. */
  async addAll(entries: readonly E[]): Promise<void> {
    const shards = await Promise.all(entries.map((entry) => this.shardOf(entry.id)));
    await Promise.all(
      [...new Set(shards)].map((shard) => {
        const added = entries.filter((_, index) => shards[index] === shard);
        return this.#post(shard, additionOf(added), added.length === 1 ? added[0]?.id : undefined);
      }),
    );
  }

  /** Takes an entry out of care. Called *before* the lease is revoked, so that nobody reports it as lost. */
  async remove(id: string): Promise<void> {
    await this.#post(await this.shardOf(id), JSON.stringify({ op: 'remove', id }), id);
  }

  /** The shard that has, or would have, an id. */
  async shardOf(id: string): Promise<number> {
    return shardOf(id, await this.#shardCount());
  }

  /**
   * One entry as a visit would find it: as its shard has it, with what was posted about it alone and waits in the inbox. The inbox is
   * listed first, as in a scan.
   */
  async find(id: string): Promise<E | undefined> {
    const shard = await this.shardOf(id);
    const messages = await this.#readInbox(shard, (name) => isAbout(name, id));
    const { state } = await this.#readShard(shard);
    return mergeMessages(state, messages, this.kind.merge, this.#now()).entries.get(id);
  }

  /**
   * Everything in the book, in one request for each shard and one for the inbox. The inbox is listed first: the other way round, a
   * message merged between the two reads would be in neither.
   */
  async scan(): Promise<readonly ScannedShard<E>[]> {
    const shards = await this.#shardCount();
    const folders = new Set(await this.#store.list(this.#path('inbox')));
    const numbers = Array.from({ length: shards }, (_, shard) => shard);
    return Promise.all(
      numbers.map((shard) =>
        this.#limit(async () => {
          return this.#scanShard(shard, folders.has(`${shard}/`));
        }),
      ),
    );
  }

  /** A shard that cannot be read is left out and told of: the leases in the others must not die with it. */
  async #scanShard(shard: number, fresh: boolean): Promise<ScannedShard<E>> {
    try {
      const { state } = await this.#readShard(shard);
      return { shard, entries: [...state.entries.values()], fresh };
    } catch (error) {
      if (codeOf(error) !== 'agenda_unreadable') throw error;
      this.#onTrouble({ kind: 'shard_unreadable', shard });
      return { shard, entries: [], fresh: false };
    }
  }

  /**
   * Merges the shard's inbox and applies a change, by check-and-set; `apply` runs again on each lost race, so it must decide only
   * from what it is given. With `from`, the first try builds on a state that is already known, without reading anything.
   */
  async visit(
    shard: number,
    apply: (state: ShardState<E>) => ShardDelta<E>,
    from?: VisitedShard<E>,
  ): Promise<VisitedShard<E>> {
    for (let attempt = 0; attempt < MOST_TRIES; attempt += 1) {
      // The shard before the inbox: the other way round, an entry whose tombstone has been dropped since would come back.
      const known = attempt === 0 ? from : undefined;
      const before = known ?? (await this.#readShard(shard));
      const messages = known ? [] : await this.#readInbox(shard);
      const visited = await this.#tryToWrite(shard, before, messages, apply);
      if (visited !== undefined) {
        await this.#deleteMessages(shard, visited.merged);
        return visited;
      }
      await sleep(this.#random() * Math.min(500, 10 * 2 ** attempt));
    }
    throw new LeasekeeperError(
      'agenda_contended',
      `Shard ${shard} of ${this.kind.name} could not be written.`,
      {
        hint: 'Other workers kept writing first. The next scan tries again.',
      },
    );
  }

  async #tryToWrite(
    shard: number,
    before: VisitedShard<E>,
    messages: readonly ReceivedMessage<E>[],
    apply: (state: ShardState<E>) => ShardDelta<E>,
  ): Promise<(VisitedShard<E> & { merged: readonly string[] }) | undefined> {
    const now = this.#now();
    const alive = await this.#withoutDead(before.state, messages, now);
    const merged = mergeMessages(before.state, alive, this.kind.merge, now);
    const after = withoutOldTombstones(withDelta(merged, apply(merged), now), messages, now);
    const names = [...new Set(messages.map(({ name }) => name))];
    if (sameState(before.state, after)) return { ...before, merged: names };
    const packed = await packShard(after);
    if (
      packed.packed.length > SHARD_CAP_BYTES &&
      messages.length > 0 &&
      after.entries.size > before.state.entries.size
    ) {
      return this.#withoutAdditions(shard, before, messages, apply);
    }
    const version = await this.#writeShard(shard, packed, before.version);
    return version === undefined ? undefined : { version, state: after, merged: names };
  }

  /** A full shard still takes removals and changes; additions wait in the inbox, and the error says so. */
  async #withoutAdditions(
    shard: number,
    before: VisitedShard<E>,
    messages: readonly ReceivedMessage<E>[],
    apply: (state: ShardState<E>) => ShardDelta<E>,
  ): Promise<(VisitedShard<E> & { merged: readonly string[] }) | undefined> {
    const removals = messages.filter(({ message }) => message.op === 'remove');
    const isNew = ({ message }: ReceivedMessage<E>) =>
      message.op === 'add' && !before.state.entries.has(message.entry.id);
    // A message is deleted as a whole, so one that adds anything waits as a whole.
    const additions = new Set(messages.filter(isNew).map(({ name }) => name));
    const known = messages.filter(({ name, message }) => message.op === 'add' && !additions.has(name));
    if (removals.length + known.length < messages.length) this.#onTrouble({ kind: 'shard_full', shard });
    return this.#tryToWrite(shard, before, [...removals, ...known], apply);
  }

  async #withoutDead(
    state: ShardState<E>,
    messages: readonly ReceivedMessage<E>[],
    now: number,
  ): Promise<readonly ReceivedMessage<E>[]> {
    const kept = await Promise.all(
      messages.map(async (received) => {
        const { message } = received;
        if (message.op === 'remove' || !mustBeLookedUp(received, now)) return received;
        if (state.entries.has(message.entry.id)) return received;
        return (await this.#isAlive(message.entry)) ? received : undefined;
      }),
    );
    return kept.filter((received) => received !== undefined);
  }

  async #readShard(shard: number): Promise<VisitedShard<E>> {
    const { entry, version } = await this.#store.read(this.#path(`shards/${shard}`));
    return { version, state: await unpackShard(entry?.data, this.kind.entry) };
  }

  /** The new version, or undefined when the race was lost or the outcome is unknown. */
  async #writeShard(shard: number, packed: { packed: string }, version: number): Promise<number | undefined> {
    try {
      return await this.#store.write(this.#path(`shards/${shard}`), packed, version);
    } catch (error) {
      if (isVaultError(error, 'vault_cas_mismatch')) return undefined;
      if (
        error instanceof VaultError &&
        error.processed === 'maybe' &&
        error.code !== 'vault_entry_too_large'
      ) {
        return undefined;
      }
      throw error;
    }
  }

  async #readInbox(
    shard: number,
    isWanted: (name: string) => boolean = () => true,
  ): Promise<readonly ReceivedMessage<E>[]> {
    const folder = this.#path(`inbox/${shard}`);
    const names = (await this.#store.list(folder)).filter(isWanted).slice(0, MOST_MESSAGES_A_VISIT);
    const read = await Promise.all(
      names.map((name) =>
        this.#limit(async () => {
          const { entry } = await this.#store.read(`${folder}/${name}`);
          if (entry === undefined) return []; // Another worker has merged and deleted it.
          return this.#readMessage(shard, name, entry.data);
        }),
      ),
    );
    return read.flat();
  }

  /** A message that cannot be read stays where it is and is reported; it must not stop the shard. */
  #readMessage(shard: number, name: string, data: unknown): readonly ReceivedMessage<E>[] {
    try {
      const time = writtenAt(name);
      const messages = messagesIn(inboxDocument.parse(data).message, this.kind.entry);
      return messages.map((message) => ({ name, writtenAt: time, message }));
    } catch {
      this.#onTrouble({ kind: 'message_unreadable', shard, message: name });
      return [];
    }
  }

  async #deleteMessages(shard: number, names: readonly string[]): Promise<void> {
    await Promise.all(
      names.map((name) =>
        this.#limit(() => this.#store.deleteMetadata(this.#path(`inbox/${shard}/${name}`))),
      ),
    );
  }

  async #post(shard: number, message: string, id?: string): Promise<void> {
    const path = this.#path(`inbox/${shard}/${messageName(this.#now(), id)}`);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#store.write(path, { message }, 0);
        return;
      } catch (error) {
        // The name is ours alone: refused means that an earlier try, whose answer was lost, went through.
        if (attempt > 1 && isVaultError(error, 'vault_cas_mismatch')) return;
        if (attempt >= 4 || !(error instanceof VaultError) || error.processed !== 'maybe') throw error;
      }
    }
  }

  #shardCount(): Promise<number> {
    this.#shards ??= this.#readAbout().catch((error: unknown) => {
      this.#shards = undefined;
      throw error;
    });
    return this.#shards;
  }

  async #readAbout(): Promise<number> {
    const { entry } = await this.#store.read(this.#path('about'));
    if (entry === undefined) {
      throw new LeasekeeperError('agenda_not_set_up', `The book ${this.kind.name} does not exist.`, {
        hint: 'Run `leasekeeper setup` against this Vault.',
      });
    }
    return aboutSchema.parse(entry.data).shards;
  }

  #path(rest: string): string {
    return `agenda/${this.kind.name}/${rest}`;
  }
}
