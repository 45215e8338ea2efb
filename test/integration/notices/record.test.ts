import { beforeEach, expect, it } from 'vitest';
import { recordDeliveries } from '../../../lib/notices/record.ts';
import { disabled, expiring, rotated } from '../../notices/events.ts';
import { createNoticeWorld, type NoticeWorld, status } from './notice-world.ts';

let there: NoticeWorld;

beforeEach(async () => {
  there = await createNoticeWorld();
});

const recorded = () => there.world.store.list('deliveries');

it('records one delivery for each subscription that wants the event, and has a worker sent', async () => {
  await there.subscribe(status(200), { id: 'all' });
  await there.subscribe(status(200), { id: 'app-only', names: ['app'] });
  await there.subscribe(status(200), { id: 'other-only', names: ['other'] });
  await there.subscribe(status(200), { id: 'off', disabled: { at: 0, reason: 'by_hand' } });
  const worker = there.worker();

  const ids = await recordDeliveries(worker, rotated('app'));

  const subscriptions = await Promise.all(ids.map(async (id) => (await there.delivery(id))?.subscription));
  expect(subscriptions.sort()).toEqual(['all', 'app-only']);
  expect((await recorded()).toSorted()).toEqual(ids.toSorted());
  expect(there.published).toMatchObject([{ type: 'delivery.due', data: { shard: 0 } }]);
  for (const id of ids) expect((await there.hint(id))?.due).toBe(there.clock.now);
});

it('records nothing and sends nobody when no one wants it', async () => {
  await there.subscribe(status(200), { types: ['secret.*'] });

  expect(await recordDeliveries(there.worker(), expiring('app'))).toEqual([]);
  expect([await recorded(), there.published]).toEqual([[], []]);
});

it('records the same event once, however often and from how many sides it comes', async () => {
  await there.subscribe(status(200));
  const event = rotated('app');

  const [first, ...others] = await Promise.all(
    Array.from({ length: 8 }, () => recordDeliveries(there.worker(), event)),
  );

  for (const ids of others) expect(ids).toEqual(first);
  expect(await recorded()).toEqual(first);
});

it('posts the hint that a worker died before posting, when the event comes again', async () => {
  await there.subscribe(status(200));
  const worker = there.worker();
  const [id = ''] = await recordDeliveries(worker, rotated('app'));
  // As it would be had the first one died in between.
  await there.world.deliveries.visit(0, () => ({ forget: [id] }));
  expect(await there.hint(id)).toBeUndefined();

  await recordDeliveries(worker, rotated('app'));

  expect(await there.hint(id)).toBeDefined();
});

it('records for the others when a subscription cannot be read, and says so', async () => {
  await there.subscribe(status(200), { id: 'readable' });
  await there.world.store.write('subscriptions/broken', { id: 'broken', url: 1 }, 0);

  const ids = await recordDeliveries(there.worker(), rotated('app'));

  expect(ids).toHaveLength(1);
  expect(there.errors).toMatchObject([{ code: 'notice_document_unreadable' }]);
});

it('is done once all is recorded, even when the bus does not take the command', async () => {
  await there.subscribe(status(200));
  const bus = { publish: () => Promise.reject(new Error('the bus is down')) };

  const ids = await recordDeliveries(there.worker({ bus }), rotated('app'));

  expect(ids).toHaveLength(1);
  expect(there.errors).toMatchObject([{ message: 'the bus is down' }]);
});

it('does not tell an endpoint of its own end', async () => {
  await there.subscribe(status(200), { id: 'mine', types: ['*'] });
  await there.subscribe(status(200), { id: 'observer', types: ['*'] });

  const ids = await recordDeliveries(there.worker(), disabled('mine'));

  expect(await Promise.all(ids.map(async (id) => (await there.delivery(id))?.subscription))).toEqual([
    'observer',
  ]);
});
