import { describe, expect, it } from 'vitest';
import { batchKeyOf, type Dispatch, keyOf } from '../../lib/notices/dispatch.ts';
import type { Notice } from '../../lib/notices/notice.ts';
import { type Replay, replayedIn, replaySchema } from '../../lib/notices/replay.ts';
import { rotated, subscriptionOf, TIME } from './events.ts';

const NOW = Date.parse(TIME) + 3_600_000;
const event = rotated('app');
const key = keyOf(event);
const batchKey = batchKeyOf('_all:everything', [event], NOW);
const attempts = [{ at: NOW - 1_000, status: 500 }];

function noticeOf(changes: Partial<Notice>): Notice {
  return { state: 'delivered', due: NOW - 60_000, tries: 3, attempts, ...changes };
}

function dispatchOf(notice?: Notice): Dispatch {
  return {
    events: [event],
    created: NOW,
    notices: notice === undefined ? {} : { '_all:everything': notice },
  };
}

/** The notice as it is replayed; 'same': it is on its way already; undefined: it is not replayed. */
function replayedNotice(
  dispatch: Dispatch,
  what: Replay,
  { at = key, types = ['*'], owner = '_all' }: { at?: string; types?: string[]; owner?: string } = {},
) {
  const subscription = subscriptionOf({ id: `${owner}:everything`, types });
  const after = replayedIn(at, dispatch, { subscription, what }, NOW);
  return after === dispatch ? 'same' : after?.notices[subscription.id];
}

const BY_ID: Replay = { event: event.id };
const ALL: Replay = { since: Date.parse(TIME) };
const FAILED: Replay = { failed: true };
const anew = { state: 'pending', due: NOW, tries: 0, attempts };

describe('replayedIn', () => {
  it.each([
    ['a delivered one by its id', noticeOf({}), BY_ID, anew],
    ['a failed one by its id', noticeOf({ state: 'failed' }), BY_ID, anew],
    ['a delivered one since a time', noticeOf({}), ALL, anew],
    [
      'one that went in a batch',
      noticeOf({ state: 'gathered', attempts: [] }),
      ALL,
      { ...anew, attempts: [] },
    ],
    ['a failed one', noticeOf({ state: 'failed' }), FAILED, anew],
    ['a failed one since a time', noticeOf({ state: 'failed' }), { ...ALL, failed: true }, anew],
    ['a delivered one when failed ones are asked for', noticeOf({}), FAILED, undefined],
    ['one that went in a batch when failed ones are', noticeOf({ state: 'gathered' }), FAILED, undefined],
    ['one of before that time', noticeOf({}), { since: Date.parse(TIME) + 1 }, undefined],
    [
      'a failed one of before that time',
      noticeOf({ state: 'failed' }),
      { since: NOW, failed: true },
      undefined,
    ],
  ])('%s', (_which, notice, what, expected) => {
    expect(replayedNotice(dispatchOf(notice), what)).toEqual(expected);
  });

  it('sends one now that waits for its next attempt, and leaves alone one whose attempt is being made', () => {
    const notice = noticeOf({ state: 'pending', due: NOW + 50 });
    const beingMade = { ...notice, tries: 0, attempts: [{ at: NOW }] };

    expect(replayedNotice(dispatchOf(notice), ALL)).toEqual({ ...notice, tries: 0, due: NOW });
    expect(replayedNotice(dispatchOf(beingMade), ALL)).toBe('same');
  });

  it('adds one for a subscription that is newer than the event and would want it', () => {
    const fresh = { state: 'pending', due: NOW, tries: 0, attempts: [] };

    expect(replayedNotice(dispatchOf(), BY_ID)).toEqual(fresh);
    expect(replayedNotice(dispatchOf(), ALL)).toEqual(fresh);
    expect(replayedNotice(dispatchOf(), FAILED)).toBeUndefined();
    expect(replayedNotice(dispatchOf(), { ...ALL, failed: true })).toBeUndefined();
    expect(replayedNotice(dispatchOf(), BY_ID, { types: ['lease.*'] })).toBeUndefined();
    expect(replayedNotice(dispatchOf(), BY_ID, { owner: 'somebody-else' })).toBeUndefined();
    expect(replayedNotice(dispatchOf(), BY_ID, { at: batchKey })).toBeUndefined();
  });

  it('sends a batch again when it failed or is asked for; else its events go one by one', () => {
    const at = batchKey;

    expect(replayedNotice(dispatchOf(noticeOf({ state: 'failed' })), FAILED, { at })).toEqual(anew);
    expect(replayedNotice(dispatchOf(noticeOf({})), { event: 'bat_1' }, { at })).toEqual(anew);
    expect(replayedNotice(dispatchOf(noticeOf({})), ALL, { at })).toBeUndefined();
  });
});

describe('replaySchema', () => {
  it.each([
    [{ event: 'evt_1' }, { event: 'evt_1' }],
    [{ since: TIME }, { since: Date.parse(TIME) }],
    [{ since: '2026-11-21T22:00:00+02:00' }, { since: Date.parse(TIME) }],
    [
      { since: TIME, failed: true },
      { since: Date.parse(TIME), failed: true },
    ],
    [{ failed: true }, { failed: true }],
  ])('takes %j', (written, read) => {
    expect(replaySchema.parse(written)).toEqual(read);
  });

  it.each([
    {},
    { failed: false },
    { event: '../x' },
    { event: 'a/b' },
    { event: 'evt_1', failed: true },
    { since: 'yesterday' },
    { since: 1 },
    { all: true },
    'evt_1',
  ])('refuses %j', (written) => {
    expect(replaySchema.safeParse(written).success).toBe(false);
  });
});
