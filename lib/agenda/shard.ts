import { promisify } from 'node:util';
import { deflateRaw, inflateRaw } from 'node:zlib';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';

/** What every entry of every book has. `due` is in milliseconds since the epoch, by Vault's clock. */
export interface AgendaEntry {
  readonly id: string;
  readonly due: number;
}

/** One shard as it is worked on. Tombstones say when an id was removed, so that a late message cannot bring it back. */
export interface ShardState<E extends AgendaEntry> {
  readonly entries: ReadonlyMap<string, E>;
  readonly tombstones: ReadonlyMap<string, number>;
}

/** A shard is not filled beyond this, in bytes as stored; a raft entry holds 1 MiB and the rest is room for updates. */
export const SHARD_CAP_BYTES = 512 * 1024;

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);

const stored = z.object({ packed: z.string() });
const unpacked = z.object({ v: z.literal(1), e: z.array(z.unknown()), t: z.record(z.string(), z.number()) });

/**
 * All entries as one deflated string: OpenBao refuses a JSON body with a thousand strings, and 100,000 leases then fit in 32 shards
 * of 275 kB.
 */
export async function packShard<E extends AgendaEntry>(state: ShardState<E>): Promise<{ packed: string }> {
  const json = JSON.stringify({
    v: 1,
    e: [...state.entries.values()],
    t: Object.fromEntries(state.tombstones),
  });
  return { packed: (await deflate(json)).toString('base64') };
}

/** Throws `agenda_unreadable` when the document is not a shard of this schema. */
export async function unpackShard<E extends AgendaEntry>(
  data: Readonly<Record<string, unknown>> | undefined,
  entry: z.ZodType<E>,
): Promise<ShardState<E>> {
  if (data === undefined) return { entries: new Map(), tombstones: new Map() };
  try {
    const { packed } = stored.parse(data);
    const shard = unpacked.parse(JSON.parse((await inflate(Buffer.from(packed, 'base64'))).toString()));
    const entries = z.array(entry).parse(shard.e);
    return {
      entries: new Map(entries.map((one) => [one.id, one])),
      tombstones: new Map(Object.entries(shard.t)),
    };
  } catch (cause) {
    throw new LeasekeeperError('agenda_unreadable', 'A shard of the agenda cannot be read.', {
      hint: 'It was written by a later version, or by hand. An earlier version of the document may still be in KV.',
      cause,
    });
  }
}
