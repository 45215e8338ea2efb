import { beforeEach, describe, expect, it } from 'vitest';
import { endOfKeeping, keyOf } from '../../../lib/notices/dispatch.ts';
import { DISABLED_AFTER_MS } from '../../../lib/notices/health.ts';
import type { NotifyDependencies } from '../../../lib/notices/notify.ts';
import { RETRY_DELAYS_MS } from '../../../lib/notices/schedule.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import { NEW_SECRET, OLD_SECRET, rotated } from '../../notices/events.ts';
import {
  type Answer,
  createNoticeWorld,
  deliverDue,
  type NoticeWorld,
  send,
  status,
} from './notice-world.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

let there: NoticeWorld;

beforeEach(async () => {
  there = await createNoticeWorld();
});

/** The notice of an event to the one subscription that it has. */
async function noticeOf(name = 'app', generation = 1) {
  const dispatch = await there.dispatch(rotated(name, [], generation));
  return Object.values(dispatch?.notices ?? {})[0];
}

const event = (name = 'app', generation = 1) => rotated(name, [], generation);
const sent = (worker: NotifyDependencies, name?: string, generation?: number) =>
  send(worker, event(name, generation));
const reset: Answer = (response) => response.destroy();
const never: Answer = () => {};

describe('a receiver that is well', () => {
  it('gets the notice, signed, once; Vault has what came of it, and the agenda nothing', async () => {
    const received = await there.subscribe(status(204));
    const worker = there.worker();

    await sent(worker);
    await deliverDue(worker);

    const body = { type: 'secret.rotated', timestamp: event().time, data: event().data };
    expect(received).toEqual([{ id: event().id, type: 'secret.rotated', at: there.clock.now, body }]);
    expect(await noticeOf()).toMatchObject({
      state: 'delivered',
      tries: 1,
      attempts: [{ at: there.clock.now, status: 204, duration_ms: expect.any(Number) }],
    });
    expect(await there.hint(event())).toBeUndefined();
    expect(there.errors).toEqual([]);
  });

  it('verifies each notice with either secret while both sign', async () => {
    let signatures: unknown;
    const received = await there.subscribe(
      (response) => {
        signatures = response.req.headers['webhook-signature'];
        response.writeHead(204).end();
      },
      { id: '_all:overlap' },
    );
    const { document } = (await there.notices.subscription('_all:overlap')) ?? fail();
    const [own] = document.secrets;
    const until = there.clock.now + MINUTE;
    const secrets = [
      { secret: OLD_SECRET, until: 0 },
      { secret: own?.secret ?? '', until },
      { secret: NEW_SECRET },
    ];
    await there.notices.saveSubscription({ ...document, secrets }, 1);

    await sent(there.worker());

    expect(received).toHaveLength(1);
    // One whose time is up signs no more.
    expect(String(signatures).split(' ')).toHaveLength(2);
  });

  it('is not sent a duplicate for 15 days, after which all trace is gone', async () => {
    const received = await there.subscribe(status(204));
    const worker = there.worker();
    const day = event().time.slice(0, 10);
    await sent(worker);

    there.clock.now = endOfKeeping(day) - 1;
    await sent(worker);
    await deliverDue(worker);
    expect(received).toHaveLength(1);
    expect(await there.dispatch(event())).toBeDefined();

    there.clock.now += 1;
    await deliverDue(worker);
    expect(received).toHaveLength(1);
    expect(await there.world.store.list('dispatches')).toEqual([]);
    // Hints go once two visits, a claim apart, have found nothing.
    for (let visits = 0; visits < 2; visits += 1) {
      there.clock.now += 3 * MINUTE;
      await deliverDue(worker);
    }
    expect([...(await there.hints()).keys()]).toEqual([]);
  });

  it('has the first bytes of its answer kept, without what looks like a credential', async () => {
    const leaking = 'no thanks, token=canary-8f3a2b and whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnk= are mine';
    await there.subscribe((response) => response.writeHead(400).end(leaking));

    await sent(there.worker());

    const { answer = '' } = (await noticeOf()) ?? {};
    expect(answer).toMatch(/^no thanks, token=\[secret\]/);
    expect(answer).not.toMatch(/canary|whsec/);
  });
});

