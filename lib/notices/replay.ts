import pLimit from 'p-limit';
import * as z from 'zod';
import type { Hint } from '../agenda/hint.ts';
import { BATCH_TYPE, eventId, type Outcome } from '../bus/events.ts';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { VaultError } from '../vault/errors.ts';
import { type Dispatch, dayOf, dueOf, keyOf, typeOf, withNotice } from './dispatch.ts';
import { type Notice, newNotice, replayed } from './notice.ts';
import type { NoticeStore, Versioned } from './notice-store.ts';
import { keepingHint } from './retention.ts';
import { type Subscription, wants } from './subscription.ts';

/** What is sent again, as it is asked for over HTTP; `since` is then in milliseconds since the epoch. */
export const replaySchema = z.union(
  [
    z.strictObject({ event: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) }),
    z.strictObject({
      since: z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)),
      failed: z.boolean().optional(),
    }),
    z.strictObject({ failed: z.literal(true) }),
  ],
  {
    error:
      'expected {"event": "evt_…"}, {"since": "2026-11-21T20:00:00Z"}, {"since": "…", "failed": true} or {"failed": true}',
  },
);
/** One event, or one batch, by its id; all since a time, or those of them that failed; all that failed. */
export type Replay = z.infer<typeof replaySchema>;

export interface ReplayDependencies {
  readonly notices: NoticeStore;
  /** Posts to the book `deliveries`. */
  readonly addHints: (hints: readonly Hint[]) => Promise<void>;
  /** Milliseconds since the epoch, by Vault's clock. */
  readonly now: () => number;
}

export interface ReplayPage {
  /** `next` of the page before. */
  readonly after?: string;
  /** So many dispatches are read at most. */
  readonly limit: number;
}

export interface Replayed {
  /** Keys of the dispatches whose notice is on its way now. */
  readonly replayed: readonly string[];
  /** Keys of dispatches that cannot be read, and of which nothing is replayed. */
  readonly unreadable: readonly string[];
  /** The last key that was read, when there are more. */
  readonly next?: string | undefined;
}

/** One of today, and fifteen that are kept (dispatch.ts, `KEPT_MS`). */
const MOST_DAYS = 16;
const PARALLEL = 8;
const MOST_TRIES = 20;

/**
 * Has the notices of a subscription sent again, each with the id it had: it is the same message. One that waits for its
 * next attempt is sent now, and its schedule begins anew. What a subscription would want and has no notice of, because it is newer than the event, it gets now.
 * An event that went in a batch is sent by itself; the batch itself is sent again when it failed, or is asked for by its id.
 * Throws `subscription_disabled`, `event_unknown`, `dispatch_contended`, VaultError.
 */
export async function replay(
  deps: ReplayDependencies,
  subscription: Subscription,
  what: Replay,
  page: ReplayPage,
): Promise<Replayed> {
  assertEnabled(subscription);
  const asked: Asked = { subscription, what };
  if ('event' in what) return replayOne(deps, asked, what.event);
  const { keys, next } = await keysOn(deps.notices, 'since' in what ? dayOf(what.since) : '', page);
  const unreadable: string[] = [];
  const limit = pLimit(PARALLEL);
  const found = await Promise.all(
    keys.map((key) => limit(() => readOne(deps.notices, key, () => unreadable.push(key)))),
  );
  const written = await writeAll(deps, asked, found.flat());
  return { replayed: written, unreadable, ...(next === undefined ? {} : { next }) };
}

/**
 * Records a test for one subscription, whatever its filter wants, and gives its dispatch's key. The same nonce on the same day is the same
 * test. Throws `subscription_disabled`, VaultError.
 */
export async function sendTest(
  deps: ReplayDependencies,
  subscription: Subscription,
  nonce: string,
): Promise<string> {
  assertEnabled(subscription);
  const { id } = subscription;
  const now = deps.now();
  const event: Outcome = {
    id: eventId('subscription.test', id, nonce),
    type: 'subscription.test',
    time: new Date(now).toISOString(),
    data: { subscription: id },
  };
  const key = keyOf(event);
  const hint = { id: key, due: now, for: 1 };
  await deps.addHints([hint, keepingHint(dayOf(now))]);
  const dispatch: Dispatch = { events: [event], created: now, notices: { [id]: newNotice(now) } };
  if (!(await tryToSave(deps.notices, key, dispatch, 0)) && !(await deps.notices.dispatch(key))) {
    throw contended(key);
  }
  // A worker that has looked in between found nothing.
  await deps.addHints([hint]);
  return key;
}

interface Asked {
  readonly subscription: Subscription;
  readonly what: Replay;
}

interface Planned {
  readonly key: string;
  readonly found: Versioned<Dispatch>;
  /** The same object as was found: there is nothing to write. */
  readonly changed: Dispatch;
}

async function replayOne(deps: ReplayDependencies, asked: Asked, id: string): Promise<Replayed> {
  for (const day of (await deps.notices.days()).slice(0, MOST_DAYS)) {
    const key = `${day}/${id}`;
    const found = await deps.notices.dispatch(key);
    if (found === undefined) continue;
    const written = await writeAll(deps, asked, [{ key, found }]);
    if (written.length > 0) return { replayed: written, unreadable: [] };
  }
  throw new LeasekeeperError('event_unknown', `There is no event ${id} for ${asked.subscription.id}.`, {
    hint: 'Events are kept for 15 days, and only for subscriptions that want them. Check the id.',
  });
}

