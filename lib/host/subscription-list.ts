import type { NoticeStore } from '../notices/notice-store.ts';
import { type ShownSubscription, showable } from '../notices/subscription-changes.ts';

/** A document that was written by a later version, or by hand. */
export interface UnreadableSubscription {
  readonly id: string;
  readonly unreadable: true;
}

type Listed = ShownSubscription | UnreadableSubscription;

export interface SubscriptionPage {
  readonly subscriptions: readonly Listed[];
  /** What to send as `after`, when there are more. */
  readonly next?: string;
}

/**
 * Subscriptions by their ids: those of one owner, or everybody's. One that cannot be read is listed as such: the others can be. Throws
 * VaultError: only who may list all owners sees everybody's.
 */
export async function listSubscriptions(
  notices: NoticeStore,
  {
    consumer,
    after = '',
    limit,
  }: {
    readonly consumer?: string | undefined;
    readonly after?: string | undefined;
    readonly limit: number;
  },
): Promise<SubscriptionPage> {
  const owners = consumer === undefined ? await notices.owners() : [consumer];
  const ids = await Promise.all(owners.map((owner) => notices.subscriptionIds(owner)));
  const left = ids
    .flat()
    .toSorted()
    .filter((id) => id > after);
  const page = left.slice(0, limit);
  const next = left.length > limit ? page.at(-1) : undefined;
  return { subscriptions: await readListed(notices, page), ...(next === undefined ? {} : { next }) };
}

async function readListed(notices: NoticeStore, ids: readonly string[]): Promise<readonly Listed[]> {
  const unreadable = new Set<string>();
  const readable = await notices.readable(ids, (_, id) => unreadable.add(id));
  const shown = new Map(readable.map((one) => [one.id, showable(one)]));
  return ids
    .map(
      (id): Listed | undefined =>
        shown.get(id) ?? (unreadable.has(id) ? { id, unreadable: true } : undefined),
    )
    .filter((one) => one !== undefined);
}
