import { acknowledgedIn, acknowledgementPath } from '../vault/acknowledgements.ts';
import type { KvStore } from '../vault/kv-store.ts';
import type { RotationState } from './state.ts';

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
      const generation = acknowledgedIn(entry?.data);
      if (entry === undefined || generation === undefined) return undefined;
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
