import type { Book } from '../agenda/book.ts';
import type { Hint } from '../agenda/hint.ts';
import type { Bus } from '../bus/bus.ts';
import { eventId, type Outcome } from '../bus/events.ts';
import { deliveryId, newDelivery } from './delivery.ts';
import type { NoticeStore } from './notice-store.ts';
import { wants } from './subscription.ts';

export interface RecordDependencies {
  readonly notices: NoticeStore;
  readonly book: Book<Hint>;
  readonly bus: Bus;
  readonly now: () => number;
  /** Told of a subscription that cannot be read, and when the worker for what was recorded could not be sent: the next scan sends it. */
  readonly onError: (error: unknown, name: string) => void;
}

/**
 * Records one delivery for each subscription that wants the event, and has them sent. It returns once they are recorded: from then on
 * none can be lost, and a slow endpoint holds up nobody. The same event again changes nothing.
 */
export async function recordDeliveries(deps: RecordDependencies, event: Outcome): Promise<readonly string[]> {
  const subscriptions = await deps.notices.subscriptions(deps.onError);
  const wanted = subscriptions.filter((subscription) => wants(subscription, event));
  const ids = await Promise.all(wanted.map(({ id }) => recordOne(deps, event, id)));
  await sendWorkers(deps, ids);
  return ids;
}

async function recordOne(deps: RecordDependencies, event: Outcome, subscription: string): Promise<string> {
  const id = deliveryId(event.id, subscription);
  const now = deps.now();
  const created = await deps.notices.saveDelivery(id, newDelivery(event, subscription, now), 0);
  // One that is there already may lack its hint: whoever wrote it may have died before posting it.
  if (created !== undefined || (await deps.notices.delivery(id))?.document.state === 'pending') {
    await deps.book.add({ id, due: now, for: 1 });
  }
  return id;
}

async function sendWorkers(deps: RecordDependencies, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return;
  const shards = new Set(await Promise.all(ids.map((id) => deps.book.shardOf(id))));
  const time = new Date(deps.now()).toISOString();
  const commands = [...shards].map((shard) => ({
    id: eventId('delivery.due', ...ids, shard),
    type: 'delivery.due' as const,
    time,
    data: { shard },
  }));
  await deps.bus.publish(commands).catch((error: unknown) => deps.onError(error, 'delivery.due'));
}
