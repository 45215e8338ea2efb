import pLimit from 'p-limit';
import type { Book } from '../agenda/book.ts';
import { type Hint, type LeftDocument, settleHints } from '../agenda/hint.ts';
import type { Outcome } from '../bus/events.ts';
import { type Batch, hintOf, openBatch } from './batch.ts';
import { type BegunDispatch, type DeliverDependencies, deliverBegun, type Held } from './deliver.ts';
import { type Dispatch, dueOf, keyOf } from './dispatch.ts';
import { DispatchWriter } from './dispatch-writer.ts';
import { begun, type Notice, newNotice } from './notice.ts';
import { keepingHint } from './retention.ts';
import { type Subscription, wants } from './subscription.ts';

export interface RecordDependencies extends DeliverDependencies {
  readonly book: Book<Hint>;
}

/** An event that is recorded. */
export interface Recorded {
  /** Settles when the first attempts at its notices have ended. It never rejects: what is not delivered, the agenda brings up again. */
  readonly delivered: Promise<void>;
}

interface Planned {
  readonly key: string;
  readonly dispatch: Dispatch;
  /** The subscriptions whose first attempt is counted, and those that are left alone until later. */
  readonly begun: readonly string[];
  readonly held: Held;
  readonly batches: readonly Batch[];
}

interface Waiting {
  readonly event: Outcome;
  readonly resolve: (recorded: Recorded) => void;
  readonly reject: (error: unknown) => void;
}

const MOST_TOGETHER = 500;
const PARALLEL_WRITES = 16;
/** No claim of anybody's. */
const NOBODY = '';

/**
 * Records who is to be told of events, and makes the first attempts. Once an event is recorded none of its notices can be lost, and a slow
 * endpoint holds up nobody. The same event again changes nothing. Events that come while others are being recorded are recorded together:
 * a burst costs Vault one message to the agenda, and two writes for each event, however many endpoints hear of it.
 */
export class Recorder {
  readonly #deps: RecordDependencies;
  readonly #waiting: Waiting[] = [];
  #running = false;

  constructor(deps: RecordDependencies) {
    this.#deps = deps;
  }

  /** Throws VaultError when it could not be recorded; the event must then come again. */
  record(event: Outcome): Promise<Recorded> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ event, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      // What arrives in the same turn is one group.
      await new Promise((resolve) => setImmediate(resolve));
      await this.#recordTogether(this.#waiting.splice(0, MOST_TOGETHER));
    }
    this.#running = false;
  }

  async #recordTogether(group: readonly Waiting[]): Promise<void> {
    const deps = this.#deps;
    try {
      const subscriptions = await deps.subscriptions.all();
      const now = deps.now();
      const planned = new Map(group.map(({ event }) => [event.id, plan(deps, event, subscriptions, now)]));
      await deps.book.addAll(hintsOf([...planned.values()]));
      const limit = pLimit(PARALLEL_WRITES);
      const written = new Map([...planned].map(([id, one]) => [id, limit(() => write(deps, one))] as const));
      const results = await Promise.allSettled(written.values());
      const fresh = results.flatMap((one) => (one.status === 'fulfilled' && one.value ? [one.value] : []));
      const delivered = deliverFirst(deps, fresh);
      for (const { event, resolve, reject } of group) {
        written.get(event.id)?.then(() => resolve({ delivered }), reject);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }
}

/** Who is told, and how. An attempt is counted from the start wherever one may be made: it then needs no write of its own. */
function plan(
  deps: RecordDependencies,
  event: Outcome,
  subscriptions: readonly Subscription[],
  now: number,
): Planned {
  const wanted = subscriptions.filter((subscription) => wants(subscription, event));
  const batched = wanted.filter(({ batch_ms }) => batch_ms !== undefined);
  const direct = wanted.filter((one) => !batched.includes(one));
  const held = new Map(
    direct.flatMap(({ id }) => {
      const until = deps.circuits.closedOff(id, now);
      return until === undefined ? [] : [[id, until] as const];
    }),
  );
  const free = direct.filter(({ id }) => !held.has(id));
  const noticeOf = (subscription: Subscription): Notice => {
    const fresh = newNotice(now);
    if (batched.includes(subscription)) return { ...fresh, state: 'gathered' };
    return free.includes(subscription) ? begun(fresh, now, deps.random) : fresh;
  };
  return {
    key: keyOf(event),
    dispatch: {
      events: [event],
      created: now,
      notices: Object.fromEntries(wanted.map((one) => [one.id, noticeOf(one)])),
    },
    begun: free.map(({ id }) => id),
    held,
    batches: batched.map((one) => openBatch(one, now)),
  };
}

/** Posted before what they point to is written: a crash between the two leaves a hint too many, never one too few. */
function hintsOf(planned: readonly Planned[]): readonly Hint[] {
  const wanted = planned.filter(isWanted);
  const dispatches = wanted.flatMap(({ key, dispatch }) => {
    const due = dueOf(dispatch);
    return due === undefined ? [] : [{ id: key, due, for: 1 }];
  });
  const others = wanted.flatMap(({ key, batches }) => [
    keepingHint(key.slice(0, key.indexOf('/'))),
    ...batches.map(hintOf),
  ]);
  return [...dispatches, ...new Map(others.map((hint) => [hint.id, hint])).values()];
}

function isWanted({ dispatch }: Planned): boolean {
  return Object.keys(dispatch.notices).length > 0;
}

/** Undefined: nobody wants it, or it was recorded before. The dispatch is last: where it is, everything is. */
async function write(deps: RecordDependencies, planned: Planned): Promise<BegunDispatch | undefined> {
  if (!isWanted(planned)) return undefined;
  const { key, dispatch, batches } = planned;
  const [event] = dispatch.events;
  if (event !== undefined && batches.length > 0) {
    if ((await deps.notices.dispatch(key)) !== undefined) return undefined;
    await Promise.all(
      batches.map(({ subscription, closes }) => deps.notices.gather(subscription, closes, event)),
    );
  }
  const version = await deps.notices.saveDispatch(key, dispatch, 0);
  if (version === undefined) return undefined;
  const writer = new DispatchWriter(deps.notices, key, { document: dispatch, version });
  return { key, writer, begun: planned.begun, held: planned.held };
}

/** The first attempts at what was recorded together. The hints of what is delivered go in one visit to each shard. */
async function deliverFirst(deps: RecordDependencies, fresh: readonly BegunDispatch[]): Promise<void> {
  const left = new Map<string, LeftDocument>();
  await Promise.all(
    fresh.map(async (one) => {
      try {
        left.set(one.key, await deliverBegun(deps, one));
      } catch (error) {
        deps.onError(error, one.key);
      }
    }),
  );
  try {
    await settle(deps.book, left);
  } catch (error) {
    deps.onError(error, 'deliveries');
  }
}

async function settle(book: Book<Hint>, left: ReadonlyMap<string, LeftDocument>): Promise<void> {
  const keys = [...left.keys()];
  const shards = await Promise.all(keys.map((key) => book.shardOf(key)));
  await Promise.all(
    [...new Set(shards)].map((shard) => book.visit(shard, (state) => settleHints(state, left, NOBODY))),
  );
}
