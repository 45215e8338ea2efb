import { expect, it } from 'vitest';
import { noticeView } from '../../lib/notices/attempt-log.ts';
import { expiring, rotated, TIME } from './events.ts';

const NOW = Date.parse(TIME);
const event = rotated('app');

it('shows times as text, and of a finished notice no next one', () => {
  const attempts = [
    { at: NOW, reason: 'timeout' },
    { at: NOW + 5_000, status: 204, duration_ms: 12 },
  ];
  const notice = { state: 'delivered', due: NOW + 60_000, tries: 2, attempts } as const;

  expect(noticeView('2026-11-21/evt_1', { events: [event], created: NOW }, { ...notice, attempts })).toEqual({
    dispatch: '2026-11-21/evt_1',
    id: 'evt_1',
    type: 'secret.rotated',
    created: TIME,
    state: 'delivered',
    tries: 2,
    attempts: [
      { at: TIME, reason: 'timeout' },
      { at: '2026-11-21T20:00:05.000Z', status: 204, duration_ms: 12 },
    ],
  });
});

it('shows of a batch what is in it, each type once; of a pending one when it is due', () => {
  const events = [event, rotated('other'), expiring('app')];
  const notice = { state: 'pending', due: NOW, tries: 0, attempts: [], answer: 'later' } as const;

  expect(noticeView('2026-11-21/bat_1', { events, created: NOW }, { ...notice, attempts: [] })).toEqual({
    dispatch: '2026-11-21/bat_1',
    id: 'bat_1',
    type: 'notices.batch',
    types: ['secret.rotated', 'lease.expiring'],
    created: TIME,
    state: 'pending',
    due: TIME,
    tries: 0,
    attempts: [],
    answer: 'later',
  });
});
