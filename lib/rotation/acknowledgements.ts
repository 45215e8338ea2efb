import * as z from 'zod';
import { isVaultError } from '../vault/errors.ts';
import type { KvStore } from '../vault/kv-store.ts';
import type { RotationState } from './state.ts';

/**
 * What consumers say they have adopted: one document for each consumer of each managed secret, written by the consumer itself. Its own
 * Vault policy says which it may write, so nobody speaks for another.
 */
const acknowledgementSchema = z.object({ generation: z.number().int().min(1) });

/** Where a consumer's acknowledgement is in the state mount. */
export function acknowledgementPath(name: string, consumer: string): string {
  return `acks/${name}/${consumer}`;
}

/** Takes down that a consumer has adopted a generation. It never goes back to a lower one. Returns what stands there then. */
export async function acknowledge(
  store: KvStore,
  name: string,
  consumer: string,
  generation: number,
): Promise<number> {
  for (;;) {
    const { entry, version } = await store.read(acknowledgementPath(name, consumer));
    const known = acknowledgementSchema.safeParse(entry?.data);
    if (known.success && known.data.generation >= generation) return known.data.generation;
    if (await written(store, acknowledgementPath(name, consumer), generation, version)) return generation;
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

/**
 * What these consumers have acknowledged. One that speaks for a generation before that became current has not seen it: it is left out.
 */
export async function readAcknowledgements(
  store: KvStore,
  name: string,
  consumers: readonly string[],
  state: RotationState,
): Promise<Readonly<Record<string, number>>> {
  const read = await Promise.all(
    consumers.map(async (consumer) => {
      const { entry } = await store.read(acknowledgementPath(name, consumer));
      const parsed = acknowledgementSchema.safeParse(entry?.data);
      if (entry === undefined || !parsed.success) return undefined;
      const { generation } = parsed.data;
      return Date.parse(entry.createdTime) < becameCurrent(state, generation)
        ? undefined
        : ([consumer, generation] as const);
    }),
  );
  return Object.fromEntries(read.filter((one) => one !== undefined));
}

/** When a generation became current, in milliseconds, less what clocks may differ by; 0 for one long past. */
function becameCurrent(state: RotationState, generation: number): number {
  if (state.cur !== undefined && generation >= state.cur.g) return state.cur.since - CLOCK_SLACK_MS;
  const past = state.history.find(({ g }) => g === generation);
  return past === undefined ? 0 : past.promoted - CLOCK_SLACK_MS;
}

const CLOCK_SLACK_MS = 2_000;
