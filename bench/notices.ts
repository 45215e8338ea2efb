/**
 * What a dead endpoint costs the others, and what a notice costs Vault: 100 events to 100 endpoints, of which none or five are dead, in turns
 * in one run; then 10,000 events to one endpoint each. The peer is the same 10,000 POSTs, signed, without anything being kept.
 * `node bench/notices.ts` prints times as ratios; absolute times say nothing on a machine that others share.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { Outcome } from '../lib/bus/events.ts';
import { eventId } from '../lib/bus/events.ts';
import { NoticeStore } from '../lib/notices/notice-store.ts';
import { openNotify } from '../lib/notices/notify.ts';
import { createSender } from '../lib/notices/sender.ts';
import { headers } from '../lib/notices/signature.ts';
import { noMetrics } from '../lib/telemetry/no-metrics.ts';
import { type BenchState, withOpenBao } from './vault.ts';

const ENDPOINTS = 100;
const DEAD = 5;
const EVENTS = 100;
const ROUNDS = 3;
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

interface Endpoint {
  readonly url: string;
  received: number;
  dead: boolean;
}

const servers: Server[] = [];
let onReceived = (): void => {};

async function endpoint(): Promise<Endpoint> {
  const one = { url: '', received: 0, dead: false };
  const server = createServer((request, response) => {
    request.resume();
    if (one.dead) return;
    one.received += 1;
    onReceived();
    response.writeHead(204).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return Object.assign(one, { url: `http://127.0.0.1:${address.port}/` });
}

function eventTo(name: string, now: number): Outcome {
  return {
    id: eventId('bench', name, now),
    type: 'secret.rotated',
    time: new Date(now).toISOString(),
    data: { name, generation: 1, consumers: [], reason: 'schedule' },
  };
}

/** Sends events and waits until the healthy endpoints have theirs; gives milliseconds until then, and what Vault was asked, then and in all. */
async function measure(
  state: BenchState,
  endpoints: readonly Endpoint[],
  events: readonly Outcome[],
  nameOf: (index: number) => string,
) {
  const notices = new NoticeStore(state.store);
  await Promise.all(
    endpoints.map(({ url }, index) =>
      notices.saveSubscription(
        { id: `_all:e${index}`, url, types: ['*'], names: [nameOf(index)], secrets: [{ secret: SECRET }] },
        0,
      ),
    ),
  );
  const sender = createSender({ allow: ['http://127.0.0.1'] });
  const { recorder } = openNotify({
    notices,
    book: state.deliveries,
    bus: { publish: async (published) => new Set(published.map(({ id }) => id)) },
    sender,
    metrics: noMetrics,
    now: state.now,
    random: Math.random,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    onError: (error) => console.error(error),
  });
  for (const one of endpoints) one.received = 0;
  const before = state.requests();
  const each = (events.length * endpoints.length) / (nameOf(0) === '*' ? 1 : endpoints.length);
  const wanted = (each / endpoints.length) * endpoints.filter(({ dead }) => !dead).length;
  const began = performance.now();
  const arrived = new Promise<number>((resolve) => {
    let count = 0;
    onReceived = () => {
      count += 1;
      if (count === wanted) resolve(performance.now() - began);
    };
  });
  const recorded = await Promise.all(events.map((event) => recorder.record(event)));
  const healthyMs = await arrived;
  await Promise.all(recorded.map(({ delivered }) => delivered));
  const requests = state.requests() - before;
  await sender.close();
  return { healthyMs, perNotice: requests / each, notices: each };
}

/** The same POSTs with nothing kept. */
async function bare(endpoints: readonly Endpoint[], events: readonly Outcome[]): Promise<number> {
  const sender = createSender({ allow: ['http://127.0.0.1'] });
  const began = performance.now();
  await Promise.all(
    endpoints.map(async ({ url }) => {
      const lane = events.map((event) => async () => {
        const body = JSON.stringify({ type: event.type, timestamp: event.time, data: event.data });
        const timestampSeconds = Math.floor(Date.now() / 1_000);
        const signed = headers({ id: event.id, timestampSeconds, body, secrets: [SECRET] });
        await sender.send({ url, headers: { 'content-type': 'application/json', ...signed }, body });
      });
      const next = async (): Promise<void> => {
        for (let work = lane.pop(); work !== undefined; work = lane.pop()) await work();
      };
      await Promise.all([next(), next(), next(), next()]);
    }),
  );
  const took = performance.now() - began;
  await sender.close();
  return took;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

await withOpenBao(async (newState) => {
  const endpoints = await Promise.all(Array.from({ length: ENDPOINTS }, endpoint));
  const kill = (count: number) => {
    for (const [index, one] of endpoints.entries()) one.dead = index < count;
  };
  const toAll = async (dead: number) => {
    kill(dead);
    const state = await newState();
    const events = Array.from({ length: EVENTS }, (_, index) => eventTo(`all-${index}`, state.now()));
    return measure(state, endpoints, events, () => '*');
  };
  const events = Array.from({ length: EVENTS }, (_, index) => eventTo(`bare-${index}`, Date.now()));
  const none: Awaited<ReturnType<typeof measure>>[] = [];
  const some: Awaited<ReturnType<typeof measure>>[] = [];
  const alone: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    none.push(await toAll(0));
    some.push(await toAll(DEAD));
    kill(0);
    onReceived = () => {};
    alone.push(await bare(endpoints, events));
  }
  kill(0);
  const state = await newState();
  const single = await measure(
    state,
    endpoints,
    Array.from({ length: EVENTS * ENDPOINTS }, (_, index) =>
      eventTo(`one-${index % ENDPOINTS}-${index}`, state.now()),
    ),
    (index) => `one-${index}-*`,
  );
  const healthy = median(none.map(({ healthyMs }) => healthyMs));
  const perHealthy = (of: readonly { healthyMs: number }[], share: number) =>
    median(of.map(({ healthyMs }) => healthyMs)) / share;
  const ratio = perHealthy(some, (ENDPOINTS - DEAD) / ENDPOINTS) / perHealthy(none, 1);
  const figure = (value: number) => Number(value.toFixed(3));
  console.table({
    'time to the healthy, per notice: 5 of 100 dead / none dead': { ratio: figure(ratio) },
    'all in the same time, not per notice': {
      ratio: figure(median(some.map(({ healthyMs }) => healthyMs)) / healthy),
    },
    'kept in Vault / bare POSTs (100 events to 100 endpoints)': { ratio: figure(healthy / median(alone)) },
  });
  console.table({
    'none dead': { 'Vault requests per notice': figure(median(none.map(({ perNotice }) => perNotice))) },
    '5 of 100 dead': { 'Vault requests per notice': figure(median(some.map(({ perNotice }) => perNotice))) },
    'each event to one endpoint': { 'Vault requests per notice': figure(single.perNotice) },
  });
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});
