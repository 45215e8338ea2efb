import { beforeEach, describe, expect, it } from 'vitest';
import type { Outcome } from '../../../lib/bus/events.ts';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import type { NotifyDependencies } from '../../../lib/notices/notify.ts';
import {
  type Replay,
  type ReplayDependencies,
  type ReplayPage,
  replay,
  sendTest,
} from '../../../lib/notices/replay.ts';
import type { Subscription } from '../../../lib/notices/subscription.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { expiring, rotated } from '../../notices/events.ts';
import { dyingAfter, dyingBefore, nthWrite, recordingExchanges } from './fault-transport.ts';
import {
  type Answer,
  createNoticeWorld,
  deliverDue,
  type NoticeWorld,
  send,
  status,
} from './notice-world.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const ID = '_all:mine';
const ALL: ReplayPage = { limit: 100 };

let there: NoticeWorld;
let mends: boolean;

beforeEach(async () => {
  there = await createNoticeWorld();
  mends = false;
});

/** Fails until it is mended. */
const mendable: Answer = (response, count) => status(mends ? 204 : 500)(response, count);

function depsOf(worker: NotifyDependencies): ReplayDependencies {
  const { notices, book, now } = worker;
  return { notices, addHints: (hints) => book.addAll(hints), now };
}

async function replayAs(worker: NotifyDependencies, what: Replay, page = ALL) {
  const subscription = await there.notices.subscription(ID);
  if (subscription === undefined) throw new Error('no subscription');
  return replay(depsOf(worker), subscription.document, what, page);
}

const replayed = (what: Replay, page?: ReplayPage) => replayAs(there.worker(), what, page);
const stateOf = async (event: Outcome, id = ID) => (await there.dispatch(event))?.notices[id]?.state;
const onDay = (event: Outcome, day: number): Outcome => ({
  ...event,
  time: new Date(there.clock.now + day * DAY).toISOString(),
});

/** Goes from attempt to attempt until the notice of an event is settled; each time with a worker that knows nothing. */
async function untilSettled(event: Outcome): Promise<void> {
  for (;;) {
    const notice = (await there.dispatch(event))?.notices[ID];
    if (notice?.state !== 'pending') return;
    there.clock.now = Math.max(there.clock.now, notice.due);
    await deliverDue(there.worker());
  }
}

/** A subscription whose endpoint answers 204, made when all else has happened. */
const subscribeLate = (changes: Partial<Subscription> = {}) =>
  there.subscribe(status(204), { id: ID, ...changes });

describe('what failed', () => {
  it('arrives once the endpoint is well, with the ids that it had; and only that', async () => {
    const received = await there.subscribe(mendable, { id: ID });
    const lost = rotated('lost');
    const well = rotated('well');
    await send(there.worker(), lost);
    await untilSettled(lost);
    expect(await stateOf(lost)).toBe('failed');
    mends = true;
    await send(there.worker(), well);
    const before = received.length;

    expect(await replayed({ failed: true })).toEqual({ replayed: [keyOf(lost)], unreadable: [] });
    await deliverDue(there.worker());

    expect(received.slice(before).map(({ id }) => id)).toEqual([lost.id]);
    expect((await there.dispatch(lost))?.notices[ID]).toMatchObject({ state: 'delivered', tries: 1 });
    expect(await there.hint(lost)).toBeUndefined();
    expect(await replayed({ failed: true })).toEqual({ replayed: [], unreadable: [] });
  });

  it('has a schedule of its own again', async () => {
    await there.subscribe(mendable, { id: ID });
    const lost = rotated('lost');
    await send(there.worker(), lost);
    await untilSettled(lost);
    await replayed({ failed: true });
    await deliverDue(there.worker());

    expect((await there.dispatch(lost))?.notices[ID]).toMatchObject({ state: 'pending', tries: 2 });
    expect((await there.dispatch(lost))?.notices[ID]?.attempts).toHaveLength(12);
  });
});

describe('what was delivered', () => {
  it('arrives again by its id, and its attempts are kept', async () => {
    const received = await subscribeLate();
    const event = rotated('app');
    await send(there.worker(), event);
    there.clock.now += 2 * DAY;

    expect(await replayed({ event: event.id })).toEqual({ replayed: [keyOf(event)], unreadable: [] });
    await deliverDue(there.worker());

    expect(received.map(({ id }) => id)).toEqual([event.id, event.id]);
    expect((await there.dispatch(event))?.notices[ID]?.attempts).toMatchObject([
      { status: 204 },
      { status: 204 },
    ]);
  });

  it('goes to the one subscription that asked', async () => {
    const others = await there.subscribe(status(204));
    await subscribeLate();
    await send(there.worker(), rotated('app'));

    await replayed({ since: 0 });
    await deliverDue(there.worker());

    expect(others).toHaveLength(1);
  });
});

