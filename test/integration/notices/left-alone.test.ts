import { beforeEach, describe, expect, it } from 'vitest';
import { dayOf, keyOf } from '../../../lib/notices/dispatch.ts';
import { rotated } from '../../notices/events.ts';
import { recordingExchanges } from './fault-transport.ts';
import { createNoticeWorld, deliverDue, type NoticeWorld, send, status } from './notice-world.ts';

const MINUTE = 60_000;
const ID = '_all:one';
const event = rotated('app');

let there: NoticeWorld;
beforeEach(async () => {
  there = await createNoticeWorld();
});

const noticeOf = async (id = ID, of = event) => (await there.dispatch(of))?.notices[id];
const found = async (id = ID) => (await there.notices.subscription(id)) ?? unknown();
const spoil = async (id = ID) =>
  there.world.store.write(`subscriptions/${id.replace(':', '/')}`, { id }, (await found(id)).version);

describe('a subscription that ends while a notice waits for its retry', () => {
  it.each([
    [
      'is disabled',
      async () => {
        const { document, version } = await found();
        const disabled = { at: there.clock.now, reason: 'by_hand' as const };
        await there.notices.saveSubscription({ ...document, disabled }, version);
      },
    ],
    ['is deleted', () => there.notices.deleteSubscription(ID)],
  ] as const)('because it %s gets nothing more, and the notice is given up', async (_how, end) => {
    const received = await there.subscribe(status(500), { id: ID });
    await send(there.worker(), event);
    await end();
    const before = received.length;
    there.clock.now += 10 * MINUTE;

    await deliverDue(there.worker());

    expect(received).toHaveLength(before);
    expect(await noticeOf()).toMatchObject({ state: 'failed', tries: 2 });
    expect(await there.hint(event)).toBeUndefined();
  });
});

describe('a subscription that cannot be read any more when its notice is due again', () => {
  it('is looked at again two minutes later, and keeps nobody from a retry', async () => {
    const spoilt = await there.subscribe(
      (response) => {
        // What is known of it is too old then.
        there.clock.now += 10_000;
        void spoil().then(() => status(500)(response, 1));
      },
      { id: ID },
    );
    const other = await there.subscribe((response, count) =>
      status(count === 1 ? 500 : 204)(response, count),
    );

    await send(there.worker(), event);

    expect([spoilt.length, other.length]).toEqual([1, 2]);
    expect(await noticeOf()).toMatchObject({ state: 'pending', tries: 1 });
    // It was looked at five seconds after the first attempt failed.
    expect((await there.hint(event))?.due).toBe(other[1] === undefined ? 0 : other[1].at + 2 * MINUTE);
    expect(there.errors.length).toBeGreaterThan(0);
  });
});

describe('an endpoint whose circuit is open', () => {
  it('is not looked at again before its time, and when it is costs a read and no write', async () => {
    const exchanges = recordingExchanges();
    const received = await there.subscribe(() => {}, { id: ID });
    const worker = there.worker({ timeoutMs: 300, transport: exchanges.transport });
    await send(worker, event);
    const later = rotated('app', [], 2);
    const before = received.length;
    await send(worker, later);
    // Thirty seconds: its first retry was left unanswered too.
    const until = there.clock.now + 30_000;
    expect((await there.hint(later))?.due).toBe(until);

    // As though the event came again: the hint is due at once.
    await worker.book.add({ id: keyOf(later), due: there.clock.now, for: 1 });
    exchanges.requests.splice(0);
    await deliverDue(worker);

    const asked = exchanges.requests.filter((request) => request.includes('/dispatches/'));
    expect([received.length, asked.length, asked[0]?.slice(0, 4)]).toEqual([before, 1, 'GET ']);
    expect((await there.hint(later))?.due).toBe(until);
    expect(await noticeOf(ID, later)).toMatchObject({ state: 'pending', tries: 0 });
  });
});

it('an endpoint that is known to have failed is tried by one notice first, also by a worker that has just begun', async () => {
  const received = await there.subscribe(status(500), { id: ID });
  const first = there.worker();
  for (let generation = 1; generation <= 8; generation += 1)
    await first.recorder.record(rotated('app', [], generation)).then(({ delivered }) => delivered);
  there.clock.now += 24 * 60 * MINUTE;
  const before = received.length;

  await deliverDue(there.worker());

  // One that tries whether it is back, and once more when its circuit has been open for its first three seconds.
  expect(received.length - before).toBeLessThanOrEqual(2);
});

it('the hint of a dispatch is due with the first of its notices', async () => {
  await there.subscribe(status(429, { 'retry-after': '7200' }), { id: '_all:late' });
  await there.subscribe(status(500), { id: '_all:soon' });

  await send(there.worker(), event);

  const [soon, late] = [await noticeOf('_all:soon'), await noticeOf('_all:late')];
  expect(soon?.due).toBeLessThan(late?.due ?? 0);
  expect((await there.hint(event))?.due).toBe(soon?.due);
});

it('a batch for a subscription that is no more is given up as soon as it is made', async () => {
  await there.subscribe(status(204), { id: ID, batch_ms: 30_000 });
  await send(there.worker(), event);
  await there.notices.deleteSubscription(ID);
  there.clock.now += 30_000;

  await deliverDue(there.worker());

  const keys = await there.notices.dispatchesOf(dayOf(there.clock.now));
  const batch = keys.find((key) => key.includes('/bat_')) ?? '';
  expect((await there.notices.dispatch(batch))?.document.notices[ID]?.state).toBe('failed');
});

function unknown(): never {
  throw new Error('no such subscription');
}
