import { GONE, type LeftDocument } from '../agenda/hint.ts';
import { codeOf } from '../errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Circuits } from './circuit.ts';
import { type Dispatch, dueNotices, withNotice } from './dispatch.ts';
import { DispatchWriter } from './dispatch-writer.ts';
import type { EndpointHealth } from './endpoint-health.ts';
import type { EndpointLanes } from './endpoint-lanes.ts';
import type { KnownSubscriptions } from './known-subscriptions.ts';
import {
  type AttemptResult,
  begun,
  begunAgain,
  finished,
  isDue,
  isSpent,
  isTimely,
  judged,
  type Notice,
  putOff,
} from './notice.ts';
import type { NoticeStore } from './notice-store.ts';
import { sendNotice } from './send-notice.ts';
import type { Sender } from './sender.ts';
import type { Subscription } from './subscription.ts';

export interface DeliverDependencies {
  readonly notices: NoticeStore;
  readonly subscriptions: KnownSubscriptions;
  readonly health: EndpointHealth;
  readonly lanes: EndpointLanes;
  readonly circuits: Circuits;
  readonly sender: Sender;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
  /** Milliseconds. For the first retry, which comes sooner than a scan. */
  readonly sleep: (ms: number) => Promise<void>;
  readonly onDelivered?: (delivered: Delivered) => void;
  readonly onError: (error: unknown, name: string) => void;
}

/** A notice that was answered with 2xx. */
export interface Delivered {
  readonly key: string;
  readonly dispatch: Dispatch;
  readonly subscription: string;
  readonly notice: Notice;
}

/** A dispatch, and those of its notices whose attempts this worker has counted. */
export interface BegunDispatch {
  readonly key: string;
  readonly writer: DispatchWriter;
  readonly begun: readonly string[];
  readonly held: Held;
}

/** A retry that is due within this is waited for; later ones come from the agenda. */
const WAIT_AT_MOST_MS = 7_000;
/** A timer may go off a millisecond before its time. */
const TIMER_SLACK_MS = 5;
const UNREADABLE_PAUSE_MS = 120_000;

/** Until when notices are left alone that are due: their endpoint's circuit is open, or their subscription cannot be read. */
export type Held = ReadonlyMap<string, number>;

/** Makes one attempt at each notice of a dispatch that is due, and the first retry of those that failed. Throws VaultError. */
export async function deliverDispatch(deps: DeliverDependencies, key: string): Promise<LeftDocument> {
  const found = await deps.notices.dispatch(key);
  if (found === undefined) return GONE;
  const writer = new DispatchWriter(deps.notices, key, found);
  const { begun: first, held } = await begin(deps, key, writer);
  return deliverBegun(deps, { key, writer, begun: first, held });
}

/** Makes the attempts that were counted, and the first retry of those that failed. Throws VaultError. */
export async function deliverBegun(deps: DeliverDependencies, at: BegunDispatch): Promise<LeftDocument> {
  await attemptAll(deps, at);
  const { notices } = at.writer.found.document;
  const soon = at.begun.flatMap((id) => {
    const notice = notices[id];
    const wait = (notice?.due ?? 0) - deps.now();
    return notice?.state === 'pending' && wait <= WAIT_AT_MOST_MS ? [wait] : [];
  });
  if (soon.length === 0) return leftBy(at.writer, at.held);
  await deps.sleep(Math.max(0, ...soon) + TIMER_SLACK_MS);
  const again = await begin(deps, at.key, at.writer);
  if (again.begun.length > 0) await attemptAll(deps, { ...at, begun: again.begun });
  return leftBy(at.writer, again.held);
}

function leftBy({ found: { document, version } }: DispatchWriter, held: Held): LeftDocument {
  const dues = Object.entries(document.notices).flatMap(([id, { state, due }]) =>
    state === 'pending' ? [Math.max(due, held.get(id) ?? 0)] : [],
  );
  return { version, due: dues.length === 0 ? undefined : Math.min(...dues) };
}

/** Counts an attempt at each notice that is due. One that is held costs one read and no write: it stays due, and its hint waits. */
async function begin(
  deps: DeliverDependencies,
  key: string,
  writer: DispatchWriter,
): Promise<{ readonly begun: readonly string[]; readonly held: Held }> {
  const due = dueNotices(writer.found.document, deps.now());
  const looked = await Promise.all(due.map(async (id) => [id, await lookAt(deps, key, id)] as const));
  const held = new Map(looked.flatMap(([id, look]) => (typeof look === 'number' ? [[id, look]] : [])));
  const free = looked.filter(([id]) => !held.has(id));
  if (free.length === 0) return { begun: [], held };
  const counted = await writer.change((dispatch) => {
    const now = deps.now();
    const ids: string[] = [];
    const changed = free.reduce(
      (before, [id, look]) =>
        withNotice(before, id, (notice) => {
          if (!isDue(notice, now)) return notice;
          if (look === 'gone' || isSpent(notice)) return finished(notice, 'failed');
          ids.push(id);
          return begun(notice, now, deps.random);
        }),
      dispatch,
    );
    return [changed, ids] as const;
  });
  return { begun: counted, held };
}