describe('a subscription that is newer than the event', () => {
  it('gets what it wants since a time, and nothing else', async () => {
    await there.subscribe(status(204));
    const [early, wanted, unwanted] = [rotated('early'), onDay(rotated('app'), 1), onDay(expiring('app'), 1)];
    for (const event of [early, wanted, unwanted]) await send(there.worker(), event);
    const received = await subscribeLate();

    expect(await replayed({ failed: true })).toMatchObject({ replayed: [] });
    expect(await replayed({ since: there.clock.now + DAY })).toMatchObject({ replayed: [keyOf(wanted)] });
    await deliverDue(there.worker());

    expect(received.map(({ id }) => id)).toEqual([wanted.id]);
  });

  it('gets no event of another consumer, not by its id either', async () => {
    await there.subscribe(status(204));
    const [own, foreign] = [rotated('own', ['gateway']), rotated('foreign', ['other'])];
    for (const event of [own, foreign]) await send(there.worker(), event);
    const received = await subscribeLate({ id: 'gateway:mine' });
    const { document } = (await there.notices.subscription('gateway:mine')) ?? {};
    if (document === undefined) throw new Error('no subscription');
    const ask = (event: Outcome) => replay(depsOf(there.worker()), document, { event: event.id }, ALL);

    expect(await ask(own)).toMatchObject({ replayed: [keyOf(own)] });
    await expect(ask(foreign)).rejects.toMatchObject({ code: 'event_unknown' });
    await deliverDue(there.worker());

    expect(received.map(({ id }) => id)).toEqual([own.id]);
  });
});

it('refuses an event that nobody knows', async () => {
  await subscribeLate();

  await expect(replayed({ event: 'evt_none' })).rejects.toMatchObject({ code: 'event_unknown' });
});

it('reads sixteen documents at most for one event', async () => {
  const { requests, transport } = recordingExchanges();
  await there.subscribe(status(204));
  for (let day = 0; day < 20; day += 1) await send(there.worker(), onDay(rotated('app', [], day + 1), -day));
  await subscribeLate();
  const worker = there.worker({ transport });

  await expect(replayAs(worker, { event: 'evt_none' })).rejects.toMatchObject({ code: 'event_unknown' });
  expect(requests.filter((one) => one.includes('/data/dispatches/'))).toHaveLength(16);
  await expect(replayAs(worker, { event: rotated('app', [], 16).id })).resolves.toMatchObject({
    unreadable: [],
  });
});