describe('a receiver that fails', () => {
  it.each<[string, Answer]>([
    ['with 500', status(500)],
    ['with a redirect', status(302, { location: 'http://127.0.0.1/' })],
    ['by closing the connection', reset],
    ['by not answering', never],
  ])(
    '%s is tried again after 5 s in the process, then when the schedule in Vault says',
    async (_how, answer) => {
      const received = await there.subscribe(answer);
      const worker = there.worker({ timeoutMs: 300 });
      const begun = there.clock.now;

      await sent(worker);

      expect(received.map(({ at }) => at - begun)).toEqual([0, 5_005]);
      expect(there.slept).toEqual([5_005]);
      const next = begun + 5_005 + 5 * MINUTE;
      expect(await noticeOf()).toMatchObject({ state: 'pending', due: next });
      expect((await there.hint(event()))?.due).toBe(next);
    },
  );

  it('is tried ten times with the same id, never early, and then no more', async () => {
    const received = await there.subscribe(status(500));
    await sent(there.worker());

    for (let visits = 0; (await noticeOf())?.state === 'pending'; visits += 1) {
      expect(visits).toBeLessThan(12);
      const { due = 0 } = (await there.hint(event())) ?? {};
      const before = received.length;
      there.clock.now = Math.max(there.clock.now, due - 1);
      // Each visit is another worker: what it knows comes from Vault.
      await deliverDue(there.worker());
      if (due > there.clock.now) expect(received).toHaveLength(before);
      there.clock.now = Math.max(there.clock.now, due);
      await deliverDue(there.worker());
    }

    expect(received).toHaveLength(10);
    expect(new Set(received.map(({ id }) => id))).toEqual(new Set([event().id]));
    const pauses = received.slice(1).map(({ at }, index) => at - (received[index]?.at ?? 0));
    for (const [index, pause] of pauses.entries()) {
      expect(pause).toBeGreaterThanOrEqual(RETRY_DELAYS_MS[index] ?? Number.NaN);
    }
    const after = await noticeOf();
    expect(after?.state).toBe('failed');
    expect(after?.attempts).toHaveLength(10);
    there.clock.now += DAY;
    await deliverDue(there.worker());
    expect(received).toHaveLength(10);
    expect(await there.hint(event())).toBeUndefined();
  });

  it('is down for three days with ten notices on their way: each arrives once it is back, in one attempt window once', async () => {
    let back = false;
    const received = await there.subscribe((response, count) => status(back ? 200 : 503)(response, count));
    for (let generation = 1; generation <= 10; generation += 1) {
      await sent(there.worker(), 'app', generation);
      there.clock.now += 7 * MINUTE;
    }
    const end = there.clock.now + 2.9 * DAY;
    while (there.clock.now < end) {
      await deliverDue(there.worker());
      there.clock.now += 0.2 * DAY;
    }
    const missed = received.length;
    back = true;
    there.clock.now += DAY;
    for (let visits = 0; visits < 4; visits += 1) {
      await Promise.all([deliverDue(there.worker()), deliverDue(there.worker())]);
      there.clock.now += 10 * MINUTE;
    }

    const arrived = received.slice(missed).map(({ id }) => id);
    const all = Array.from({ length: 10 }, (_, index) => event('app', index + 1).id);
    expect(arrived.toSorted()).toEqual(all.toSorted());
    expect(there.errors).toEqual([]);
  }, 60_000);

  it('has its Retry-After honoured for 429, and none for 500', async () => {
    const asking = { 'retry-after': '3600' };
    const busy = await there.subscribe(status(429, asking), { names: ['busy'] });
    const broken = await there.subscribe(status(500, asking), { names: ['broken'] });
    const worker = there.worker();
    const begun = there.clock.now;

    await Promise.all([sent(worker, 'busy'), sent(worker, 'broken')]);

    expect((await noticeOf('busy'))?.due).toBeGreaterThanOrEqual(begun + 3_600 * SECOND);
    expect([busy.length, broken.length]).toEqual([1, 2]);
    expect((await noticeOf('broken'))?.attempts).toHaveLength(2);
    const { due = 0 } = (await there.hint(event('busy'))) ?? {};
    there.clock.now = due - 1;
    await deliverDue(worker);
    expect(busy).toHaveLength(1);
    there.clock.now += 1;
    await deliverDue(worker);
    expect(busy.length).toBeGreaterThan(1);
  });

  it('has both retries made in the process that are due within seconds of each other', async () => {
    const soon = await there.subscribe((response, count) => status(count === 1 ? 500 : 204)(response, count));
    const later = await there.subscribe((response, count) =>
      status(count === 1 ? 429 : 204, { 'retry-after': '6' })(response, count),
    );

    await sent(there.worker());

    expect([soon.length, later.length, there.slept]).toEqual([2, 2, [6_005]]);
    expect(await there.hint(event())).toBeUndefined();
  });

  it('is counted with each attempt, and those who watch are told of what was delivered', async () => {
    await there.subscribe((response, count) => status(count < 4 ? 503 : 204)(response, count), {
      id: '_all:one',
    });
    await sent(there.worker());
    there.clock.now += 10 * MINUTE;
    const told: unknown[] = [];
    const counted: unknown[] = [];
    const watched = {
      ...there.worker(),
      onDelivered: (delivered: unknown) => told.push(delivered),
      metrics: { ...noMetrics, increment: (...counter: unknown[]) => counted.push(counter) },
    };

    await deliverDue(watched);
    expect(told).toEqual([]);
    there.clock.now += 60 * MINUTE;
    await deliverDue(watched);

    expect(told).toMatchObject([
      { key: keyOf(event()), subscription: '_all:one', notice: { state: 'delivered', tries: 4 } },
    ]);
    const name = 'leasekeeper_deliveries_total';
    expect(counted).toEqual([
      [name, { outcome: 'retry' }],
      [name, { outcome: 'delivered' }],
    ]);
  });

  it('may answer with a gigabyte: 64 KiB of it are read, and it counts by its status', async () => {
    let written = 0;
    const chunk = Buffer.alloc(1 << 20, 'x');
    await there.subscribe((response) => {
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && written < 1 << 30) {
          written += chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on('drain', more);
      more();
    });

    await sent(there.worker());

    expect((await noticeOf())?.state).toBe('delivered');
    expect(written).toBeLessThan(1 << 27);
  });

  it('gets what comes after it is well again', async () => {
    const received = await there.subscribe((response, count) =>
      status(count < 3 ? 503 : 200)(response, count),
    );
    const worker = there.worker();
    await sent(worker);
    there.clock.now += 10 * MINUTE;

    await deliverDue(worker);

    expect(received).toHaveLength(3);
    expect((await noticeOf())?.state).toBe('delivered');
  });
});

