import { createHash } from 'node:crypto';

/** The shard of an id: the same on every machine, and spread evenly. */
export function shardOf(id: string, shards: number): number {
  return createHash('sha256').update(id).digest().readUInt32BE(0) % shards;
}

/** A number in [0, 1) that is the same for one id on every machine: spreads what would else fall due together. */
export function spreadOf(id: string): number {
  return createHash('sha256').update(`spread:${id}`).digest().readUInt32BE(0) / 2 ** 32;
}
