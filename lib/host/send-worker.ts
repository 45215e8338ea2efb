import { ulid } from 'ulid';
import { eventId } from '../bus/events.ts';
import type { ManageDependencies } from './wire.ts';

/** Has a worker look at a managed secret now. Only to be quick: the hint was posted, so the next scan would find it. Never throws. */
export async function sendWorker(
  deps: Pick<ManageDependencies, 'bus' | 'now' | 'onError' | 'shardOfSecret'>,
  name: string,
): Promise<void> {
  const time = new Date(deps.now()).toISOString();
  try {
    const shard = await deps.shardOfSecret(name);
    const id = eventId('rotation.due', name, ulid());
    await deps.bus.publish([{ id, type: 'rotation.due', time, data: { shard } }]);
  } catch (error) {
    deps.onError(error, name);
  }
}
