import { beforeEach, expect, it } from 'vitest';
import { keyOf, withNotice } from '../../../lib/notices/dispatch.ts';
import { newNotice, replayed } from '../../../lib/notices/notice.ts';
import type { NotifyDependencies } from '../../../lib/notices/notify.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { rotated } from '../../notices/events.ts';
import { until } from '../../support/until.ts';
import { dyingAfter, dyingBefore, type Fault, nthWrite } from './fault-transport.ts';
import { createNoticeWorld, deliverDue, type NoticeWorld, send, status } from './notice-world.ts';

const MINUTE = 60_000;
const event = rotated('app');

let there: NoticeWorld;

beforeEach(async () => {
  there = await createNoticeWorld();
});

const notice = async () => Object.values((await there.dispatch(event))?.notices ?? {})[0];

/** Notices that failed twice and whose next attempt is due. */
async function failedOnes(count: number): Promise<void> {
  const worker = there.worker();
  await Promise.all(Array.from({ length: count }, (_, index) => send(worker, rotated('app', [], index + 1))));
  there.clock.now += 10 * MINUTE;
}

/** A worker that dies on the way leaves promises that never settle. */
function abandoned(worker: NotifyDependencies): void {
  void deliverDue(worker);
}

it('several workers at once make one POST for each notice', async () => {
  let back = false;
  const received = await there.subscribe((response, count) => status(back ? 200 : 500)(response, count));
  await failedOnes(12);
  received.splice(0);
  back = true;

  for (let visits = 0; visits < 3; visits += 1) {
    await Promise.all(Array.from({ length: 4 }, () => deliverDue(there.worker())));
    there.clock.now += 3 * MINUTE;
  }

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
    let fails = true;
    const received = await there.subscribe((response, count) =>
      (fails ? status(500) : answer)(response, count),
    );
    await failedOnes(1);
    received.splice(0);
    there.slept.splice(0);
    fails = false;
    let read = 0;
    const hold = (condition: () => boolean) => {
      read += 1;
      return until(condition);
    };
    // The first goes on once the second has read the same document, the second once the first has sent it.
    const first = deliverDue(there.worker({ transport: holdingUp(() => hold(() => read === 2)) }));
    await until(() => read === 1);
    // The event comes again: its hint takes the claim off, so that a second worker may look.
    await send(there.worker(), event);
    there.clock.now += MINUTE;
    const second = deliverDue(
      there.worker({ transport: holdingUp(() => hold(() => received.length === 1)) }),
    );

    await Promise.all([first, second]);

    expect([read, received.length]).toEqual([2, 1]);
    expect(there.slept).toEqual([]);
    // Whoever settled last: a hint that is later than its document would keep the next attempt waiting.
    const { state, due = 0 } = (await notice()) ?? {};
    if (state === 'pending') expect((await there.hint(event))?.due).toBeLessThanOrEqual(due);
  },
);

it('what a worker had counted when it died is sent later', async () => {
  const received = await there.subscribe(status(200));

  // It recorded the event, and counted the first attempt with that.
  void send(there.worker({ transport: dyingAfter(nthWrite('dispatches', 1)) }), event);
  await until(async () => (await notice())?.tries === 1);
  await deliverDue(there.worker());
  expect(received).toHaveLength(0);
  there.clock.now += 3 * MINUTE;
  await deliverDue(there.worker());

  expect(received).toHaveLength(1);
  expect(await notice()).toMatchObject({ state: 'delivered', attempts: [{}, { status: 200 }] });
});

it('what a worker had sent when it died is sent again with the same id', async () => {
  const received = await there.subscribe(status(200));

  void send(there.worker({ transport: dyingBefore(nthWrite('dispatches', 2)) }), event);
  await until(() => received.length === 1);
  there.clock.now += 3 * MINUTE;
  await deliverDue(there.worker());

  expect(received.map((one) => one.id)).toEqual([event.id, event.id]);
  expect((await notice())?.state).toBe('delivered');
});

it('dies at every attempt and still makes no eleventh', async () => {
  const received = await there.subscribe(status(200));
  void send(there.worker({ transport: dyingBefore(nthWrite('dispatches', 2)) }), event);
  await until(() => received.length === 1);

  for (let n = 2; n <= 12; n += 1) {
    there.clock.now += 30 * 60 * MINUTE;
    const worker = there.worker({ transport: dyingBefore(nthWrite('dispatches', 2)) });
    const ended = deliverDue(worker);
    await Promise.race([ended, until(() => received.length === n)]);
  }
  await deliverDue(there.worker());

  expect(received).toHaveLength(10);
  expect((await notice())?.state).toBe('failed');
});

it('a worker that dies before an event is recorded leaves it to the queue', async () => {
  const received = await there.subscribe(status(200));
  abandonedRecord(dyingBefore(nthWrite('dispatches', 1)));
  await until(async () => (await there.hints()).size > 0);
  expect(received).toHaveLength(0);

  // The bus still has the event, because the worker never answered.
  await send(there.worker(), event);

  expect(received).toHaveLength(1);
});

