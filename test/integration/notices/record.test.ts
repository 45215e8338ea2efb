import { beforeEach, expect, it, vi } from 'vitest';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import { disabled, expiring, rotated } from '../../notices/events.ts';
import { until } from '../../support/until.ts';
import { recordingExchanges } from './fault-transport.ts';
import { createNoticeWorld, deliverDue, type NoticeWorld, send, status } from './notice-world.ts';

let there: NoticeWorld;

beforeEach(async () => {
  there = await createNoticeWorld();
});

const recorded = async () => {
  const days = await there.world.store.list('dispatches');
  return (await Promise.all(days.map((day) => there.world.store.list(`dispatches/${day}`)))).flat();
};
const toldOf = async (event: Parameters<NoticeWorld['dispatch']>[0]) =>
  Object.keys((await there.dispatch(event))?.notices ?? {}).toSorted();

it('records one notice for each subscription that wants the event, all in one document', async () => {
  await there.subscribe(status(200), { id: '_all:one' });
  await there.subscribe(status(200), { id: '_all:app-only', names: ['app'] });
  await there.subscribe(status(200), { id: '_all:other-only', names: ['other'] });
  await there.subscribe(status(200), { id: '_all:off', disabled: { at: 0, reason: 'by_hand' } });
  await there.subscribe(status(200), { id: 'api-gateway:mine' });
  await there.subscribe(status(200), { id: 'inference-service:not-mine' });
  const event = rotated('app', ['api-gateway']);

  await send(there.worker(), event);

  expect(await toldOf(event)).toEqual(['_all:app-only', '_all:one', 'api-gateway:mine']);
  expect(await recorded()).toEqual([event.id]);
});

it('records nothing when no one wants it', async () => {
  await there.subscribe(status(200), { types: ['secret.*'] });

  await send(there.worker(), expiring('app'));

  expect([await recorded(), [...(await there.hints()).keys()]]).toEqual([[], []]);
});

it('records the same event once, however often and from how many sides it comes', async () => {
  const received = await there.subscribe(status(200));
  const event = rotated('app');
  const [one, ...others] = Array.from({ length: 8 }, () => there.worker());
  if (one === undefined) throw new Error('no worker');

  await Promise.all([send(one, event), ...[one, ...others].map((worker) => send(worker, event))]);

  expect(received).toHaveLength(1);
  expect(await recorded()).toEqual([event.id]);
});

it('answers once all is recorded, before anybody has been told', async () => {
  let answer = (): void => {};
  const received = await there.subscribe((response) => {
    answer = () => void response.writeHead(200).end();
  });

  const { delivered } = await there.worker().recorder.record(rotated('app'));

  expect((await there.dispatch(rotated('app')))?.notices).toMatchObject({});
  expect(await there.hint(rotated('app'))).toBeDefined();
  await until(() => received.length === 1);
  answer();
  await delivered;
  expect(await there.hint(rotated('app'))).toBeUndefined();
});

it('posts the hint that a worker died before posting, when the event comes again', async () => {
  await there.subscribe(status(500));
  const event = rotated('app');
  await send(there.worker(), event);
  // As it would be had it been lost.
  await there.world.deliveries.visit(0, () => ({ forget: [keyOf(event)] }));
  expect(await there.hint(event)).toBeUndefined();

  await send(there.worker(), event);

  expect(await there.hint(event)).toBeDefined();
});

it('records for the others when a subscription cannot be read, and says so', async () => {
  const received = await there.subscribe(status(200));
  await there.world.store.write('subscriptions/_all/broken', { id: 'broken', url: 1 }, 0);

  await send(there.worker(), rotated('app'));

  expect(received).toHaveLength(1);
  expect(there.errors).toMatchObject([{ code: 'notice_document_unreadable' }]);
});

