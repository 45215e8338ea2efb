import { randomBytes } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import { inject, onTestFinished, vi } from 'vitest';
import type { Bus } from '../../../lib/bus/bus.ts';
import type { LeasekeeperEvent, Outcome } from '../../../lib/bus/events.ts';
import { type Dispatch, keyOf } from '../../../lib/notices/dispatch.ts';
import { workOnDue } from '../../../lib/notices/due.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { type NotifyDependencies, openNotify } from '../../../lib/notices/notify.ts';
import { createSender } from '../../../lib/notices/sender.ts';
import { createSigningSecret } from '../../../lib/notices/signature.ts';
import type { Subscription } from '../../../lib/notices/subscription.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { TIME } from '../../notices/events.ts';
import { receiveHttp } from '../../notices/receiver.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { openWorld, type World, type WorldDescription } from '../../support/world.ts';

/** One POST that a receiver got. Its signature has been verified. */
export interface Received {
  readonly id: string;
  readonly type: string;
  /** By the clock of the world. */
  readonly at: number;
  readonly body: unknown;
}

/** Clock, receivers and workers of one test, on a state mount of its own. */
export interface NoticeWorld {
  readonly world: World;
  readonly notices: NoticeStore;
  readonly clock: { now: number };
  /** How long the workers have slept, each time. */
  readonly slept: number[];
  readonly errors: unknown[];
  readonly published: LeasekeeperEvent[];
  /** A worker, as another process would be: with a connection to Vault of its own. */
  worker(options?: WorkerOptions): NotifyDependencies;
  /** An endpoint that verifies each notice with the official package, and is subscribed. */
  subscribe(answer: Answer, changes?: Partial<Subscription>): Promise<Received[]>;
  /** What Vault has of an event. */
  dispatch(event: Outcome): Promise<Dispatch | undefined>;
  /** The hint of an event's dispatch, or of that id; undefined when it has none. */
  hint(of: Outcome | string): Promise<{ due: number } | undefined>;
  /** Everything in the agenda, by id. */
  hints(): Promise<ReadonlyMap<string, { due: number }>>;
}

/** Records an event and waits until its first attempts have ended. */
export async function send(worker: NotifyDependencies, event: Outcome): Promise<void> {
  const { delivered } = await worker.recorder.record(event);
  await delivered;
}

/** What a scan would send a worker to. */
export function deliverDue(worker: NotifyDependencies): Promise<number> {
  return workOnDue(worker, { shard: 0 });
}

export interface WorkerOptions {
  readonly transport?: (real: Transport) => Transport;
  readonly timeoutMs?: number;
  readonly bus?: Bus;
  readonly random?: () => number;
}

/** Answers the n-th POST, counted from 1. */
export type Answer = (response: Parameters<RequestListener>[1], count: number) => void;

export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(code, headers).end();

/** A state mount with an empty book of deliveries, and nothing else. */
export async function createNoticeState(): Promise<WorldDescription> {
  const { request, address, rootToken } = admin(inject);
  const stateMount = uniqueName('state');
  await request('POST', `sys/mounts/${stateMount}`, { type: 'kv', options: { version: '2' } });
  await request('POST', `${stateMount}/config`, { cas_required: true, max_versions: 2 });
  const { host, port, database } = inject('postgres');
  const postgres = { host, port, database };
  const described = { address, rootToken, stateMount, namespace: 'none', rolePrefix: 'none', postgres };
  const world = openWorld(described);
  await world.deliveries.create(1);
  await world.close();
  return described;
}

export async function createNoticeWorld(): Promise<NoticeWorld> {
  const described = await createNoticeState();
  const clock = { now: Date.parse(TIME) };
  const now = () => clock.now;
  const open = (transport?: WorkerOptions['transport']) => {
    const opened = openWorld(described, { now, ...(transport === undefined ? {} : { transport }) });
    onTestFinished(() => opened.close());
    return opened;
  };
  const world = open();
  const notices = new NoticeStore(world.store);
  const slept: number[] = [];
  const errors: unknown[] = [];
  const published: LeasekeeperEvent[] = [];
  const recordingBus: Bus = {
    publish: async (events) => {
      published.push(...events);
      return new Set(events.map(({ id }) => id));
    },
  };
  const hints = async () => (await world.deliveries.visit(0, () => ({}))).state.entries;
  return {
    world,
    notices,
    clock,
    slept,
    errors,
    published,
    worker: ({ transport, timeoutMs = 5_000, bus = recordingBus, random = () => 0.5 } = {}) => {
      const opened = open(transport);
      const sender = createSender({ allow: ['http://127.0.0.1'], timeoutMs });
      onTestFinished(() => sender.close());
      return openNotify({
        notices: new NoticeStore(opened.store),
        book: opened.deliveries,
        bus,
        sender,
        metrics: noMetrics,
        now,
        random,
        sleep: async (ms) => {
          slept.push(ms);
          clock.now += ms;
        },
        onError: (error) => errors.push(error),
      });
    },
    subscribe: async (answer, changes = {}) => {
      const secret = createSigningSecret(randomBytes);
      const received: Received[] = [];
      const { port: at } = await receiveHttp((incoming, response) => {
        void text(incoming).then((body) => {
          const parsed = verified(secret, body, incoming.headers, clock.now);
          const { 'webhook-id': webhookId } = incoming.headers;
          received.push({ id: String(webhookId), type: parsed.type, at: clock.now, body: parsed });
          answer(response, received.length);
        });
      });
      const id = changes.id ?? `_all:${uniqueName('subscription')}`;
      const url = `http://127.0.0.1:${at}/`;
      const base = { id, url, types: ['secret.*'], names: ['*'], secrets: [{ secret }] };
      await notices.saveSubscription({ ...base, ...changes }, 0);
      return received;
    },
    dispatch: async (event) => (await notices.dispatch(keyOf(event)))?.document,
    hint: async (of) => (await hints()).get(typeof of === 'string' ? of : keyOf(of)),
    hints,
  };
}

/** As a receiver would, at the time it has there. Throws for a signature that does not hold. */
function verified(
  secret: string,
  body: string,
  headers: Record<string, string | string[] | undefined>,
  now: number,
): { readonly type: string } {
  const flat = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
  const clock = vi.spyOn(Date, 'now').mockReturnValue(now);
  try {
    new Webhook(secret).verify(body, flat);
  } finally {
    clock.mockRestore();
  }
  return JSON.parse(body);
}