/** Whether there is somebody to send to; a number: until when not to. */
async function lookAt(
  deps: DeliverDependencies,
  key: string,
  id: string,
): Promise<'there' | 'gone' | number> {
  const now = deps.now();
  try {
    const subscription = await deps.subscriptions.find(id);
    if (subscription === undefined || subscription.disabled !== undefined) return 'gone';
  } catch (error) {
    if (codeOf(error) !== 'notice_document_unreadable') throw error;
    // The other notices of the dispatch must not wait for it.
    deps.onError(error, key);
    return now + UNREADABLE_PAUSE_MS;
  }
  return deps.circuits.closedOff(id, now) ?? 'there';
}

/** Each in the lane of its endpoint; one that throws leaves its notice counted, to be looked at when its time is up. */
async function attemptAll(deps: DeliverDependencies, at: BegunDispatch): Promise<void> {
  let under = at.begun.length;
  const attempts = at.begun.map(async (id) => {
    try {
      await attempt(deps, at, id, () => {
        under -= 1;
        if (under === 0) at.writer.flush();
      });
    } catch (error) {
      deps.onError(error, at.key);
    }
  });
  await Promise.all(attempts);
}

/** `onAnswered` is called once, when nothing more comes of the endpoint. */
async function attempt(
  deps: DeliverDependencies,
  at: BegunDispatch,
  id: string,
  onAnswered: () => void,
): Promise<void> {
  let written: Promise<void> | undefined;
  let report: (() => Promise<void>) | undefined;
  try {
    await deps.lanes.run(id, async () => {
      const subscription = await deps.subscriptions.find(id);
      if (subscription === undefined) {
        written = at.writer.changeSoon((d) => withNotice(d, id, (notice) => finished(notice, 'failed')));
        return;
      }
      const outcome = await sendInTurn(deps, at, subscription);
      if (outcome === 'lost') return;
      written = at.writer.changeSoon((d) => withNotice(d, id, outcome.change));
      if (outcome.result !== undefined) {
        const { result } = outcome;
        report = () => deps.health.report(subscription, result);
      }
    });
  } finally {
    onAnswered();
  }
  await written;
  tellDelivered(deps, at, id);
  // Last: whatever goes wrong here, the notice itself is neither lost nor sent again for it.
  await report?.();
}

interface Outcome {
  readonly change: (notice: Notice) => Notice;
  /** None when the endpoint was left alone. */
  readonly result?: AttemptResult;
}

/** Sends, when it is the notice's turn. `lost`: it waited too long, and another worker is at it. */
async function sendInTurn(
  deps: DeliverDependencies,
  { key, writer }: BegunDispatch,
  subscription: Subscription,
): Promise<Outcome | 'lost'> {
  const { id } = subscription;
  const failing = subscription.failing_since !== undefined;
  const counted = writer.found.document.notices[id];
  if (counted === undefined) return 'lost';
  const until = deps.circuits.enter(id, failing, deps.now());
  if (until !== undefined) return { change: (notice) => putOff(notice, counted, until) };
  let outcome: Parameters<Circuits['leave']>[1] = 'unsent';
  try {
    if (!(await isStillOurs(deps, writer, id, counted))) return 'lost';
    const result = await sendNotice(deps, subscription, key, writer.found.document);
    outcome = wellness(result);
    deps.metrics.increment('leasekeeper_deliveries_total', { outcome: result.kind });
    return { result, change: (notice) => judged(notice, counted, result, deps.now(), deps.random) };
  } finally {
    deps.circuits.leave(id, outcome, deps.now());
  }
}

/** An attempt that has waited long is begun anew, lest another worker makes it too. */
async function isStillOurs(
  deps: DeliverDependencies,
  writer: DispatchWriter,
  id: string,
  counted: Notice,
): Promise<boolean> {
  if (isTimely(counted, deps.now())) return true;
  return writer.change((dispatch) => {
    const notice = dispatch.notices[id];
    if (notice?.tries !== counted.tries || notice.due !== counted.due) return [dispatch, false] as const;
    return [withNotice(dispatch, id, (one) => begunAgain(one, deps.now())), true] as const;
  });
}

function wellness({ kind, ...result }: AttemptResult): 'well' | 'failed' | 'unanswered' {
  if (kind !== 'retry') return 'well';
  return 'reason' in result && result.reason === 'timeout' ? 'unanswered' : 'failed';
}

function tellDelivered(
  { onDelivered }: DeliverDependencies,
  { key, writer }: BegunDispatch,
  id: string,
): void {
  const dispatch = writer.found.document;
  const notice = dispatch.notices[id];
  if (notice?.state === 'delivered') onDelivered?.({ key, dispatch, subscription: id, notice });
}
