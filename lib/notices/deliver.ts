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
const PARALLEL_DELIVERIES = 16;
/** A retry that is due within this is waited for; later ones come from the agenda. */
const WAIT_AT_MOST_MS = 7_000;

/** Works on one shard of the book `deliveries`: makes one attempt at each that is due, and the first retry of those that failed. */
export async function deliverShard(
  deps: DeliverDependencies,
  { shard }: EventData<'delivery.due'>,
): Promise<number> {
  let attempts = 0;
  for (let round = 0; round < 2; round += 1) {
    const left = await workOnHints(deps.book, shard, {
      now: deps.now,
      claimMs: CLAIM_MS,
      parallel: PARALLEL_DELIVERIES,
      onError: deps.onError,
      work: (id) => deliverOne(deps, id),
    });
    attempts += left.length;
    const next = Math.min(...left.flatMap(({ due }) => (due === undefined ? [] : [due])));
    const wait = next - deps.now();
    if (wait > WAIT_AT_MOST_MS) break;
    if (wait > 0) await deps.sleep(wait);
  }
  return attempts;
}

async function deliverOne(deps: DeliverDependencies, id: string): Promise<LeftDocument> {
  const found = await deps.notices.delivery(id);
  if (found === undefined) return GONE;
  const { document, version } = found;
  const now = deps.now();
  if (document.due > now) return { version, due: document.due };
  if (document.state !== 'pending') {
    await deps.notices.deleteDelivery(id);
    return GONE;
  }
  const subscription = await deps.notices.subscription(document.subscription);
  if (subscription === undefined || subscription.document.disabled !== undefined || isSpent(document)) {
    return save(deps, id, finished(document, 'failed', now), version);
  }
  return attempt(deps, id, found, subscription);
}

/** Counted before it is sent, judged after. A lost race means that another worker is at it. */
async function attempt(
  deps: DeliverDependencies,
  id: string,
  { document, version }: Versioned<Delivery>,
  subscription: Versioned<Subscription>,
): Promise<LeftDocument> {
  const counted = beforeAttempt(document, deps.now(), deps.random);
  const countedVersion = await deps.notices.saveDelivery(id, counted, version);
  if (countedVersion === undefined) return { version, due: deps.now() + CLAIM_MS };
  const result = await send(deps, counted, subscription.document);
  deps.metrics.increment('leasekeeper_deliveries_total', { outcome: result.kind });
  await writeHealth(deps, subscription, result, id);
  const after = afterAttempt(counted, result, deps.now(), deps.random);
  if (after.state === 'delivered') deps.onDelivered?.(id, after);
  return save(deps, id, after, countedVersion);
}

async function save(
  deps: DeliverDependencies,
  id: string,
  delivery: Delivery,
  version: number,
): Promise<LeftDocument> {
  const saved = await deps.notices.saveDelivery(id, delivery, version);
  // Lost to another worker: its hint stands, ours is not to be raised.
  return saved === undefined ? { version: -1, due: undefined } : { version: saved, due: delivery.due };
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

/** Written on a change only. Whoever subscribed learns of a disabled endpoint by an event, published before the change is written. */
async function writeHealth(
  deps: DeliverDependencies,
  { document, version }: Versioned<Subscription>,
  result: AttemptResult,
  delivery: string,
): Promise<void> {
  const now = deps.now();
  const healthy = withHealth(document, result.kind === 'delivered', now);
  const after: Subscription =
    result.kind === 'disabled' ? { ...healthy, disabled: { at: now, reason: 'gone' } } : healthy;
  if (after === document) return;
  if (after.disabled !== undefined) {
    await deps.bus.publish([
      {
        id: eventId('subscription.disabled', document.id, delivery),
        type: 'subscription.disabled',
        time: new Date(now).toISOString(),
        data: { subscription: document.id, reason: result.kind === 'disabled' ? 'gone' : 'failing' },
      },
    ]);
  }
  // Another attempt may have written the same meanwhile: health is a matter of time, the next attempt sees it again.
  await deps.notices.saveSubscription(after, version);
}
