import { expect, it } from 'vitest';
import { lastAttempt } from '../../lib/cli/subscription-views.ts';
import { table } from '../../lib/cli/table.ts';

const at = '2026-11-21T20:00:00.000Z';

it.each([
  ['none yet', [], '-'],
  ['one that is being made', [{ at, status: 500 }, { at }], 'under way'],
  ['no answer', [{ at, reason: 'timeout' }], 'no answer: timeout'],
  [
    'an answer',
    [
      { at, reason: 'timeout' },
      { at, status: 204, duration_ms: 35 },
    ],
    'answered 204 in 35 ms: fine',
  ],
  ['an answer of before durations were kept', [{ at, status: 204 }], 'answered 204: fine'],
])('tells of the last attempt: %s', (_what, attempts, expected) => {
  expect(lastAttempt({ attempts, answer: 'fine' }, true)).toBe(expected);
});

it('leaves the answer out where nobody needs it, or there is none', () => {
  const attempts = [{ at, status: 204, duration_ms: 35 }];

  expect(lastAttempt({ attempts, answer: 'fine' }, false)).toBe('answered 204 in 35 ms');
  expect(lastAttempt({ attempts }, true)).toBe('answered 204 in 35 ms');
});

it('lines columns up, without blanks at the end', () => {
  expect(
    table([
      ['A', 'LONG', 'B'],
      ['xyz', 'y', ''],
    ]),
  ).toEqual(['A    LONG  B', 'xyz  y']);
});
