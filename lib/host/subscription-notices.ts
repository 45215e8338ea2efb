import type { Hint } from '../agenda/hint.ts';
import { type LogPage, type LogQuery, listNotices } from '../notices/attempt-log.ts';
import type { NoticeStore } from '../notices/notice-store.ts';
import { type Replay, type Replayed, type ReplayPage, replay, sendTest } from '../notices/replay.ts';
import { readSubscription } from './subscription-operations.ts';
import { asRefusal } from './subscription-refusals.ts';

/**
 * What is asked of the notices of a subscription. A dispatch has notices of many, so nobody but its own functions and operators may read it:
 * these act with rights of their own. Each first reads the subscription as its caller, which Vault allows to whoever may sign for it in any
 * case (docs/decisions/0025). All throw `subscription_unknown` and VaultError besides what they say.
 */
export interface NoticeActor {
  /** With the caller's own token. */
  readonly notices: NoticeStore;
  /** With the right to dispatches, and to post to the book `deliveries`: that of `manage`, or an operator's own. */
  readonly dispatches: NoticeStore;
  readonly addHints: (hints: readonly Hint[]) => Promise<void>;
  /** Milliseconds since the epoch, by Vault's clock. */
  readonly now: () => number;
  /** A name that nothing else ever has: a ULID. */
  readonly newName: (now: number) => string;
}

/** Sends a test to one subscription, whatever its filter wants, and gives its dispatch's key. Throws `subscription_disabled`. */
export async function testSubscription(actor: NoticeActor, id: string): Promise<string> {
  const subscription = await readSubscription(actor, id);
  return refusing(() => sendTest(replayDependencies(actor), subscription, actor.newName(actor.now())));
}

/** Sends notices of one subscription again. Throws `subscription_disabled`, `event_unknown`, `dispatch_contended`. */
export async function replayNotices(
  actor: NoticeActor,
  id: string,
  what: Replay,
  page: ReplayPage,
): Promise<Replayed> {
  const subscription = await readSubscription(actor, id);
  return refusing(() => replay(replayDependencies(actor), subscription, what, page));
}

/** The notices of one subscription, with their attempts. Throws `place_in_log_invalid`. */
export async function noticesOf(
  actor: Pick<NoticeActor, 'notices' | 'dispatches'>,
  id: string,
  query: LogQuery,
): Promise<LogPage> {
  const subscription = await readSubscription(actor, id);
  return refusing(() => listNotices({ notices: actor.dispatches }, subscription.id, query));
}

function replayDependencies({ dispatches, addHints, now }: NoticeActor) {
  return { notices: dispatches, addHints, now };
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asRefusal(error);
  }
}
