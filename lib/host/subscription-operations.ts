import { codeOf } from '../errors.ts';
import type { NoticeStore } from '../notices/notice-store.ts';
import { createSigningSecret } from '../notices/signature.ts';
import { MOST_OF_ONE_OWNER, type Subscription } from '../notices/subscription.ts';
import {
  changed,
  disabledByHand,
  enabled,
  isAlike,
  type NewSubscription,
  newSubscription,
  ownerWanted,
  type SubscriptionChanges,
  withNewSecret,
} from '../notices/subscription-changes.ts';
import { VaultError } from '../vault/errors.ts';
import {
  asRefusal,
  contendedSubscription,
  subscriptionExists,
  tooManySubscriptions,
  unknownSubscription,
} from './subscription-refusals.ts';

/** What people and services do to subscriptions, the same over HTTP and by command. All throw VaultError besides what they say. */
export interface SubscriptionActor {
  /** The documents, read and written with the caller's own token: Vault decides whose they may be. */
  readonly notices: NoticeStore;
  /** Throws EndpointRefused: `AddressGuard.checkUrl`. */
  readonly checkUrl: (url: string) => void;
  /** Milliseconds since the epoch, by Vault's clock. */
  readonly now: () => number;
  readonly randomBytes: (size: number) => Uint8Array;
  /** A name that nothing else ever has: a ULID. */
  readonly newName: (now: number) => string;
}

/** A subscription and its new signing secret: the only time that it is shown. */
export interface WithSecret {
  readonly subscription: Subscription;
  readonly secret: string;
}

const MOST_WRITES = 20;
const MOST_TRIES_TO_CREATE = 3;

/** Throws `endpoint_refused`, `subscription_exists`, `subscriptions_full`, `subscription_contended`. */
export async function createSubscription(
  actor: SubscriptionActor,
  wanted: NewSubscription,
): Promise<WithSecret> {
  checkEndpoint(actor, wanted.url);
  await checkRoom(actor, wanted);
  const now = actor.now();
  const secret = createSigningSecret(actor.randomBytes);
  const id = `${ownerWanted(wanted)}:${actor.newName(now)}`;
  const subscription = newSubscription(wanted, { id, secret, now });
  await writeNew(actor, subscription);
  return { subscription, secret };
}

/** Throws `subscription_unknown`. */
export async function readSubscription(
  { notices }: Pick<SubscriptionActor, 'notices'>,
  id: string,
): Promise<Subscription> {
  const found = await notices.subscription(id);
  if (found === undefined) throw unknownSubscription(id);
  return found.document;
}

/** Throws `endpoint_refused`, `subscription_unknown`, `subscription_contended`. */
export async function changeSubscription(
  actor: SubscriptionActor,
  id: string,
  changes: SubscriptionChanges,
): Promise<Subscription> {
  if (changes.url !== undefined) checkEndpoint(actor, changes.url);
  return change(actor, id, (subscription) => changed(subscription, changes));
}

/** Nothing is sent to it until it is enabled. Throws `subscription_unknown`, `subscription_contended`. */
export function disableSubscription(actor: SubscriptionActor, id: string): Promise<Subscription> {
  return change(actor, id, (subscription) => disabledByHand(subscription, actor.now()));
}

/** Whoever disabled it, and why ever. Throws `subscription_unknown`, `subscription_contended`. */
export function enableSubscription(actor: SubscriptionActor, id: string): Promise<Subscription> {
  return change(actor, id, enabled);
}

/** Throws `subscription_unknown`. */
export async function deleteSubscription(
  { notices }: Pick<SubscriptionActor, 'notices'>,
  id: string,
): Promise<void> {
  if (!(await isThere(notices, id))) throw unknownSubscription(id);
  await notices.deleteSubscription(id);
}

/**
 * A new signing secret. The one before it signs for `overlapMs` more, so that the receiver can learn the new one meanwhile; 0 for one that
 * has leaked: then no old one signs any more. Throws `subscription_unknown`, `subscription_contended`.
 */
export async function rotateSigningSecret(
  actor: SubscriptionActor,
  id: string,
  { overlapMs }: { readonly overlapMs: number },
): Promise<WithSecret> {
  const secret = createSigningSecret(actor.randomBytes);
  const subscription = await change(actor, id, (before) =>
    withNewSecret(before, secret, { overlapMs, now: actor.now() }),
  );
  return { subscription, secret };
}

function checkEndpoint({ checkUrl }: SubscriptionActor, url: string): void {
  try {
    checkUrl(url);
  } catch (error) {
    throw asRefusal(error);
  }
}

/** Two that ask for the same at the same moment may both get it: each event then comes twice, under one id. */
async function checkRoom({ notices }: SubscriptionActor, wanted: NewSubscription): Promise<void> {
  const owner = ownerWanted(wanted);
  const ids = await notices.subscriptionIds(owner);
  // One that cannot be read is like no other.
  const readable = await notices.readable(ids, () => {});
  const alike = readable.find((subscription) => isAlike(subscription, wanted));
  if (alike !== undefined) throw subscriptionExists(alike.id);
  if (ids.length >= MOST_OF_ONE_OWNER) throw tooManySubscriptions(owner);
}

async function writeNew({ notices }: SubscriptionActor, subscription: Subscription): Promise<void> {
  for (let tries = 1; tries <= MOST_TRIES_TO_CREATE; tries += 1) {
    const saved = await tryToSave(notices, subscription, 0);
    // The name is ours alone: refused means that an earlier try, whose answer was lost, went through.
    if (typeof saved === 'number' || (saved === 'refused' && tries > 1)) return;
  }
  throw contendedSubscription(subscription.id);
}

/** Reads, changes and writes again until nobody else came in between. A change that gives the same object writes nothing. */
async function change(
  { notices }: SubscriptionActor,
  id: string,
  work: (subscription: Subscription) => Subscription,
): Promise<Subscription> {
  for (let tries = 0; tries < MOST_WRITES; tries += 1) {
    const found = await notices.subscription(id);
    if (found === undefined) throw unknownSubscription(id);
    const after = work(found.document);
    if (after === found.document) return after;
    if (typeof (await tryToSave(notices, after, found.version)) === 'number') return after;
  }
  throw contendedSubscription(id);
}

/** `unknown`: Vault did not say whether it was written. */
async function tryToSave(
  notices: NoticeStore,
  subscription: Subscription,
  version: number,
): Promise<number | 'refused' | 'unknown'> {
  try {
    return (await notices.saveSubscription(subscription, version)) ?? 'refused';
  } catch (error) {
    if (error instanceof VaultError && error.processed === 'maybe') return 'unknown';
    throw error;
  }
}

/** One that cannot be read can still be deleted. */
async function isThere(notices: NoticeStore, id: string): Promise<boolean> {
  try {
    return (await notices.subscription(id)) !== undefined;
  } catch (error) {
    if (codeOf(error) === 'notice_document_unreadable') return true;
    throw error;
  }
}
