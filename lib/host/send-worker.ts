import { ulid } from 'ulid';
import { eventId } from '../bus/events.ts';
import { sendWorker } from '../rotation/send-worker.ts';
import type { ManageDependencies } from './wire.ts';

/** Has a worker look at a managed secret now. Only to be quick: the hint was posted, so the next scan would find it. Never throws. */
export async function trySendWorker(
  deps: Pick<ManageDependencies, 'bus' | 'now' | 'onError' | 'shardOfSecret'>,
  name: string,
): Promise<void> {
  try {
    await sendWorker({ ...deps, shardOf: deps.shardOfSecret }, name);
  } catch (error) {
    deps.onError(error, name);
  }
}

/** The same for dispatches, by their keys. */
export async function trySendDeliverers(
  { bus, now, onError, deliveries }: Pick<ManageDependencies, 'bus' | 'now' | 'onError' | 'deliveries'>,
  keys: readonly string[],
): Promise<void> {
  try {
    const shards = new Set(await Promise.all(keys.map((key) => deliveries.shardOf(key))));
    const time = new Date(now()).toISOString();
    const events = [...shards].map((shard) => ({
      id: eventId('delivery.due', shard, ulid()),
      type: 'delivery.due' as const,
      time,
      data: { shard },
    }));
    if (events.length > 0) await bus.publish(events);
  } catch (error) {
    onError(error, 'deliveries');
  }
}
