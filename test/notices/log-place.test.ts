import { expect, it } from 'vitest';
import { placeIn, writtenPlace } from '../../lib/notices/log-place.ts';

const written = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

it.each([
  { from: '2026-11-21/' },
  { from: '2026-11-21/', to: '2026-11-21/evt_b' },
  { from: '2026-11-21/evt_a', to: '2026-11-21/evt_b', at: { created: 1, key: '2026-11-21/evt_aa' } },
])('comes out as it went in: %j', (place) => {
  expect(placeIn(writtenPlace(place))).toEqual(place);
  expect(writtenPlace(place)).toMatch(/^[\w-]+$/);
});

it.each([
  '',
  'evt_1',
  '2026-11-21/evt_1',
  written([]),
  written(['x']),
  written(['2026-11-21/', 1]),
  written([`2026-11-21/${'x'.repeat(200)}`]),
  written({ from: '2026-11-21/' }),
])('refuses %j', (text) => {
  expect(() => placeIn(text)).toThrow(expect.objectContaining({ code: 'place_in_log_invalid' }));
});