/** Keys in their order, the oldest day first. */
async function keysOn(
  notices: NoticeStore,
  firstDay: string,
  { after = '', limit }: ReplayPage,
): Promise<{ readonly keys: readonly string[]; readonly next: string | undefined }> {
  const days = (await notices.days()).filter((day) => day >= firstDay && day >= after.slice(0, 10));
  const keys: string[] = [];
  for (const day of days.toReversed()) {
    if (keys.length > limit) break;
    keys.push(...(await notices.dispatchesOf(day)).filter((key) => key > after));
  }
  const page = keys.slice(0, limit);
  return { keys: page, next: keys.length > limit ? page.at(-1) : undefined };
}

/** Nothing when it is gone; one that cannot be read must not keep the others from being replayed. */
async function readOne(
  notices: NoticeStore,
  key: string,
  onUnreadable: () => void,
): Promise<readonly Pick<Planned, 'key' | 'found'>[]> {
  try {
    const found = await notices.dispatch(key);
    return found === undefined ? [] : [{ key, found }];
  } catch (error) {
    if (codeOf(error) !== 'notice_document_unreadable') throw error;
    onUnreadable();
    return [];
  }
}

/**
 * All hints go ahead of all documents (lib/agenda/hint.ts), in one message for each shard. And again afterwards: a worker that has looked in
 * between found nothing to do, and would come back when its claim is over.
 */
async function writeAll(
  deps: ReplayDependencies,
  asked: Asked,
  all: readonly Pick<Planned, 'key' | 'found'>[],
): Promise<readonly string[]> {
  const planned = all.flatMap(({ key, found }) => plan(deps, asked, key, found) ?? []);
  await post(deps, planned);
  const limit = pLimit(PARALLEL);
  const written = await Promise.all(planned.map((one) => limit(() => write(deps, asked, one))));
  const replayed = written.flatMap((one) => one ?? []);
  await post(deps, replayed);
  return replayed.map(({ key }) => key);
}

async function post({ addHints }: ReplayDependencies, all: readonly Planned[]): Promise<void> {
  const hints = all.filter(isToWrite).map(hintOf);
  if (hints.length > 0) await addHints(hints);
}

/** What was written in the end; undefined: somebody else's write left nothing to replay. */
async function write(deps: ReplayDependencies, asked: Asked, first: Planned): Promise<Planned | undefined> {
  let planned = first;
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    if (!isToWrite(planned)) return planned;
    // The hint of the first try is there; a later one is for a later version.
    if (tries > 0) await post(deps, [planned]);
    const { key, changed, found } = planned;
    if (await tryToSave(deps.notices, key, changed, found.version)) return planned;
    const again = await deps.notices.dispatch(key);
    if (again === undefined) return undefined;
    const { id } = asked.subscription;
    if (wasDelivered(first.found.document.notices[id], again.document.notices[id])) {
      return { key, found: again, changed: again.document };
    }
    const next = plan(deps, asked, key, again);
    if (next === undefined) return undefined;
    planned = next;
  }
  throw contended(first.key);
}

/** Two ask at once, and the other's is delivered already; or it was under way. */
function wasDelivered(before: Notice | undefined, after: Notice | undefined): boolean {
  if (after?.state !== 'delivered') return false;
  return before?.state !== 'delivered' || before.attempts.at(-1)?.at !== after.attempts.at(-1)?.at;
}

function plan(
  { now }: ReplayDependencies,
  asked: Asked,
  key: string,
  found: Versioned<Dispatch>,
): Planned | undefined {
  const changed = replayedIn(key, found.document, asked, now());
  return changed === undefined ? undefined : { key, found, changed };
}

function isToWrite({ found, changed }: Planned): boolean {
  return changed !== found.document;
}

function hintOf({ key, found, changed }: Planned): Hint {
  return { id: key, due: dueOf(changed) ?? 0, for: found.version + 1 };
}

/** The dispatch with the notice to be sent again; the same object when it is on its way already; undefined: it is not asked for. Pure. */
export function replayedIn(
  key: string,
  dispatch: Dispatch,
  { subscription, what }: Asked,
  now: number,
): Dispatch | undefined {
  const isBatch = typeOf(key, dispatch) === BATCH_TYPE;
  const failedOnly = !('event' in what) && what.failed === true;
  if ('since' in what && !dispatch.events.some(({ time }) => Date.parse(time) >= what.since))
    return undefined;
  const notice = dispatch.notices[subscription.id];
  if (notice === undefined) {
    if (failedOnly || isBatch || !dispatch.events.some((event) => wants(subscription, event)))
      return undefined;
    return { ...dispatch, notices: { ...dispatch.notices, [subscription.id]: newNotice(now) } };
  }
  if (failedOnly && notice.state !== 'failed') return undefined;
  // Its events are sent one by one.
  if (isBatch && 'since' in what && !failedOnly) return undefined;
  return withNotice(dispatch, subscription.id, (one) => replayed(one, now));
}

/** False: the race was lost, or the outcome is unknown. Either way it is read again. */
async function tryToSave(notices: NoticeStore, key: string, dispatch: Dispatch, version: number) {
  try {
    return (await notices.saveDispatch(key, dispatch, version)) !== undefined;
  } catch (error) {
    if (error instanceof VaultError && error.processed === 'maybe') return false;
    throw error;
  }
}

function assertEnabled({ id, disabled }: Subscription): void {
  if (disabled === undefined) return;
  throw new LeasekeeperError('subscription_disabled', `The subscription ${id} is disabled.`, {
    hint: 'Enable it first; nothing is sent to it until then.',
  });
}

function contended(key: string): LeasekeeperError {
  return new LeasekeeperError('dispatch_contended', `The dispatch ${key} could not be written.`, {
    hint: 'Others kept writing first. Try again.',
  });
}
