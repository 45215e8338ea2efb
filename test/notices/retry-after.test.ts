import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LONGEST_RETRY_AFTER_MS, parseRetryAfter } from '../../lib/notices/retry-after.ts';

/** Sun, 06 Nov 1994 08:49:37 GMT, the specification's own example. */
const EXAMPLE = 784_111_777_000;

describe('parseRetryAfter', () => {
  it.each([
    ['0', 0],
    ['120', 120_000],
    [' 7 ', 7_000],
    ['86400', LONGEST_RETRY_AFTER_MS],
    ['86401', LONGEST_RETRY_AFTER_MS],
    ['9'.repeat(400), LONGEST_RETRY_AFTER_MS],
  ])('reads the seconds %j', (header, wait) => {
    expect(parseRetryAfter(header, EXAMPLE)).toBe(wait);
  });

  it.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
    'reads the date %j, in whatever zone we are',
    (header) => {
      const zone = process.env.TZ;
      process.env.TZ = 'Asia/Tokyo';
      try {
        expect(parseRetryAfter(header, EXAMPLE - 60_000)).toBe(60_000);
        expect(parseRetryAfter(header, EXAMPLE + 60_000)).toBe(0);
        expect(parseRetryAfter(header, 0)).toBe(LONGEST_RETRY_AFTER_MS);
      } finally {
        process.env.TZ = zone;
        if (zone === undefined) delete process.env.TZ;
      }
    },
  );

  it.each([
    undefined,
    '',
    'soon',
    '-1',
    '1.5',
    '1e3',
    '0x10',
    '12 s',
    '2026-11-21',
    '1 2',
    'Sun, 06 Nov 1994 08:49:37 PST',
    'Sun, 99 Nov 1994 08:49:37 GMT',
    'Sun, 06 Xyz 1994 08:49:37 GMT',
  ])('makes nothing of %j', (header) => {
    expect(parseRetryAfter(header, EXAMPLE)).toBeUndefined();
  });

  it('gives 0 to 24 h or nothing for any text', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.date().map((date) => date.toUTCString()),
        ),
        fc.nat(),
        (header, now) => {
          const wait = parseRetryAfter(header, now) ?? 0;
          expect(wait).toBeGreaterThanOrEqual(0);
          expect(wait).toBeLessThanOrEqual(LONGEST_RETRY_AFTER_MS);
        },
      ),
    );
  });
});