describe('an endpoint that is gone', () => {
  const disabled = () => there.published.filter(({ type }) => type === 'subscription.disabled');

  it('is disabled by 410, with one event, whichever notices found it out', async () => {
    const received = await there.subscribe(status(410), { id: '_all:gone' });
    const worker = there.worker();

    await Promise.all([1, 2, 3].map((generation) => sent(worker, 'app', generation)));

    expect((await there.notices.subscription('_all:gone'))?.document.disabled).toEqual({
      at: there.clock.now,
      reason: 'gone',
    });
    expect(disabled()).toMatchObject([{ data: { subscription: '_all:gone', reason: 'gone' } }]);
    for (const generation of [1, 2, 3]) expect((await noticeOf('app', generation))?.state).toBe('failed');
    const before = received.length;
    await sent(worker, 'later');
    expect(await there.dispatch(event('later'))).toBeUndefined();
    expect(received).toHaveLength(before);
  });

  it('stays as it is while the bus does not take the event, and the notice is judged all the same', async () => {
    await there.subscribe(status(410), { id: '_all:gone' });
    const worker = there.worker({ bus: { publish: async () => new Set<string>() } });

    await sent(worker);

    expect((await there.notices.subscription('_all:gone'))?.document.disabled).toBeUndefined();
    expect((await noticeOf())?.state).toBe('failed');
  });

  it('is warned of after a day and after four, and disabled once it has failed for five days on end', async () => {
    await there.subscribe(status(500), { id: '_all:failing' });
    const worker = there.worker();
    await sent(worker);
    const since = (await there.notices.subscription('_all:failing'))?.document.failing_since ?? 0;
    const told: string[][] = [];
    for (const [index, after] of [DAY - MINUTE, DAY, 2 * DAY, 4 * DAY, DISABLED_AFTER_MS].entries()) {
      there.clock.now = since + after;
      await sent(worker, 'app', index + 2);
      told.push(there.published.splice(0).map(({ type }) => type));
    }

    expect(told).toEqual([
      [],
      ['subscription.failing'],
      [],
      ['subscription.failing'],
      ['subscription.disabled'],
    ]);
    const { document } = (await there.notices.subscription('_all:failing')) ?? fail();
    expect(document.disabled).toEqual({ at: since + DISABLED_AFTER_MS, reason: 'failing' });
  });

  it('writes its health on a change only', async () => {
    await there.subscribe((response, count) => status(count === 2 ? 500 : 200)(response, count), {
      id: '_all:one',
    });
    const worker = there.worker();
    const versions: (number | undefined)[] = [];
    for (const generation of [1, 2, 3, 4]) {
      await sent(worker, 'app', generation);
      versions.push((await there.notices.subscription('_all:one'))?.version);
    }

    // The second fails and is delivered five seconds later: two changes.
    expect(versions).toEqual([1, 3, 3, 3]);
  });
});

