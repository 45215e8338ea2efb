import { beforeEach, describe, expect, it } from 'vitest';
import { deliverShard } from '../../../lib/notices/deliver.ts';
import { KEPT_MS } from '../../../lib/notices/delivery.ts';
import { recordDeliveries } from '../../../lib/notices/record.ts';
import { RETRY_DELAYS_MS } from '../../../lib/notices/schedule.ts';
import { DISABLED_AFTER_MS } from '../../../lib/notices/subscription.ts';
import { NEW_SECRET, OLD_SECRET, rotated } from '../../notices/events.ts';
import { type Answer, createNoticeWorld, type NoticeWorld, status } from './notice-world.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

let there: NoticeWorld;

beforeEach(async () => {
  there = await createNoticeWorld();
});

type Worker = ReturnType<NoticeWorld['worker']>;

async function record(worker: Worker, name = 'app', generation = 1): Promise<string> {
  const [id = ''] = await recordDeliveries(worker, rotated(name, [], generation));
  return id;
}

const deliver = (worker: Worker) => deliverShard(worker, { shard: 0 });
const reset: Answer = (response) => response.destroy();
const never: Answer = () => {};

describe('a receiver that is well', () => {
  it('gets the notice, signed, once; the delivery says so', async () => {
    const received = await there.subscribe(status(204));
    const worker = there.worker();
    const id = await record(worker);

    await deliver(worker);
    await deliver(worker);

    expect(received).toEqual([{ id: rotated('app').id, type: 'secret.rotated', at: expect.any(Number) }]);
    expect(await there.delivery(id)).toMatchObject({
      state: 'delivered',
      attempts: [{ at: there.clock.now, status: 204 }],
      due: there.clock.now + KEPT_MS,
    });
    expect((await there.hint(id))?.due).toBe(there.clock.now + KEPT_MS);
    expect(there.errors).toEqual([]);
  });

  it('verifies each notice with either secret while both sign', async () => {
    const received = await there.subscribe(status(204), { id: 'overlap' });
    const { document } = (await there.notices.subscription('overlap')) ?? fail();
    const [own] = document.secrets;
    const until = there.clock.now + MINUTE;
    const secrets = [
      { secret: OLD_SECRET, until: 0 },
      { secret: own?.secret ?? '', until },
      { secret: NEW_SECRET },
    ];
    await there.notices.saveSubscription({ ...document, secrets }, 1);
    const worker = there.worker();
    await record(worker);

    await deliver(worker);

    expect(received).toHaveLength(1);
  });

  it('is not sent a duplicate for 15 days, after which all trace is gone', async () => {
    const received = await there.subscribe(status(204));
    const worker = there.worker();
    const id = await record(worker);
    await deliver(worker);

    there.clock.now += KEPT_MS - MINUTE;
    await record(worker);
    await deliver(worker);
    expect(received).toHaveLength(1);
    expect(await there.delivery(id)).toBeDefined();

    there.clock.now += 2 * MINUTE;
    await deliver(worker);
    expect(received).toHaveLength(1);
    expect(await there.world.store.list('deliveries')).toEqual([]);
    // The hint goes once two visits, a claim apart, have found nothing.
    there.clock.now += 3 * MINUTE;
    await deliver(worker);
    expect(await there.hint(id)).toBeUndefined();
  });
});