it.each([
  ['', async () => {}],
  // Its attempts are counted from one again, so that the other's is the first, as was the one that waits.
  [', as when somebody had it replayed meanwhile', replayAll],
] as const)(
  'what waited too long for its turn is not sent when another worker has it%s',
  async (_how, meanwhile) => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const received = await there.subscribe((response, count) => {
      void (count <= 4 ? held : Promise.resolve()).then(() => status(200)(response, count));
    });
    const slow = there.worker();
    const sent = Promise.all(
      Array.from({ length: 5 }, (_, index) => send(slow, rotated('app', [], index + 1))),
    );
    await until(() => received.length === 4);
    const first = new Set(received.map(({ id }) => id));

    // The fifth waits for its turn until others may take it up.
    there.clock.now += 2 * MINUTE;
    await meanwhile();
    const other = there.worker();
    const begun = deliverDue(other);
    await until(() => received.length > 4);
    release();
    await Promise.all([sent, begun]);

    const fifth = received.map(({ id }) => id).filter((id) => !first.has(id));
    expect(fifth).toHaveLength(1);
  },
);

/** As `manage` would. */
async function replayAll(): Promise<void> {
  const [{ id = '' } = {}] = await there.notices.subscriptions(() => {});
  for (const key of await there.notices.dispatchesOf('2026-11-21')) {
    const { document, version } = (await there.notices.dispatch(key)) ?? gone();
    const again = withNotice(document, id, (one) => replayed(one, there.clock.now));
    await there.notices.saveDispatch(key, again, version);
  }
}

function gone(): never {
  throw new Error('no dispatch');
}

function abandonedRecord(transport: (real: Transport) => Transport): void {
  void send(there.worker({ transport }), event);
}

it('a visit works on all that is due side by side: who is slow holds up nobody', async () => {
  let answer = (): void => {};
  await there.subscribe(
    (response) => {
      answer = () => void response.writeHead(204).end();
    },
    { id: '_all:slow' },
  );
  const quick = await there.subscribe(status(204), { id: '_all:quick' });
  const now = there.clock.now;
  for (const [generation, id] of ['_all:slow', '_all:quick'].entries()) {
    const one = rotated('app', [], generation);
    await there.world.deliveries.add({ id: keyOf(one), due: now, for: 1 });
    const dispatch = { events: [one], created: now, notices: { [id]: newNotice(now) } };
    await there.notices.saveDispatch(keyOf(one), dispatch, 0);
  }

  const visit = deliverDue(there.worker());
  await until(() => quick.length === 1);
  answer();
  await visit;
});

it('a hint is kept for a dispatch that is not there yet, for as long as two visits', async () => {
  const id = '_all:one';
  const received = await there.subscribe(status(204), { id });
  const now = there.clock.now;
  await there.world.deliveries.add({ id: keyOf(event), due: now, for: 1 });
  await deliverDue(there.worker());
  // Whoever posted the hint was slow.
  const dispatch = { events: [event], created: now, notices: { [id]: newNotice(now) } };
  await there.notices.saveDispatch(keyOf(event), dispatch, 0);
  there.clock.now += 3 * MINUTE;

  await deliverDue(there.worker());

  expect(received).toHaveLength(1);
});

it('an abandoned visit is made up for by the next ones', async () => {
  let back = false;
  const received = await there.subscribe((response, count) => status(back ? 200 : 500)(response, count));
  await failedOnes(3);
  received.splice(0);
  back = true;
  const anyDispatch: Fault = ({ method, path }) => method === 'PUT' && path.includes('/data/dispatches/');
  abandoned(there.worker({ transport: dyingBefore(anyDispatch) }));
  await until(async () => [...(await there.hints()).values()].filter((hint) => 'claim' in hint).length === 3);
  // Nobody else looks at them until their claims are over.
  const dues = [...(await there.hints()).values()].flatMap(({ due, ...hint }) =>
    'claim' in hint ? [due] : [],
  );
  expect(dues).toEqual(Array(3).fill(there.clock.now + 2 * MINUTE));

  // One notice tries whether the endpoint is back, and the others follow.
  const next = there.worker();
  for (let visits = 0; visits < 2; visits += 1) {
    there.clock.now += 3 * MINUTE;
    await deliverDue(next);
  }

  expect(received).toHaveLength(3);
});

/** Holds a worker up once it has read its first dispatch. */
function holdingUp(hold: () => Promise<void>): (real: Transport) => Transport {
  let held = false;
  return (real) => ({
    exchange: async (request) => {
      const answer = await real.exchange(request);
      if (!held && request.method === 'GET' && request.path.includes('/data/dispatches/')) {
        held = true;
        await hold();
      }
      return answer;
    },
    close: () => real.close(),
  });
}
