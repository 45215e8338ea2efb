import { beforeEach, expect, it } from 'vitest';
import * as z from 'zod';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import { disabled, rotated } from '../../notices/events.ts';
import { until } from '../../support/until.ts';
import { dyingAfter, dyingBefore, nthWrite } from './fault-transport.ts';
import {
  createNoticeWorld,
  deliverDue,
  type NoticeWorld,
  type Received,
  send,
  status,
} from './notice-world.ts';

const WINDOW = 30_000;
const ID = '_all:batched';

let there: NoticeWorld;
beforeEach(async () => {
  there = await createNoticeWorld();
});

const batchBody = z.object({
  type: z.literal('notices.batch'),
  timestamp: z.iso.datetime(),
  data: z.object({ notices: z.array(z.object({ id: z.string(), type: z.string(), data: z.unknown() })) }),
});
const idsIn = ({ body }: Received) => batchBody.parse(body).data.notices.map(({ id }) => id);
const subscribe = (answer = status(204)) => there.subscribe(answer, { id: ID, batch_ms: WINDOW });

it('gathers what comes in a window into one signed notice, in the order in which it happened', async () => {
  const received = await subscribe();
  const alone = await there.subscribe(status(204));
  const worker = there.worker();
  const events = Array.from({ length: 12 }, (_, index) => ({
    ...rotated('app', [], index + 1),
    time: new Date(there.clock.now + index).toISOString(),
  }));

  await Promise.all(events.toReversed().map((event) => send(worker, event)));
  there.clock.now += WINDOW - 1;
  await deliverDue(there.worker());
  expect([received.length, alone.length]).toEqual([0, 12]);
  there.clock.now += 1;
  await deliverDue(there.worker());

  expect(received).toHaveLength(1);
  expect(received.flatMap(idsIn)).toEqual(events.map(({ id }) => id));
  expect(received[0]?.id).toMatch(/^bat_/);
});

it('begins a new one with each window, and leaves nothing behind', async () => {
  const received = await subscribe();
  const worker = there.worker();
  await send(worker, rotated('app', [], 1));
  there.clock.now += WINDOW;
  await send(worker, rotated('app', [], 2));
  await deliverDue(worker);
  there.clock.now += WINDOW;
  await deliverDue(worker);
  // An event may still be on its way into a batch that has closed, so each is looked at again, a claim apart.
  for (let visits = 0; visits < 2; visits += 1) {
    there.clock.now += 3 * 60_000;
    await deliverDue(worker);
  }

  expect(received.map(idsIn)).toEqual([[rotated('app', [], 1).id], [rotated('app', [], 2).id]]);
  expect(await there.world.store.list('batches/_all/batched')).toEqual([]);
  expect([...(await there.hints()).keys()]).toEqual(['kept/2026-11-21']);
});

it('goes in several notices, each small enough, when much has happened', async () => {
  const received = await subscribe();
  const consumers = Array.from({ length: 40 }, (_, index) => `${'c'.repeat(60)}-${index}`);
  const events = Array.from({ length: 30 }, (_, index) => rotated('app', consumers, index + 1));
  const worker = there.worker();
  await Promise.all(events.map((event) => send(worker, event)));
  there.clock.now += WINDOW;

  await deliverDue(worker);

  expect(received.length).toBeGreaterThan(2);
  for (const { body } of received) expect(JSON.stringify(body).length).toBeLessThan(20_000);
  expect(received.flatMap(idsIn).toSorted()).toEqual(events.map(({ id }) => id).toSorted());
});

it('is tried again as a whole, with the same id, when the endpoint fails', async () => {
  const received = await subscribe((response, count) => status(count < 3 ? 500 : 204)(response, count));
  const worker = there.worker();
  await Promise.all([1, 2, 3].map((generation) => send(worker, rotated('app', [], generation))));
  there.clock.now += WINDOW;
  await deliverDue(worker);
  there.clock.now += 6 * 60_000;

  await deliverDue(worker);

  expect(received).toHaveLength(3);
  expect(new Set(received.map(({ id }) => id)).size).toBe(1);
  expect(new Set(received.map((one) => idsIn(one).join())).size).toBe(1);
  const [key = ''] = (await there.notices.dispatchesOf('2026-11-21')).filter((one) => one.includes('/bat_'));
  expect((await there.notices.dispatch(key))?.document.notices[ID]).toMatchObject({
    tries: 3,
    attempts: [{ status: 500 }, { status: 500 }, { status: 204 }],
  });
});