describe('an endpoint that does not answer', () => {
  it('holds up nobody else, and is not asked for each of its notices in turn', async () => {
    let answeredAt = 0;
    let slowEnded = 0;
    const slow = await there.subscribe(
      (response) => response.on('close', () => (slowEnded ||= performance.now())),
      { names: ['slow', 'both'], id: '_all:slow' },
    );
    const well = await there.subscribe(
      (response, count) => {
        answeredAt = performance.now();
        status(200)(response, count);
      },
      { names: ['well', 'both'], id: '_all:well' },
    );
    const worker = there.worker({ timeoutMs: 2_000 });

    const all = Array.from({ length: 20 }, (_, index) => sent(worker, 'slow', index + 1));
    await Promise.all([...all, sent(worker, 'well'), sent(worker, 'both')]);

    expect(well).toHaveLength(2);
    // An order, not a time: the well one was answered before the first of the slow ones had given up.
    expect(answeredAt).toBeLessThan(slowEnded);
    // One lane's worth, and one that tried again: the others are put off, uncounted.
    expect(slow.length).toBe(5);
    const tries = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => (await noticeOf('slow', index + 1))?.tries),
    );
    expect(tries.filter((count) => count === 0).length).toBeGreaterThanOrEqual(15);
    expect((await there.dispatch(event('both')))?.notices['_all:well']?.state).toBe('delivered');
  });

  it('is left alone while its circuit is open, at the price of one read and no write for each visit', async () => {
    const received = await there.subscribe(never);
    const worker = there.worker({ timeoutMs: 300 });
    await sent(worker);
    there.clock.now += 5 * MINUTE;
    await deliverDue(worker);
    const before = received.length;
    const version = async () => (await there.notices.dispatch(keyOf(event('app', 2))))?.version;
    await sent(worker, 'app', 2);
    expect([received.length, await version()]).toEqual([before, 1]);

    await deliverDue(worker);
    there.clock.now += SECOND;
    await deliverDue(worker);

    expect([received.length, await version()]).toEqual([before, 1]);
    expect((await noticeOf('app', 2))?.tries).toBe(0);
    there.clock.now += 10 * MINUTE;
    await deliverDue(worker);
    expect(received.length).toBeGreaterThan(before);
  });
});

describe('others in the same shard', () => {
  it('are delivered when the document of one cannot be read', async () => {
    const received = await there.subscribe(status(200));
    const worker = there.worker();
    const key = '2026-11-21/evt_broken';
    await there.world.store.write(`dispatches/${key}`, { json: '{' }, 0);
    await worker.book.add({ id: key, due: there.clock.now, for: 1 });
    await worker.book.add({ id: keyOf(event()), due: there.clock.now, for: 1 });
    const pending = { state: 'pending' as const, due: 0, tries: 0, attempts: [] };
    const [{ id = '' } = {}] = await there.notices.subscriptions(() => {});
    await there.notices.saveDispatch(
      keyOf(event()),
      { events: [event()], created: 0, notices: { [id]: pending } },
      0,
    );

    await deliverDue(worker);

    expect(received).toHaveLength(1);
    expect(there.errors).toMatchObject([{ code: 'notice_document_unreadable' }]);
    // It is looked at again, so that it goes on once somebody has mended it.
    expect(await there.hint(key)).toBeDefined();
  });

  it('are delivered when the subscription of one cannot be read', async () => {
    const received = await there.subscribe(status(500));
    await there.subscribe(status(500), { id: '_all:spoilt' });
    await sent(there.worker());
    await there.world.store.write('subscriptions/_all/spoilt', { id: 'spoilt' }, 2);
    there.clock.now += 10 * MINUTE;

    await deliverDue(there.worker());

    expect(received).toHaveLength(3);
    const spoilt = (await there.dispatch(event()))?.notices['_all:spoilt'];
    expect(spoilt).toMatchObject({ state: 'pending', tries: 2 });
    expect(there.errors).not.toHaveLength(0);
  });
});

function fail(): never {
  throw new Error('no such subscription');
}
