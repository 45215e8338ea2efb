import { beforeEach, expect, it } from 'vitest';
import { deliverShard } from '../../../lib/notices/deliver.ts';
import { recordDeliveries } from '../../../lib/notices/record.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { rotated } from '../../notices/events.ts';
import { until } from '../../support/until.ts';
import { dyingAfter, dyingBefore, nthWrite } from './fault-transport.ts';
import { createNoticeWorld, type NoticeWorld, status } from './notice-world.ts';

const MINUTE = 60_000;

let there: NoticeWorld;

beforeEach(async () => {
  there = await createNoticeWorld();
});

type Worker = ReturnType<NoticeWorld['worker']>;
const deliver = (worker: Worker) => deliverShard(worker, { shard: 0 });

async function record(count = 1): Promise<readonly string[]> {
  const worker = there.worker();
  const ids = [];
  for (let generation = 1; generation <= count; generation += 1) {
    ids.push(...(await recordDeliveries(worker, rotated('app', [], generation))));
  }
  return ids;
}

it('several workers at once make one POST for each notice', async () => {
  const received = await there.subscribe(status(200));
  await record(12);

  await Promise.all(Array.from({ length: 4 }, () => deliver(there.worker())));

  expect(received).toHaveLength(12);
  expect(new Set(received.map(({ id }) => id)).size).toBe(12);
  expect(there.errors).toEqual([]);
});

it.each([
  ['is delivered', status(200)],
  ['is put off for half a minute', status(429, { 'retry-after': '30' })],
] as const)(
  'two workers that both read a notice that %s make one POST: counting it is fenced',
  async (_how, answer) => {
    const received = await there.subscribe(answer);
    const [id = ''] = await record();
    let read = 0;
    const hold = (condition: () => boolean) => {
      read += 1;
      return until(condition);
    };
    // The first goes on once the second has read the same document, the second once the first has sent it.
    const first = deliver(there.worker({ transport: holdingUp(() => hold(() => read === 2)) }));
    await until(() => read === 1);
    // The event comes again: its hint takes the claim off, so that a second worker may look.
    await recordDeliveries(there.worker(), rotated('app'));
    const second = deliver(there.worker({ transport: holdingUp(() => hold(() => received.length === 1)) }));

    await Promise.all([first, second]);

    expect([read, received.length]).toEqual([2, 1]);
    expect(there.slept).toEqual([]);
    // Whoever settled last: a hint that is later than its document would keep the next attempt waiting.
    const due = (await there.delivery(id))?.due ?? 0;
    expect((await there.hint(id))?.due).toBeLessThanOrEqual(due);
  },
);

it('a worker that finds another one at it does not wait to try it again', async () => {
  const received = await there.subscribe(status(200));
  const [id = ''] = await record();
  void deliver(there.worker({ transport: dyingAfter(nthWrite('deliveries', 1)) }));
  await expect.poll(async () => (await there.delivery(id))?.attempts.length).toBe(1);
  await recordDeliveries(there.worker(), rotated('app'));

  await deliver(there.worker());

  expect([received, there.slept]).toEqual([[], []]);
  expect((await there.hint(id))?.due).toBe((await there.delivery(id))?.due);
});

it('what a worker had counted when it died is sent later', async () => {
  const received = await there.subscribe(status(200));
  const [id = ''] = await record();

  void deliver(there.worker({ transport: dyingAfter(nthWrite('deliveries', 1)) }));
  await expect.poll(async () => (await there.delivery(id))?.attempts.length).toBe(1);
  expect(received).toHaveLength(0);
  await deliver(there.worker());
  expect(received).toHaveLength(0);
  there.clock.now += 3 * MINUTE;
  await deliver(there.worker());

  expect(received).toHaveLength(1);
  expect(await there.delivery(id)).toMatchObject({ state: 'delivered', attempts: [{}, { status: 200 }] });
});

it('what a worker had sent when it died is sent again with the same id', async () => {
  const received = await there.subscribe(status(200));
  const [id = ''] = await record();

  void deliver(there.worker({ transport: dyingBefore(nthWrite('deliveries', 2)) }));
  await expect.poll(() => received.length).toBe(1);
  there.clock.now += 3 * MINUTE;
  await deliver(there.worker());

  expect(received.map((one) => one.id)).toEqual([rotated('app').id, rotated('app').id]);
  expect((await there.delivery(id))?.state).toBe('delivered');
});

it('dies at every attempt and still makes no eleventh', async () => {
  const received = await there.subscribe(status(200));
  const [id = ''] = await record();

  for (let n = 1; n <= 12; n += 1) {
    const attempts = (await there.delivery(id))?.attempts.length ?? 0;
    const dying = deliver(there.worker({ transport: dyingBefore(nthWrite('deliveries', 2)) }));
    await Promise.race([dying, expect.poll(() => received.length).toBe(attempts + 1)]);
    there.clock.now += 30 * 60 * MINUTE;
  }
  await deliver(there.worker());

  expect(received).toHaveLength(10);
  expect((await there.delivery(id))?.state).toBe('failed');
});

it('a worker that dies while it records leaves the rest to the next', async () => {
  const one = await there.subscribe(status(200));
  const other = await there.subscribe(status(200));
  void recordDeliveries(there.worker({ transport: dyingBefore(nthWrite('deliveries', 2)) }), rotated('app'));
  await expect.poll(async () => (await there.world.store.list('deliveries')).length).toBe(1);

  // The bus still has the event, because the worker never answered.
  await recordDeliveries(there.worker(), rotated('app'));
  await deliver(there.worker());

  expect([one.length, other.length]).toEqual([1, 1]);
});

/** Holds a worker up once it has read its first delivery. */
function holdingUp(hold: () => Promise<void>): (real: Transport) => Transport {
  let held = false;
  return (real) => ({
    exchange: async (request) => {
      const answer = await real.exchange(request);
      if (!held && request.method === 'GET' && request.path.includes('/data/deliveries/')) {
        held = true;
        await hold();
      }
      return answer;
    },
    close: () => real.close(),
  });
}
