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
