import { ulid } from 'ulid';
import type { Bus } from '../bus/bus.ts';
import { eventId } from '../bus/events.ts';

export interface SendWorkerDependencies {
  readonly bus: Bus;
  readonly now: () => number;
  /** The shard of the book `rotations` that a name is in. */
  readonly shardOf: (name: string) => Promise<number>;
}

/** Has a worker look at a managed secret now. Throws what the bus and the book throw; the hint is there all the same. */
export async function sendWorker(deps: SendWorkerDependencies, name: string): Promise<void> {
  const time = new Date(deps.now()).toISOString();
  const data = { shard: await deps.shardOf(name) };
  await deps.bus.publish([{ id: eventId('rotation.due', name, ulid()), type: 'rotation.due', time, data }]);
}