it('is not stopped by what an owner writes below its folder', async () => {
  const received = await there.subscribe(status(200), { id: 'app:mine' });
  await there.world.store.write('subscriptions/app/deep/down', { id: 'app:deep' }, 0);

  await send(there.worker(), rotated('other', ['app']));

  expect(received).toHaveLength(1);
  expect(there.errors).toEqual([]);
});

it('does not tell an endpoint of its own end, but its owner at another one', async () => {
  await there.subscribe(status(200), { id: 'app:mine', types: ['*'] });
  await there.subscribe(status(200), { id: 'app:second', types: ['*'] });
  await there.subscribe(status(200), { id: 'other:third', types: ['*'] });
  await there.subscribe(status(200), { id: '_all:observer', types: ['*'] });
  const event = disabled('app:mine');

  await send(there.worker(), event);

  expect(await toldOf(event)).toEqual(['_all:observer', 'app:second']);
});

it('hears of a new subscription within ten seconds', async () => {
  const worker = there.worker();
  await send(worker, rotated('app', [], 1));
  const received = await there.subscribe(status(200));
  there.clock.now += 10_000;

  await send(worker, rotated('app', [], 2));

  expect(received.map(({ id }) => id)).toEqual([rotated('app', [], 2).id]);
});

it('costs Vault two writes for each event of a burst, however many are told, and a few requests for all', async () => {
  const endpoints = await Promise.all(Array.from({ length: 20 }, () => there.subscribe(status(200))));
  const exchanges = recordingExchanges();
  const worker = there.worker({ transport: exchanges.transport });
  await send(worker, rotated('first'));
  exchanges.requests.splice(0);

  await Promise.all(Array.from({ length: 50 }, (_, index) => send(worker, rotated('app', [], index + 1))));

  expect(endpoints.map((received) => received.length)).toEqual(endpoints.map(() => 51));
  const writes = exchanges.requests.filter(
    (request) => request.startsWith('PUT') && request.includes('/dispatches/'),
  );
  // A result that comes late is written by itself.
  expect(writes.length).toBeLessThanOrEqual(50 * 4);
  expect(exchanges.requests.length - writes.length).toBeLessThanOrEqual(12);
  // One message to the agenda for all that come in the same turn.
  const messages = exchanges.requests.filter((one) => one.startsWith('PUT') && one.includes('/inbox/'));
  expect(messages).toHaveLength(1);
  expect([...(await there.hints()).keys()]).toEqual(['kept/2026-11-21']);
  await deliverDue(worker);
});

it('records no more than 500 together, so that the message to the agenda fits', async () => {
  const worker = there.worker();
  const posted = vi.spyOn(worker.book, 'addAll');

  // Nobody wants them.
  await Promise.all(Array.from({ length: 1_100 }, (_, index) => send(worker, rotated('app', [], index))));

  expect(posted).toHaveBeenCalledTimes(3);
});

it('posts and settles the hints of a burst in all shards', async () => {
  await there.world.store.write('agenda/deliveries/about', { shards: 4, schema: 1 }, 1);
  const { promise: checked, resolve: answer } = Promise.withResolvers<void>();
  await there.subscribe((response) => void checked.then(() => response.writeHead(204).end()));
  const worker = there.worker();
  const events = Array.from({ length: 12 }, (_, index) => rotated('app', [], index + 1));
  const merged = () => Promise.all([0, 1, 2, 3].map((shard) => worker.book.visit(shard, () => ({}))));
  const ids = async () => (await merged()).map(({ state }) => [...state.entries.keys()]);

  const recorded = await Promise.all(events.map((event) => worker.recorder.record(event)));

  const posted = await ids();
  const expected = ['kept/2026-11-21', ...events.map(keyOf)];
  expect(posted.flat().toSorted()).toEqual(expected.toSorted());
  expect(posted.filter((one) => one.length > 0).length).toBeGreaterThan(1);
  answer();
  await Promise.all(recorded.map(({ delivered }) => delivered));
  expect((await ids()).flat()).toEqual(['kept/2026-11-21']);
});
