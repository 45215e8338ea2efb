import type { Book } from '../agenda/book.ts';
import { GONE, type Hint, type LeftDocument, workOnHints } from '../agenda/hint.ts';
import type { Bus } from '../bus/bus.ts';
import { type EventData, eventId } from '../bus/events.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import {
  type AttemptResult,
  afterAttempt,
  beforeAttempt,
  type Delivery,
  finished,
  isSpent,
  noticeBody,
} from './delivery.ts';
import { DeliveryFailed } from './delivery-failure.ts';
import { EndpointLanes, type Lane } from './endpoint-lanes.ts';
import type { NoticeStore, Versioned } from './notice-store.ts';
import { judge } from './schedule.ts';
import type { Sender } from './sender.ts';
import { headers } from './signature.ts';
import { type Subscription, signingSecretsAt, withHealth } from './subscription.ts';

export interface DeliverDependencies {
  readonly notices: NoticeStore;
  readonly book: Book<Hint>;
  readonly bus: Bus;
  readonly sender: Sender;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
  /** Milliseconds. For the first retry, which comes sooner than a scan. */
  readonly sleep: (ms: number) => Promise<void>;
  readonly onDelivered?: (id: string, delivery: Delivery) => void;
  readonly onError: (error: unknown, name: string) => void;
}

const CLAIM_MS = 120_000;
/** Most documents in hand at once; what bounds the sending is each endpoint's lane. */
const PARALLEL_DOCUMENTS = 1_000;
/** A retry that is due within this is waited for; later ones come from the agenda. */
const WAIT_AT_MOST_MS = 7_000;
/** A timer may go off a millisecond before its time. */
const TIMER_SLACK_MS = 5;
/** How long the rest of a lane waits once its endpoint has left one unanswered. It is not counted as an attempt. */
const SILENT_PAUSE_MS = 30_000;
/** Attempts at one endpoint that end together write its health one after another. */
const MOST_HEALTH_TRIES = 8;

/**
 * Works on one shard of the book `deliveries`: makes one attempt at each that is due, and the first retry of those that failed. Returns
 * how many documents it looked at.
 */
export async function deliverShard(
  deps: DeliverDependencies,
  { shard }: EventData<'delivery.due'>,
): Promise<number> {
  const lanes = { first: new EndpointLanes(), retry: new EndpointLanes() };
  const left = await workOnHints(deps.book, shard, {
    now: deps.now,
    claimMs: CLAIM_MS,
    parallel: PARALLEL_DOCUMENTS,
    onError: deps.onError,
    work: ({ id }) => deliverWithFirstRetry(deps, lanes, id),
  });
  return left.length;
}

/** A document as it was left, and whether by an attempt that this worker made. */
interface LeftDelivery extends LeftDocument {
  readonly attempted?: boolean;
}

/** Each waits for its own retry, whatever the others of the shard are at. What another worker is at is not waited for. */
async function deliverWithFirstRetry(
  deps: DeliverDependencies,
  lanes: { readonly first: EndpointLanes; readonly retry: EndpointLanes },
  id: string,
): Promise<LeftDocument> {
  const left = await deliverOne(deps, lanes.first, id);
  const wait = (left.due ?? Number.POSITIVE_INFINITY) - deps.now();
  if (!left.attempted || wait > WAIT_AT_MOST_MS) return left;
  await deps.sleep(Math.max(0, wait) + TIMER_SLACK_MS);
  return deliverOne(deps, lanes.retry, id);
}

async function deliverOne(
  deps: DeliverDependencies,
  lanes: EndpointLanes,
  id: string,
): Promise<LeftDelivery> {
  const found = await deps.notices.delivery(id);
  if (found === undefined) return GONE;
  const { document, version } = found;
  const now = deps.now();
  if (document.due > now) return { version, due: document.due };
  if (document.state !== 'pending') {
    await deps.notices.deleteDelivery(id);
    return GONE;
  }
  const left = await lanes.run(document.subscription, (lane) => deliverInLane(deps, lane, id, found));
  return left ?? { version, due: deps.now() + SILENT_PAUSE_MS };
}

async function deliverInLane(
  deps: DeliverDependencies,
  lane: Lane,
  id: string,
  found: Versioned<Delivery>,
): Promise<LeftDelivery> {
  const { document, version } = found;
  const subscription = await deps.notices.subscription(document.subscription);
  if (subscription === undefined || subscription.document.disabled !== undefined || isSpent(document)) {
    return save(deps, id, finished(document, 'failed', deps.now()), version);
  }
  return attempt(deps, lane, id, found, subscription);
}

