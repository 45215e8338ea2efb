import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import pLimit from 'p-limit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import * as z from 'zod';
import type { Outcome } from '../../../lib/bus/events.ts';
import { workOnDue } from '../../../lib/notices/due.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { type NotifyDependencies, openNotify } from '../../../lib/notices/notify.ts';
import { createSender, type Sender } from '../../../lib/notices/sender.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import { type KillPoint, killPoints } from '../../crash/kill-switch.ts';
import { bundleWorker, type JobEnd, type RunJob } from '../../crash/run-job.ts';
import { NEW_SECRET, rotated } from '../../notices/events.ts';
import { listening } from '../../support/listening.ts';
import { openWorld } from '../../support/world.ts';
import { createNoticeState } from '../notices/notice-world.ts';

/** Each makes a process: two cores have no use for more. */
const PROCESSES = 3;
const MINUTE = 60_000;
const WINDOW_MS = 1_000;

const bodySchema = z.object({
  type: z.string(),
  data: z.looseObject({ notices: z.array(z.object({ id: z.string() })).optional() }),
});

/** Which notices came for a name, at which endpoint: ids of events, also of those in a batch. */
const arrived = new Map<string, string[]>();
const closers: (() => PromiseLike<void>)[] = [];
let urls: { well: string; flaky: string; batched: string };
let sender: Sender;
let folder: string;
let runJob: RunJob;

beforeAll(async () => {
  const endpoint = async (name: string, statusOf: (count: number) => number) => {
    const server = createServer((request, response) => {
      void text(request).then((body) => {
        const { data } = bodySchema.parse(JSON.parse(body));
        const ids = data.notices?.map(({ id }) => id) ?? [String(request.headers['webhook-id'])];
        for (const id of ids) {
          const key = `${name} ${request.url} ${id}`;
          arrived.set(key, [...(arrived.get(key) ?? []), String(request.headers['webhook-id'])]);
        }
        const count = arrived.get(`${name} ${request.url} ${ids[0]}`)?.length ?? 0;
        response.writeHead(statusOf(count)).end();
      });
    });
    const there = await listening(server);
    closers.push(() => there[Symbol.asyncDispose]());
    return `http://127.0.0.1:${there.port}`;
  };
  urls = {
    well: await endpoint('well', () => 204),
    flaky: await endpoint('flaky', (count) => (count < 3 ? 500 : 204)),
    batched: await endpoint('batched', () => 204),
  };
  sender = createSender({ allow: ['http://127.0.0.1'] });
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-crash-'));
  runJob = await bundleWorker(folder);
});
afterAll(async () => {
  await sender.close();
  for (const close of closers) await close();
  await rm(folder, { recursive: true, force: true });
});

interface Scene {
  readonly event: Outcome;
  /** The process that is to be killed. */
  run(kill?: KillPoint): Promise<JobEnd>;
  /** Other processes, as queue and agenda send them, until nothing is left to do. */
  recover(redelivered: boolean): Promise<void>;
  inspect(): Promise<void>;
}

/** One event, three endpoints, a state mount of its own. `failed`: its first two attempts at the flaky one have been made. */
async function createScene(name: string, failed: boolean): Promise<Scene> {
  const described = await createNoticeState();
  let later = 0;
  const world = openWorld(described, { now: () => Date.now() + later });
  closers.push(() => world.close());
  const notices = new NoticeStore(world.store);
  const one = { types: ['*'], names: ['*'], secrets: [{ secret: NEW_SECRET }] };
  for (const [id, url, more] of [
    ['_all:well', urls.well, {}],
    ['_all:flaky', urls.flaky, {}],
    ['_all:batched', urls.batched, { batch_ms: WINDOW_MS }],
  ] as const) {
    await notices.saveSubscription({ ...one, ...more, id, url: `${url}/${name}` }, 0);
  }
  const event = { ...rotated(name), time: new Date().toISOString() };
  const worker = (): NotifyDependencies => {
    const { bus, random } = world.rotate;
    return openNotify({
      notices,
      book: world.deliveries,
      bus,
      sender,
      metrics: noMetrics,
      now: world.now,
      random,
      sleep: async (ms) => {
        later += ms;
      },
      onError: (error) => {
        throw error;
      },
    });
  };
  if (failed) {
    await (await worker().recorder.record(event)).delivered;
    later += 10 * MINUTE;
  }
  return {
    event,
    run: (kill) =>
      runJob({
        world: described,
        job: failed ? { kind: 'deliver' } : { kind: 'record', event },
        events: path.join(folder, `${name}.jsonl`),
        later,
        ...(kill === undefined ? {} : { kill }),
      }),
    recover: async (redelivered) => {
      if (redelivered) await (await worker().recorder.record(event)).delivered;
      for (let visits = 0; visits < 8; visits += 1) {
        later += 10 * MINUTE;
        await workOnDue(worker(), { shard: 0 });
      }
    },
    inspect: async () => {
      const left = (await world.deliveries.visit(0, () => ({}))).state.entries;
      const key = `${event.time.slice(0, 10)}/${event.id}`;
      const states = Object.entries((await notices.dispatch(key))?.document.notices ?? {});
      const ids = (at: string) => [...new Set(arrived.get(`${at} /${name} ${event.id}`))];
      expect({
        name,
        states: Object.fromEntries(states.map(([id, { state }]) => [id, state])),
        well: ids('well'),
        flaky: ids('flaky'),
        batched: ids('batched').length,
        left: [...left.keys()],
      }).toEqual({
        name,
        states: { '_all:well': 'delivered', '_all:flaky': 'delivered', '_all:batched': 'gathered' },
        well: [event.id],
        flaky: [event.id],
        batched: 1,
        left: [`kept/${event.time.slice(0, 10)}`],
      });
    },
  };
}

it.each([
  ['records and delivers an event', false],
  ['delivers what is due', true],
] as const)(
  'killed between any two calls and during each while it %s: each notice arrives, under one id',
  async (_what, failed) => {
    const first = await createScene(`${failed ? 'due' : 'new'}-0-none`, failed);
    const whole = await first.run();
    if (whole.killed) throw new Error('nothing was to be killed');
    await first.recover(false);
    await first.inspect();

    const points = killPoints(whole.labels.length);
    const limit = pLimit(PROCESSES);
    const killed = await Promise.all(
      points.map((point) =>
        limit(async () => {
          const scene = await createScene(`${failed ? 'due' : 'new'}-${point.call}-${point.when}`, failed);
          const end = await scene.run(point);
          // A queue gives a message again that was not answered for.
          await scene.recover(!failed);
          await scene.inspect();
          return end.killed;
        }),
      ),
    );
    const count = killed.filter(Boolean).length;
    // The order of what is done at the same time may differ: the last calls may not be reached.
    expect(count).toBeGreaterThan(points.length * 0.9);
    console.log(`${whole.labels.length} calls, ${count} kills: ${whole.labels.join(', ')}`);
  },
  240_000,
);
