import * as z from 'zod';
import { isVaultError } from './errors.ts';
import type { KvStore } from './kv-store.ts';

/**
 * What consumers say they have adopted: one document for each consumer of each managed secret, written by the consumer itself. Its own
 * Vault policy says which it may write (`create`, `read` and `update` on that one path), so nobody speaks for another.
 */
const acknowledgementSchema = z.object({ generation: z.number().int().min(1) });

/** What stands in a consumer's document. */
export interface Acknowledged {
  readonly generation: number;
  /** False when it, or a later one, stood there already. */
  readonly isNew: boolean;
}

/** Where a consumer's acknowledgement is in the state mount. */
export function acknowledgementPath(name: string, consumer: string): string {
  return `acks/${name}/${consumer}`;
}

/** The generation in the data of such a document; undefined when it is none. */
export function acknowledgedIn(data: unknown): number | undefined {
  return acknowledgementSchema.safeParse(data).data?.generation;
}

/** Takes down that a consumer has adopted a generation. It never goes back to a lower one. Throws VaultError. */
export async function writeAcknowledgement(
  store: KvStore,
  name: string,
  consumer: string,
  generation: number,
): Promise<Acknowledged> {
  const path = acknowledgementPath(name, consumer);
  for (;;) {
    const { entry, version } = await store.read(path);
    const known = acknowledgedIn(entry?.data);
    if (known !== undefined && known >= generation) return { generation: known, isNew: false };
    if (await written(store, path, generation, version)) return { generation, isNew: true };
  }
}

async function written(store: KvStore, path: string, generation: number, cas: number): Promise<boolean> {
  try {
    await store.write(path, { generation }, cas);
    return true;
  } catch (error) {
    if (isVaultError(error, 'vault_cas_mismatch')) return false;
    throw error;
  }
}
