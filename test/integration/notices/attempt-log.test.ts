import pLimit from 'p-limit';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Outcome } from '../../../lib/bus/events.ts';
import { type LogQuery, listNotices } from '../../../lib/notices/attempt-log.ts';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import { newNotice } from '../../../lib/notices/notice.ts';
import { expiring, rotated } from '../../notices/events.ts';
import { recordingExchanges } from './fault-transport.ts';
import { createNoticeWorld, deliverDue, type NoticeWorld, send, status } from './notice-world.ts';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const ID = '_all:mine';

let there: NoticeWorld;

beforeEach(async () => {
  there = await createNoticeWorld();
});

const log = (query: Partial<LogQuery> = {}) => listNotices(there, ID, { limit: 50, ...query });
const keysIn = ({ notices }: Awaited<ReturnType<typeof log>>) => notices.map(({ dispatch }) => dispatch);

/** Page after page; `between` is called before each but the first. */
async function pages(
  query: Partial<LogQuery>,
  between?: () => Promise<void>,
): Promise<(readonly string[])[]> {
  const all: (readonly string[])[] = [];
  let after: string | undefined;
  do {
    if (after !== undefined) await between?.();
    const page = await log({ ...query, after });
    all.push(keysIn(page));
    after = page.next;
  } while (after !== undefined);
  return all;
}

/** Records an event for the subscription as of a time, without sending it. */
async function recorded(event: Outcome, created: number, state: 'pending' | 'failed' = 'pending') {
  const notice = { ...newNotice(created), state };
  await there.notices.saveDispatch(keyOf(event), { events: [event], created, notices: { [ID]: notice } }, 0);
  return keyOf(event);
}

const onDay = (event: Outcome, day: number): Outcome => ({
  ...event,
  time: new Date(there.clock.now + day * DAY).toISOString(),
});

it('shows each attempt, and what was answered last, without credentials', async () => {
  const [failing, well, unsent] = [rotated('failing'), rotated('well'), expiring('unsent')];
  await there.subscribe(
    (response, count) => {
      if (count > 2) return response.writeHead(204).end();
      response.writeHead(500).end('{"error":"no such user","token":"canary-81d2"}');
    },
    { id: ID },
  );
  await send(there.worker(), failing);
  there.clock.now += 1;
  await send(there.worker(), well);
  await send(there.worker(), unsent);

  const page = await log();

  expect(page).toMatchObject({
    notices: [
      {
        dispatch: keyOf(well),
        id: well.id,
        type: 'secret.rotated',
        state: 'delivered',
        tries: 1,
        attempts: [{ status: 204 }],
      },
      {
        dispatch: keyOf(failing),
        state: 'pending',
        tries: 2,
        due: expect.stringMatching(/^2026-11-21T20:05:/),
        attempts: [
          { at: '2026-11-21T20:00:00.000Z', status: 500, duration_ms: expect.any(Number) },
          { status: 500 },
        ],
        answer: '{"error":"no such user","token":"[secret]"}',
      },
    ],
  });
  expect(page.notices).toHaveLength(2);
  expect(page).not.toHaveProperty('next');
});

it('shows that an event went in a batch, and the batch', async () => {
  await there.subscribe(status(204), { id: ID, batch_ms: 30_000 });
  const event = rotated('app');
  await send(there.worker(), event);
  there.clock.now += MINUTE;
  await deliverDue(there.worker());

  expect(await log()).toMatchObject({
    notices: [
      {
        type: 'notices.batch',
        types: ['secret.rotated'],
        state: 'delivered',
        id: expect.stringMatching(/^bat_/),
      },
      { dispatch: keyOf(event), state: 'gathered', attempts: [] },
    ],
  });
});

it('shows nothing of other subscriptions', async () => {
  await there.subscribe(status(204));
  await send(there.worker(), rotated('app'));

  expect(await log()).toEqual({ notices: [] });
});