describe('a receiver that fails', () => {
  it.each<[string, Answer]>([
    ['with 500', status(500)],
    ['by closing the connection', reset],
    ['by not answering', never],
  ])(
    '%s is tried again after 5 s in the process, then when the schedule in Vault says',
    async (_how, answer) => {
      const received = await there.subscribe(answer);
      const worker = there.worker({ timeoutMs: 300 });
      const id = await record(worker);
      const begun = there.clock.now;

      await deliver(worker);

      expect(received.map(({ at }) => at - begun)).toEqual([0, 5_005]);
      expect(there.slept).toEqual([5_005]);
      const next = begun + 5_005 + 5 * MINUTE;
      expect(await there.delivery(id)).toMatchObject({ state: 'pending', due: next });
      expect((await there.hint(id))?.due).toBe(next);
    },
  );

  it('is tried ten times with the same id, never early, and then no more', async () => {
    const received = await there.subscribe(status(500));
    const id = await record(there.worker());

    for (let visits = 0; (await there.delivery(id))?.state === 'pending'; visits += 1) {
      expect(visits).toBeLessThan(12);
      const { due = 0 } = (await there.hint(id)) ?? {};
      const before = received.length;
      there.clock.now = Math.max(there.clock.now, due - 1);
      // Each visit is another worker: what it knows comes from Vault.
      await deliver(there.worker());
      if (due > there.clock.now) expect(received).toHaveLength(before);
      there.clock.now = Math.max(there.clock.now, due);
      await deliver(there.worker());
    }

    expect(received).toHaveLength(10);
    expect(new Set(received.map(({ id: sent }) => sent))).toEqual(new Set([rotated('app').id]));
    const pauses = received.slice(1).map(({ at }, index) => at - (received[index]?.at ?? 0));
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(RETRY_DELAYS_MS[index] ?? Number.NaN);
    }
    const after = await there.delivery(id);
    expect(after?.state).toBe('failed');
    expect(after?.attempts).toHaveLength(10);
    there.clock.now += DAY;
    await deliver(there.worker());
    expect(received).toHaveLength(10);
  });

  it('has its Retry-After honoured for 429, and none for 500', async () => {
    const asking = { 'retry-after': '3600' };
    const busy = await there.subscribe(status(429, asking), { names: ['busy'] });
    const broken = await there.subscribe(status(500, asking), { names: ['broken'] });
    const worker = there.worker();
    const [one, other] = [await record(worker, 'busy'), await record(worker, 'broken')];
    const begun = there.clock.now;

    await deliver(worker);

    expect((await there.delivery(one))?.due).toBe(begun + 3_600 * SECOND);
    expect([busy.length, broken.length]).toEqual([1, 2]);
    expect((await there.delivery(other))?.attempts).toHaveLength(2);
    there.clock.now = begun + 3_600 * SECOND - 1;
    await deliver(worker);
    expect(busy).toHaveLength(1);
    there.clock.now += 1;
    await deliver(worker);
    expect(busy.length).toBeGreaterThan(1);
  });

  it('gets what comes after it is well again', async () => {
    const received = await there.subscribe((response, count) =>
      status(count < 3 ? 503 : 200)(response, count),
    );
    const worker = there.worker();
    const id = await record(worker);
    await deliver(worker);
    there.clock.now += 10 * MINUTE;

    await deliver(worker);

    expect(received).toHaveLength(3);
    expect((await there.delivery(id))?.state).toBe('delivered');
  });
});