it('sends what comes late into a window that has closed', async () => {
  const received = await subscribe();
  const closes = Math.floor(there.clock.now / WINDOW + 1) * WINDOW;
  await send(there.worker(), rotated('app', [], 1));
  there.clock.now = closes;
  await deliverDue(there.worker());
  // A slow worker that chose the window before it closed.
  await there.notices.gather(ID, closes, rotated('app', [], 2));
  there.clock.now += 3 * 60_000;

  await deliverDue(there.worker());

  expect(received.map(idsIn)).toEqual([[rotated('app', [], 1).id], [rotated('app', [], 2).id]]);
  // Each says when it closed, whenever it was made.
  const times = received.map(({ body }) => Date.parse(batchBody.parse(body).timestamp));
  expect(times).toEqual([closes, closes]);
});

it('is not gathered twice when the event comes again, even in another window', async () => {
  const received = await subscribe();
  await send(there.worker(), rotated('app'));
  there.clock.now += WINDOW;
  await send(there.worker(), rotated('app'));
  // With another it would be another batch.
  await send(there.worker(), rotated('other'));
  for (let visits = 0; visits < 4; visits += 1) {
    await deliverDue(there.worker());
    there.clock.now += WINDOW;
  }

  expect(received.map(idsIn)).toEqual([[rotated('app').id], [rotated('other').id]]);
});

it.each([
  ['before the batch is a dispatch', dyingBefore(nthWrite('dispatches', 1))],
  ['before what was gathered is deleted', dyingAfter(nthWrite('dispatches', 1))],
] as const)('a worker that dies %s leaves it whole: one notice, one id', async (_when, dying) => {
  const received = await subscribe();
  await Promise.all([1, 2].map((generation) => send(there.worker(), rotated('app', [], generation))));
  there.clock.now += WINDOW;
  const worker = there.worker({ transport: dying });
  void deliverDue(worker);
  await until(async () => [...(await there.hints()).keys()].some((key) => key.includes('/bat_')));

  for (let visits = 0; visits < 3; visits += 1) {
    there.clock.now += 3 * 60_000;
    await deliverDue(there.worker());
  }

  expect(new Set(received.map(({ id }) => id)).size).toBe(1);
  expect(received.flatMap(idsIn).toSorted()).toEqual([1, 2].map((g) => rotated('app', [], g).id).toSorted());
});

it('loses nothing for an event that cannot be read, which goes once somebody has mended it', async () => {
  const received = await subscribe();
  const closes = Math.floor(there.clock.now / WINDOW + 1) * WINDOW;
  const [one, other] = [rotated('app', [], 1), rotated('app', [], 2)];
  await Promise.all([one, other].map((event) => send(there.worker(), event)));
  const path = `batches/_all/batched/${closes}/${other.id}`;
  await there.world.store.write(path, { json: '{' }, 1);
  const visit = async () => {
    there.clock.now += 3 * 60_000;
    await deliverDue(there.worker());
  };
  for (let visits = 0; visits < 3; visits += 1) await visit();
  expect(there.errors).not.toEqual([]);

  await there.world.store.write(path, { json: JSON.stringify(other) }, 2);
  await visit();

  expect(received.flatMap(idsIn).toSorted()).toEqual([one.id, other.id].toSorted());
});

it('goes to nobody when its subscription is no more', async () => {
  const received = await subscribe();
  await send(there.worker(), rotated('app'));
  await there.notices.deleteSubscription(ID);
  there.clock.now += WINDOW;

  await deliverDue(there.worker());

  expect(received).toEqual([]);
  expect(there.errors).toEqual([]);
  expect((await there.dispatch(rotated('app')))?.notices[ID]?.state).toBe('gathered');
});

it('has the headers of a CloudEvent of its own where these are asked for, and each lone notice its own', async () => {
  const headers: Record<string, unknown>[] = [];
  const answer: Parameters<NoticeWorld['subscribe']>[0] = (response, count) => {
    headers.push(response.req.headers);
    status(204)(response, count);
  };
  await there.subscribe(answer, { id: ID, batch_ms: WINDOW, cloudevents: true });
  await there.subscribe(answer, { id: '_all:alone', cloudevents: true });
  await there.subscribe(answer, { id: '_all:plain' });
  const event = rotated('app');
  await send(there.worker(), event);
  there.clock.now += WINDOW;
  await deliverDue(there.worker());

  const described = headers.filter((one) => 'ce-id' in one);
  expect(headers).toHaveLength(3);
  expect(described).toMatchObject([
    { 'ce-id': event.id, 'ce-type': 'secret.rotated', 'ce-subject': 'app' },
    { 'ce-id': expect.stringMatching(/^bat_/), 'ce-type': 'notices.batch', 'ce-subject': ID },
  ]);
  for (const one of described) expect(one['ce-id']).toBe(one['webhook-id']);
});

it('holds lone notices up for nobody', async () => {
  await subscribe();
  const alone = await there.subscribe(status(204), { types: ['subscription.*'] });
  const event = disabled('_all:some');

  await send(there.worker(), event);

  expect(alone).toHaveLength(1);
  expect(keyOf(event)).toContain(event.id);
});
