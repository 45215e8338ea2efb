import { randomBytes } from 'node:crypto';
import { ulid } from 'ulid';
import type { Hint } from '../../../lib/agenda/hint.ts';
import { listSubscriptions } from '../../../lib/host/subscription-list.ts';
import { noticesOf, replayNotices, testSubscription } from '../../../lib/host/subscription-notices.ts';
import {
  changeSubscription,
  createSubscription,
  deleteSubscription,
  readSubscription,
} from '../../../lib/host/subscription-operations.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { newSubscriptionSchema } from '../../../lib/notices/subscription-changes.ts';
import type { KvStore } from '../../../lib/vault/kv-store.ts';

/** Everything that is done to a subscription by its owner, or by an operator for everybody. */
export async function subscribe(store: KvStore, now: () => number, consumer?: string): Promise<void> {
  const notices = new NoticeStore(store);
  const actor = { notices, checkUrl: () => {}, now, randomBytes, newName: ulid };
  const wanted = newSubscriptionSchema.parse({ consumer, url: 'https://example.org/policies' });
  const { subscription } = await createSubscription(actor, wanted);
  await changeSubscription(actor, subscription.id, { types: ['secret.*'] });
  await readSubscription(actor, subscription.id);
  const { subscriptions } = await listSubscriptions(notices, { consumer, limit: 100 });
  if (!subscriptions.some(({ id }) => id === subscription.id)) throw new Error('it is not listed');
  await deleteSubscription(actor, subscription.id);
}

/** Everything that is done to the notices of a subscription: by `dispatches`, for whoever may read the subscription in `store`. */
export async function useNotices(
  store: KvStore,
  dispatches: NoticeStore,
  addHints: (hints: readonly Hint[]) => Promise<void>,
  now: () => number,
): Promise<void> {
  const notices = new NoticeStore(store);
  const owner = { notices, checkUrl: () => {}, now, randomBytes, newName: ulid };
  const wanted = newSubscriptionSchema.parse({ url: `https://example.org/${ulid()}` });
  const { subscription } = await createSubscription(owner, wanted);
  const { id } = subscription;
  const actor = { notices, dispatches, addHints, now, newName: ulid };
  const key = await testSubscription(actor, id);
  const found = await notices.dispatch(key);
  const notice = found?.document.notices[id];
  if (found === undefined || notice === undefined) throw new Error('there is no test');
  const failed = { ...found.document, notices: { [id]: { ...notice, state: 'failed' as const } } };
  await notices.saveDispatch(key, failed, found.version);
  const { replayed } = await replayNotices(actor, id, { failed: true }, { limit: 100 });
  const log = await noticesOf(actor, id, { limit: 100 });
  if (replayed.length !== 1 || log.notices.length !== 1) throw new Error(JSON.stringify([replayed, log]));
  await deleteSubscription(owner, id);
}