describe('an endpoint that is gone', () => {
  it('is disabled by 410, with one event, whichever notices found it out', async () => {
    const received = await there.subscribe(status(410), { id: 'gone' });
    const worker = there.worker();
    const ids = await Promise.all([1, 2, 3].map((generation) => record(worker, 'app', generation)));

    await deliver(worker);

    expect((await there.notices.subscription('gone'))?.document.disabled).toEqual({
      at: there.clock.now,
      reason: 'gone',
    });
    const events = there.published.filter(({ type }) => type === 'subscription.disabled');
    expect(events[0]).toMatchObject({ data: { subscription: 'gone', reason: 'gone' } });
    expect(new Set(events.map(({ id }) => id)).size).toBe(1);
    for (const id of ids) expect((await there.delivery(id))?.state).toBe('failed');
    const sent = received.length;
    expect(await recordDeliveries(worker, rotated('later'))).toEqual([]);
    await deliver(worker);
    expect(received).toHaveLength(sent);
  });

  it('stays as it is while the bus does not take the event, and the notice is judged all the same', async () => {
    await there.subscribe(status(410), { id: 'gone' });
    const worker = there.worker({ bus: { publish: async () => new Set<string>() } });
    const id = await record(worker);

    await deliver(worker);

    expect((await there.notices.subscription('gone'))?.document.disabled).toBeUndefined();
    expect((await there.delivery(id))?.state).toBe('failed');
  });

  it('is disabled once it has failed for five days on end', async () => {
    await there.subscribe(status(500), { id: 'failing' });
    const worker = there.worker();
    await record(worker);
    await deliver(worker);
    const failingSince = (await there.notices.subscription('failing'))?.document.failing_since ?? 0;
    const { version } = (await there.notices.subscription('failing')) ?? {};

    there.clock.now = failingSince + DISABLED_AFTER_MS - MINUTE;
    await record(worker, 'app', 2);
    await deliver(worker);
    expect(await there.notices.subscription('failing')).toMatchObject({ version });
    there.clock.now = failingSince + DISABLED_AFTER_MS;
    await record(worker, 'app', 3);
    await deliver(worker);

    expect((await there.notices.subscription('failing'))?.document.disabled?.reason).toBe('failing');
    const events = there.published.filter(({ type }) => type === 'subscription.disabled');
    expect(events.map(({ data }) => data)).toEqual([{ subscription: 'failing', reason: 'failing' }]);
  });

  it('writes its health on a change only', async () => {
    await there.subscribe((response, count) => status(count === 2 ? 500 : 200)(response, count), {
      id: 'one',
    });
    const worker = there.worker();
    const versions: (number | undefined)[] = [];
    for (const generation of [1, 2, 3, 4]) {
      await record(worker, 'app', generation);
      await deliver(worker);
      versions.push((await there.notices.subscription('one'))?.version);
    }

    // The second fails and is delivered five seconds later: two changes.
    expect(versions).toEqual([1, 3, 3, 3]);
  });
});

describe('others in the same shard', () => {
  it('do not wait for an endpoint that does not answer, however much there is for it', async () => {
    let answeredAt = 0;
    let slowEnded = 0;
    const slow = await there.subscribe(
      (response) => response.on('close', () => (slowEnded ||= performance.now())),
      { names: ['slow'] },
    );
    const well = await there.subscribe(
      (response, count) => {
        answeredAt = performance.now();
        status(200)(response, count);
      },
      { names: ['well'] },
    );
    const worker = there.worker({ timeoutMs: 2_000 });
    for (let generation = 1; generation <= 20; generation += 1) await record(worker, 'slow', generation);
    await record(worker, 'well');

    await deliver(worker);

    expect(well).toHaveLength(1);
    // An order, not a time: the well one was answered before the first of the slow ones had given up.
    expect(answeredAt).toBeLessThan(slowEnded);
    // Nor is the endpoint asked for each of its notices in turn: those that had not begun are put off, uncounted.
    expect(slow.length).toBe(8);
    const attempts = await Promise.all(
      (await there.world.store.list('deliveries')).map(
        async (id) => (await there.delivery(id))?.attempts.length,
      ),
    );
    expect(attempts.filter((count) => count === 0).length).toBe(16);
  });

  it('are delivered when the document of one cannot be read', async () => {
    const received = await there.subscribe(status(200));
    const worker = there.worker();
    await there.world.store.write('deliveries/dlv_broken', { state: 'pending' }, 0);
    await worker.book.add({ id: 'dlv_broken', due: there.clock.now, for: 1 });
    await record(worker);

    await deliver(worker);

    expect(received).toHaveLength(1);
    expect(there.errors).toMatchObject([{ code: 'notice_document_unreadable' }]);
    // It is looked at again, so that it goes on once somebody has mended it.
    expect(await there.hint('dlv_broken')).toBeDefined();
  });

  it('are delivered when the subscription of one cannot be read', async () => {
    const received = await there.subscribe(status(200), { names: ['well'] });
    await there.subscribe(status(200), { id: 'spoilt', names: ['spoilt'] });
    const worker = there.worker();
    const id = await record(worker, 'spoilt');
    await there.world.store.write('subscriptions/spoilt', { id: 'spoilt' }, 1);
    await record(worker, 'well');

    await deliver(worker);

    expect(received).toHaveLength(1);
    expect(await there.delivery(id)).toMatchObject({ state: 'pending', attempts: [] });
  });
});

function fail(): never {
  throw new Error('no such subscription');
}
