import { randomBytes } from 'node:crypto';
import { ulid } from 'ulid';
import type { Book } from '../agenda/book.ts';
import type { Hint } from '../agenda/hint.ts';
import type { NoticeActor } from './subscription-notices.ts';
import type { SubscriptionActor } from './subscription-operations.ts';

/** Whoever does something to subscriptions or their notices, with this process's own chance and names. */
export function subscriptionActor({
  deliveries,
  ...who
}: Pick<SubscriptionActor & NoticeActor, 'notices' | 'dispatches' | 'checkUrl' | 'now'> & {
  readonly deliveries: Book<Hint>;
}): SubscriptionActor & NoticeActor {
  return { ...who, addHints: deliveries.addAll.bind(deliveries), randomBytes, newName: ulid };
}