/** Counted before it is sent, judged after. */
async function attempt(
  deps: DeliverDependencies,
  lane: Lane,
  id: string,
  { document, version }: Versioned<Delivery>,
  subscription: Versioned<Subscription>,
): Promise<LeftDelivery> {
  const counted = beforeAttempt(document, deps.now(), deps.random);
  const countedVersion = await deps.notices.saveDelivery(id, counted, version);
  if (countedVersion === undefined) return asItIsNow(deps, id);
  const result = await send(deps, counted, subscription.document);
  deps.metrics.increment('leasekeeper_deliveries_total', { outcome: result.kind });
  if (result.kind === 'retry' && result.reason === 'timeout') lane.stop();
  const after = afterAttempt(counted, result, deps.now());
  if (after.state === 'delivered') deps.onDelivered?.(id, after);
  const left = await save(deps, id, after, countedVersion);
  // Last: whatever goes wrong here, the notice itself is neither lost nor sent again for it.
  await writeHealth(deps, subscription, result);
  return { ...left, attempted: true };
}

/** Another worker is at it, or has been: the hint is settled by what that one wrote. */
async function asItIsNow(deps: DeliverDependencies, id: string): Promise<LeftDocument> {
  const found = await deps.notices.delivery(id);
  return found === undefined ? GONE : { version: found.version, due: found.document.due };
}

async function save(
  deps: DeliverDependencies,
  id: string,
  delivery: Delivery,
  version: number,
): Promise<LeftDocument> {
  const saved = await deps.notices.saveDelivery(id, delivery, version);
  return saved === undefined ? asItIsNow(deps, id) : { version: saved, due: delivery.due };
}

async function send(
  deps: DeliverDependencies,
  delivery: Delivery,
  subscription: Subscription,
): Promise<AttemptResult> {
  const now = deps.now();
  const body = noticeBody(delivery.event);
  const signed = headers({
    id: delivery.event.id,
    timestampSeconds: Math.floor(now / 1_000),
    body,
    secrets: signingSecretsAt(subscription, now),
  });
  try {
    const answer = await deps.sender.send({
      url: subscription.url,
      headers: { 'content-type': 'application/json', 'user-agent': 'leasekeeper', ...signed },
      body,
    });
    return { ...judge(answer, deps.now()), durationMs: Math.round(answer.durationMs) };
  } catch (error) {
    if (error instanceof DeliveryFailed) return { kind: 'retry', reason: error.reason };
    throw error;
  }
}

/** Written on a change only, whoever else writes. */
async function writeHealth(
  deps: DeliverDependencies,
  read: Versioned<Subscription>,
  result: AttemptResult,
): Promise<void> {
  const now = deps.now();
  let announced = false;
  let found: Versioned<Subscription> | undefined = read;
  for (let tries = 0; found !== undefined && tries < MOST_HEALTH_TRIES; tries += 1) {
    const { document, version }: Versioned<Subscription> = found;
    const after = healthAfter(document, result, now);
    if (after === document) return;
    if (after.disabled !== undefined && !announced) {
      announced = await announceDisabled(deps, read, after.disabled, now);
      if (!announced) return;
    }
    if ((await deps.notices.saveSubscription(after, version)) !== undefined) return;
    found = await deps.notices.subscription(document.id);
  }
}

function healthAfter(subscription: Subscription, result: AttemptResult, now: number): Subscription {
  if (subscription.disabled !== undefined) return subscription;
  if (result.kind === 'disabled') return { ...subscription, disabled: { at: now, reason: 'gone' } };
  return withHealth(subscription, result.kind === 'delivered', now);
}

/**
 * Tells the others by an event, before it is written: else a crash in between would disable in silence. Its id is the same for all who
 * saw the same version fail. False: the bus did not take it, so nothing may be written; the next attempt sees the same.
 */
async function announceDisabled(
  deps: DeliverDependencies,
  { document, version }: Versioned<Subscription>,
  { reason }: NonNullable<Subscription['disabled']>,
  now: number,
): Promise<boolean> {
  if (reason === 'by_hand') return true;
  const id = eventId('subscription.disabled', document.id, version);
  const time = new Date(now).toISOString();
  const data = { subscription: document.id, reason };
  const taken = await deps.bus.publish([{ id, type: 'subscription.disabled', time, data }]);
  return taken.has(id);
}
