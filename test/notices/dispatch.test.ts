import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchIn, hintOf, openBatch } from '../../lib/notices/batch.ts';
import {
  batchKeyOf,
  type Dispatch,
  dispatchSchema,
  dueNotices,
  dueOf,
  endOfKeeping,
  inBatches,
  KEPT_MS,
  keyOf,
  MOST_BODY_BYTES,
  noticeBody,
  noticeIdOf,
  typeOf,
  withNotice,
} from '../../lib/notices/dispatch.ts';
import { finished, newNotice } from '../../lib/notices/notice.ts';
import { expiring, rotated, subscriptionOf, TIME } from './events.ts';

const NOW = Date.parse(TIME);
const DAY = 24 * 3_600_000;
const event = rotated('app');
const dispatchOf = (notices: Dispatch['notices']): Dispatch => ({ events: [event], created: NOW, notices });

describe('the key', () => {
  it('follows from the event alone, and gives the id that receivers see', () => {
    expect(keyOf(event)).toBe(`2026-11-21/${event.id}`);
    expect(noticeIdOf(keyOf(event))).toBe(event.id);
  });

  it('of a batch follows from its events, whatever their order, its subscription and its time', () => {
    const events = [rotated('a'), rotated('b')];
    const key = batchKeyOf('_all:x', events, NOW);

    expect(batchKeyOf('_all:x', events.toReversed(), NOW)).toBe(key);
    expect(batchKeyOf('_all:y', events, NOW)).not.toBe(key);
    expect(batchKeyOf('_all:x', events.slice(1), NOW)).not.toBe(key);
    expect(key).toMatch(/^2026-11-21\/bat_[\w-]{27}$/);
  });
});

describe('keeping', () => {
  it('is for 15 days from the last moment of the day', () => {
    expect(KEPT_MS).toBe(15 * DAY);
    expect(endOfKeeping('2026-11-21')).toBe(Date.UTC(2026, 10, 22) + 15 * DAY);
  });
});

describe('the body', () => {
  it('is type, timestamp and data, as Standard Webhooks has it', () => {
    const dispatch = dispatchOf({});

    expect(JSON.parse(noticeBody(keyOf(event), dispatch))).toEqual({
      type: 'secret.rotated',
      timestamp: event.time,
      data: event.data,
    });
    expect(typeOf(keyOf(event), dispatch)).toBe('secret.rotated');
  });

  it('of a batch has each notice with its id, also when it is only one', () => {
    for (const events of [[event], [event, expiring('app')]]) {
      const key = batchKeyOf('_all:x', events, NOW);
      const dispatch = { events, created: NOW };
      expect(JSON.parse(noticeBody(key, dispatch))).toEqual({
        type: 'notices.batch',
        timestamp: TIME,
        data: {
          notices: events.map(({ id, type, time, data }) => ({ id, type, timestamp: time, data })),
        },
      });
      expect(typeOf(key, dispatch)).toBe('notices.batch');
    }
  });

  it('is smaller than 20 kB, however many events are gathered, and none is left out', () => {
    const consumers = fc.array(fc.stringMatching(/^[a-zé]{1,63}$/), { maxLength: 40 });
    fc.assert(
      fc.property(fc.array(consumers, { minLength: 1, maxLength: 60 }), (many) => {
        const events = many.map((names, index) => rotated('app', names, index));
        const groups = inBatches(events);
        expect(groups.flat()).toEqual(events);
        for (const group of groups) {
          const body = noticeBody(batchKeyOf('_all:x', group, NOW), { events: [...group], created: NOW });
          expect(Buffer.byteLength(body)).toBeLessThan(MOST_BODY_BYTES);
        }
        expect(groups.length).toBeLessThanOrEqual(
          1 + many.flat(2).join('').length / 5_000 + many.length / 30,
        );
      }),
    );
  });
});

describe('a dispatch', () => {
  it('is due when the first of its pending notices is', () => {
    const notices = {
      '_all:late': newNotice(NOW + 9),
      '_all:soon': newNotice(NOW + 3),
      '_all:done': finished(newNotice(NOW), 'delivered'),
      '_all:gathered': { ...newNotice(NOW), state: 'gathered' as const },
    };

    expect(dueOf(dispatchOf(notices))).toBe(NOW + 3);
    expect(dueNotices(dispatchOf(notices), NOW + 3)).toEqual(['_all:soon']);
    expect(dueOf(dispatchOf({ '_all:done': notices['_all:done'] }))).toBeUndefined();
  });

  it('stays the same object when nothing changes', () => {
    const dispatch = dispatchOf({ '_all:one': newNotice(NOW) });

    expect(withNotice(dispatch, '_all:one', (notice) => notice)).toBe(dispatch);
    expect(withNotice(dispatch, '_all:absent', (notice) => finished(notice, 'failed'))).toBe(dispatch);
    const changed = withNotice(dispatch, '_all:one', (notice) => finished(notice, 'failed'));
    expect(changed.notices['_all:one']?.state).toBe('failed');
    expect(dispatchSchema.parse(JSON.parse(JSON.stringify(changed)))).toEqual(changed);
  });
});

describe('a batch', () => {
  it('closes at the end of a window that all workers agree on', () => {
    const subscription = subscriptionOf({ batch_ms: 30_000 });

    expect(openBatch(subscription, NOW + 1).closes).toBe(NOW + 30_000);
    expect(openBatch(subscription, NOW + 29_999).closes).toBe(NOW + 30_000);
    expect(openBatch(subscription, NOW + 30_000).closes).toBe(NOW + 60_000);
  });

  it('is known by its hint', () => {
    const batch = { subscription: 'api-gateway:01J', closes: NOW };

    expect(hintOf(batch).due).toBe(NOW);
    expect(batchIn(hintOf(batch).id)).toEqual(batch);
    expect(batchIn(keyOf(event))).toBeUndefined();
  });
});
