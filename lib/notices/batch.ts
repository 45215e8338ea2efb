import { GONE, type Hint, type LeftDocument } from '../agenda/hint.ts';
import type { Outcome } from '../bus/events.ts';
import { type DeliverDependencies, deliverBegun } from './deliver.ts';
import { batchKeyOf, type Dispatch, inBatches } from './dispatch.ts';
import { DispatchWriter } from './dispatch-writer.ts';
import { begun, newNotice } from './notice.ts';
import type { Subscription } from './subscription.ts';

/** A batch of one subscription: what comes before `closes` (milliseconds since the epoch) goes into it. */
export interface Batch {
  readonly subscription: string;
  readonly closes: number;
}

const PREFIX = 'batch/';

/** The batch that is open at `now`: all of a window's length, so that two workers gather into the same. */
export function openBatch({ id, batch_ms: window = 0 }: Subscription, now: number): Batch {
  return { subscription: id, closes: (Math.floor(now / window) + 1) * window };
}

/** What has a worker look at the batch once it has closed. */
export function hintOf({ subscription, closes }: Batch): Hint {
  return { id: `${PREFIX}${subscription}/${closes}`, due: closes, for: 1 };
}

/** The batch that a hint is for; undefined when it is for something else. */
export function batchIn(hintId: string): Batch | undefined {
  const [, subscription, closes] = /^batch\/([^/]+)\/(\d+)$/.exec(hintId) ?? [];
  return subscription === undefined ? undefined : { subscription, closes: Number(closes) };
}

/**
 * Sends what was gathered, as one notice or as few as are small enough. From here on each is a dispatch like any other, made under a key
 * that follows from its events: should the worker die before what was gathered is deleted, the next makes the same ones again.
 */
export async function sendBatch(
  deps: DeliverDependencies & { readonly addHints: (hints: readonly Hint[]) => Promise<void> },
  { subscription, closes }: Batch,
): Promise<LeftDocument> {
  const events = await deps.notices.gathered(subscription, closes);
  for (const group of inBatches(events)) await sendGroup(deps, { subscription, closes }, group);
  // Asked for again until nothing is left: an event may still be on its way into the batch.
  return GONE;
}

async function sendGroup(
  deps: DeliverDependencies & { readonly addHints: (hints: readonly Hint[]) => Promise<void> },
  { subscription, closes }: Batch,
  events: readonly Outcome[],
): Promise<void> {
  const key = batchKeyOf(subscription, events, closes);
  const now = deps.now();
  const notice = begun(newNotice(now), now, deps.random);
  const document: Dispatch = { events: [...events], created: closes, notices: { [subscription]: notice } };
  await deps.addHints([{ id: key, due: notice.due, for: 1 }]);
  const version = await deps.notices.saveDispatch(key, document, 0);
  await deps.notices.deleteGathered(subscription, closes, events);
  if (version === undefined) return;
  const writer = new DispatchWriter(deps.notices, key, { document, version });
  await deliverBegun(deps, { key, writer, begun: [subscription], held: new Map() });
}