it('can be asked for one state, and for what happened since a time', async () => {
  const now = there.clock.now;
  const [old, failed, young] = [onDay(rotated('old'), -2), onDay(rotated('failed'), -1), rotated('young')];
  await recorded(old, now);
  await recorded(failed, now, 'failed');
  await recorded(young, now);

  expect(keysIn(await log({ state: 'failed' }))).toEqual([keyOf(failed)]);
  expect(keysIn(await log({ state: 'delivered' }))).toEqual([]);
  expect(keysIn(await log({ since: now - DAY }))).toEqual([keyOf(young), keyOf(failed)]);
  expect(keysIn(await log({ since: now - DAY, state: 'pending' }))).toEqual([keyOf(young)]);
  expect(keysIn(await log({ since: now - DAY + 1 }))).toEqual([keyOf(young)]);
});

it('names a dispatch that cannot be read, and shows the others', async () => {
  const well = await recorded(rotated('well'), there.clock.now, 'failed');
  const spoilt = keyOf(rotated('spoilt'));
  await there.world.store.write(`dispatches/${spoilt}`, { json: '{' }, 0);

  expect(await log({ state: 'failed' })).toMatchObject({
    notices: [{ dispatch: well }, { dispatch: spoilt, unreadable: true }],
  });
});

describe('pages', () => {
  /** Fourteen on three days, recorded in an order that is not that of their ids, two at the same time. The newest first. */
  async function fourteen(): Promise<readonly string[]> {
    const all = Array.from({ length: 14 }, (_, n) => {
      const event = onDay(rotated('app', [], n + 1), -(n % 3));
      return {
        event,
        day: n % 3,
        key: keyOf(event),
        created: there.clock.now + (n === 13 ? 10 : n) * MINUTE,
      };
    });
    for (const { event, created } of all) await recorded(event, created);
    return all
      .toSorted((a, b) => a.day - b.day || b.created - a.created || (a.key > b.key ? -1 : 1))
      .map(({ key }) => key);
  }

  it.each([1, 2, 3, 5, 14, 50])('of %i have all, once, the newest first', async (limit) => {
    const newestFirst = await fourteen();

    const all = await pages({ limit });

    expect(all.every(({ length }) => length <= limit)).toBe(true);
    expect(all.flat()).toEqual(newestFirst);
  });

  it('show nothing twice and leave nothing out while more is recorded', async () => {
    const there14 = await fourteen();
    let more = 100;

    const all = await pages({ limit: 2 }, async () => {
      for (const last = more + 4; more < last; more += 1) {
        await recorded(rotated('more', [], more), there.clock.now + more * MINUTE);
      }
    });

    expect(all.flat().filter((key) => there14.includes(key))).toEqual(there14);
    expect(new Set(all.flat()).size).toBe(all.flat().length);
  });

  it('read two hundred dispatches at most, and have all of a day with more', async () => {
    const limit = pLimit(16);
    const many = await Promise.all(
      Array.from({ length: 450 }, (_, n) =>
        limit(() => recorded(rotated('many', [], n + 1), there.clock.now + n)),
      ),
    );
    const yesterday = await recorded(onDay(rotated('app'), -1), there.clock.now);
    const { requests, transport } = recordingExchanges();
    const { notices } = there.worker({ transport });
    const shown: string[] = [];
    let after: string | undefined;
    do {
      requests.length = 0;
      const page = await listNotices({ notices }, ID, { limit: 150, after });
      expect(requests.filter((one) => one.includes('/data/dispatches/')).length).toBeLessThanOrEqual(200);
      expect(page.notices.length).toBeLessThanOrEqual(150);
      shown.push(...keysIn(page));
      after = page.next;
    } while (after !== undefined);

    expect(shown.toSorted()).toEqual([...many, yesterday].toSorted());
    expect(shown.at(-1)).toBe(yesterday);
  });

  it('go on until there is no next one, although one has nothing', async () => {
    const limit = pLimit(16);
    await Promise.all(
      Array.from({ length: 150 }, (_, n) =>
        limit(() => recorded(rotated('many', [], n + 1), there.clock.now)),
      ),
    );
    await Promise.all(
      Array.from({ length: 60 }, (_, n) =>
        limit(() => recorded(onDay(rotated('few', [], n + 1), -1), there.clock.now)),
      ),
    );
    const failed = await recorded(onDay(rotated('failed'), -1), there.clock.now, 'failed');

    expect(await pages({ state: 'failed' })).toEqual([[], [failed]]);
  });

  it('are refused from a place that is none', async () => {
    await expect(log({ after: 'evt_1' })).rejects.toMatchObject({ code: 'place_in_log_invalid' });
  });
});