describe('batches', () => {
  const batched = { id: ID, batch_ms: 30_000 };

  it('since a time its events go one by one, and not in the batch as well', async () => {
    const received = await there.subscribe(status(204), batched);
    const events = [rotated('one'), rotated('other')];
    for (const event of events) await send(there.worker(), event);
    there.clock.now += MINUTE;
    await deliverDue(there.worker());
    expect(received.map(({ type }) => type)).toEqual(['notices.batch']);

    expect((await replayed({ since: 0 })).replayed.toSorted()).toEqual(events.map(keyOf).toSorted());
    await deliverDue(there.worker());

    expect(
      received
        .slice(1)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(events.map(({ id }) => id).toSorted());
  });

  it('one that failed is sent again as it was', async () => {
    const received = await there.subscribe(mendable, batched);
    for (const name of ['one', 'other']) await send(there.worker(), rotated(name));
    there.clock.now += MINUTE;
    await deliverDue(there.worker());
    const key = [...(await there.hints()).keys()].find((id) => id.includes('/bat_')) ?? '';
    for (let attempt = 2; attempt <= 10; attempt += 1) {
      there.clock.now = (await there.notices.dispatch(key))?.document.notices[ID]?.due ?? 0;
      await deliverDue(there.worker());
    }
    mends = true;
    const before = received.length;

    expect(await replayed({ failed: true })).toMatchObject({ replayed: [key] });
    await deliverDue(there.worker());

    expect(received.slice(before)).toMatchObject([{ type: 'notices.batch', id: received[0]?.id }]);
  });
});

describe('a page', () => {
  it('reads as many as it may; together they have all, the oldest day first', async () => {
    await there.subscribe(status(204));
    const events = [0, 1, 2, 3, 4, 5, 6].map((n) => onDay(rotated('app', [], n + 1), -(n % 3)));
    for (const event of events) await send(there.worker(), event);
    const received = await subscribeLate();
    const { requests, transport } = recordingExchanges();
    const worker = there.worker({ transport });
    const pages: (readonly string[])[] = [];
    let after: string | undefined;
    do {
      requests.length = 0;
      const page = { limit: 3, ...(after === undefined ? {} : { after }) };
      const one = await replayAs(worker, { since: 0 }, page);
      expect(requests.filter((request) => /^GET .*\/data\/dispatches\//.test(request)).length).toBeLessThan(
        4,
      );
      pages.push(one.replayed);
      after = one.next;
      if (after !== undefined) expect(one.replayed.at(-1)).toBe(after);
    } while (after !== undefined);

    expect(pages.map(({ length }) => length)).toEqual([3, 3, 1]);
    expect(pages.flat()).toEqual(events.map(keyOf).toSorted());
    await deliverDue(there.worker());
    expect(new Set(received.map(({ id }) => id)).size).toBe(7);
    expect(received).toHaveLength(7);
  });

  it('posts one message before and one after all that it replays', async () => {
    await there.subscribe(status(204));
    for (let n = 1; n <= 5; n += 1) await send(there.worker(), rotated('app', [], n));
    await subscribeLate();
    const { requests, transport } = recordingExchanges();

    await replayAs(there.worker({ transport }), { since: 0 });

    expect(requests.filter((one) => /^PUT .*\/inbox\//.test(one))).toHaveLength(2);
  });

  it('goes on past a dispatch that cannot be read, and names it', async () => {
    await there.subscribe(status(204));
    const [spoilt, well] = [rotated('spoilt'), rotated('well')];
    for (const event of [spoilt, well]) await send(there.worker(), event);
    await there.world.store.write(`dispatches/${keyOf(spoilt)}`, { json: '{' }, 2);
    await subscribeLate();

    expect(await replayed({ since: 0 })).toEqual({ replayed: [keyOf(well)], unreadable: [keyOf(spoilt)] });
  });
});

describe('several at once', () => {
  it('two that ask for the same have it sent once', async () => {
    const received = await subscribeLate();
    const events = Array.from({ length: 6 }, (_, n) => rotated('app', [], n + 1));
    for (const event of events) await send(there.worker(), event);
    received.length = 0;

    await Promise.all([replayed({ since: 0 }), replayed({ since: 0 }), replayed({ since: 0 })]);
    await deliverDue(there.worker());

    expect(received).toHaveLength(6);
  });

  it('one that comes late does not have sent again what the other had delivered meanwhile', async () => {
    const received = await subscribeLate();
    const event = rotated('app');
    await send(there.worker(), event);
    const meanwhile = beforeWrite(async () => {
      await replayed({ event: event.id });
      there.clock.now += 1;
      await deliverDue(there.worker());
    });

    const late = await replayAs(there.worker({ transport: meanwhile }), { event: event.id });
    await deliverDue(there.worker());

    expect(late.replayed).toEqual([keyOf(event)]);
    expect(received).toHaveLength(2);
  });

  it('one whose race is lost posts a hint for the version that it writes in the end, before that', async () => {
    const received = await subscribeLate();
    const other = await there.subscribe(status(204), { id: '_all:other' });
    const event = rotated('app');
    await send(there.worker(), event);
    const meanwhile = beforeWrite(async () => {
      // Somebody else's replay takes the version, and its worker the hint.
      const subscription = (await there.notices.subscription('_all:other'))?.document;
      if (subscription === undefined) throw new Error('no subscription');
      await replay(depsOf(there.worker()), subscription, { event: event.id }, ALL);
      await deliverDue(there.worker());
    });
    const dying = dyingAfter(nthWrite('dispatches', 2));

    void replayAs(there.worker({ transport: (real) => meanwhile(dying(real)) }), { event: event.id });
    await expect.poll(() => stateOf(event)).toBe('pending');
    await deliverDue(there.worker());

    expect([received.length, other.length]).toEqual([2, 2]);
  });
});

it('finds out what became of a write whose answer was lost', async () => {
  const received = await subscribeLate();
  const event = rotated('app');
  await send(there.worker(), event);
  const isFirst = nthWrite('dispatches', 1);
  const losing = (real: Transport): Transport => ({
    exchange: async (request) => {
      const answer = await real.exchange(request);
      if (isFirst(request)) throw new VaultError('vault_timeout', 'No answer.', { processed: 'maybe' });
      return answer;
    },
    close: () => real.close(),
  });

  expect(await replayAs(there.worker({ transport: losing }), { event: event.id })).toMatchObject({
    replayed: [keyOf(event)],
  });
  await deliverDue(there.worker());

  expect(received).toHaveLength(2);
});

describe('a worker that looks between hint and dispatch', () => {
  it('does not keep the next one from what is replayed', async () => {
    const received = await subscribeLate();
    const event = rotated('app');
    await send(there.worker(), event);
    const meanwhile = beforeWrite(async () => void (await deliverDue(there.worker())));

    await replayAs(there.worker({ transport: meanwhile }), { event: event.id });
    await deliverDue(there.worker());

    expect(received).toHaveLength(2);
  });

  it('does not keep the next one from a test', async () => {
    const received = await subscribeLate();
    const meanwhile = beforeWrite(async () => void (await deliverDue(there.worker())));
    const { document } = (await there.notices.subscription(ID)) ?? {};
    if (document === undefined) throw new Error('no subscription');

    await sendTest(depsOf(there.worker({ transport: meanwhile })), document, 'nonce');
    await deliverDue(there.worker());

    expect(received).toHaveLength(1);
  });
});

describe('whoever asks dies', () => {
  it('after the dispatch is written: its hint is there', async () => {
    const received = await subscribeLate();
    const event = rotated('app');
    await send(there.worker(), event);

    void replayAs(there.worker({ transport: dyingAfter(nthWrite('dispatches', 1)) }), { event: event.id });
    await expect.poll(() => stateOf(event)).toBe('pending');
    await deliverDue(there.worker());

    expect(received).toHaveLength(2);
  });

  it('between hint and dispatch: nothing is sent, nothing is lost, and it can be asked for again', async () => {
    const received = await subscribeLate();
    const event = rotated('app');
    await send(there.worker(), event);

    void replayAs(there.worker({ transport: dyingBefore(nthWrite('dispatches', 1)) }), { event: event.id });
    await expect.poll(() => there.hint(event)).toBeDefined();
    await deliverDue(there.worker());
    expect(received).toHaveLength(1);
    await replayed({ event: event.id });
    there.clock.now += 3 * MINUTE;
    await deliverDue(there.worker());

    expect(received).toHaveLength(2);
    expect(there.errors).toEqual([]);
    expect(await there.hint(event)).toBeUndefined();
  });
});

describe('a test', () => {
  it('goes to that one subscription, whatever it wants, and is kept as long as any other', async () => {
    const others = await there.subscribe(status(204), { types: ['*'] });
    const received = await subscribeLate({ types: ['lease.lost'], names: ['nobody'], batch_ms: 30_000 });
    const found = await there.notices.subscription(ID);
    if (found === undefined) throw new Error('no subscription');

    const key = await sendTest(depsOf(there.worker()), found.document, 'nonce');
    expect(await sendTest(depsOf(there.worker()), found.document, 'nonce')).toBe(key);
    await deliverDue(there.worker());

    expect(received).toMatchObject([{ type: 'subscription.test', body: { data: { subscription: ID } } }]);
    expect(others).toEqual([]);
    expect([...(await there.hints()).keys()]).toEqual(['kept/2026-11-21']);
    expect(await sendTest(depsOf(there.worker()), found.document, 'another')).not.toBe(key);
  });

  it('that is recorded is delivered, even when whoever recorded it died at once', async () => {
    const received = await subscribeLate();
    const { document } = (await there.notices.subscription(ID)) ?? {};
    if (document === undefined) throw new Error('no subscription');
    const dying = there.worker({ transport: dyingAfter(nthWrite('dispatches', 1)) });

    void sendTest(depsOf(dying), document, 'nonce');
    await expect.poll(async () => (await there.notices.days()).length).toBe(1);
    await deliverDue(there.worker());

    expect(received).toHaveLength(1);
  });
});

it('refuses a disabled subscription, and writes nothing', async () => {
  await there.subscribe(status(204));
  const event = rotated('app');
  await send(there.worker(), event);
  await subscribeLate({ disabled: { at: 0, reason: 'by_hand' } });
  const { document } = (await there.notices.subscription(ID)) ?? {};
  if (document === undefined) throw new Error('no subscription');

  const refusal = { code: 'subscription_disabled', hint: expect.stringContaining('Enable') };
  await expect(replayed({ since: 0 })).rejects.toMatchObject(refusal);
  await expect(sendTest(depsOf(there.worker()), document, 'nonce')).rejects.toMatchObject(refusal);
  expect([await stateOf(event), await there.hint(event)]).toEqual([undefined, undefined]);
});

/** Has something happen just before the first write of a dispatch. */
function beforeWrite(happen: () => Promise<void>): (real: Transport) => Transport {
  const isFirst = nthWrite('dispatches', 1);
  return (real) => ({
    exchange: async (request) => {
      if (isFirst(request)) await happen();
      return real.exchange(request);
    },
    close: () => real.close(),
  });
}
