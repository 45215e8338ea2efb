/** A receiver may ask for a pause of a day at most. */
export const LONGEST_RETRY_AFTER_MS = 24 * 3_600_000;

/** The dates of RFC 9110, section 5.6.7: IMF-fixdate, RFC 850, asctime. Date.parse alone takes much else besides. */
const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const IMF_FIXDATE = new RegExp(`^${DAY}, \\d{2} [A-Z][a-z]{2} \\d{4} \\d{2}:\\d{2}:\\d{2} GMT$`);
const RFC_850 =
  /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \d{2}-[A-Z][a-z]{2}-\d{2} \d{2}:\d{2}:\d{2} GMT$/;
const ASCTIME = new RegExp(`^${DAY} [A-Z][a-z]{2} [ \\d]\\d \\d{2}:\\d{2}:\\d{2} \\d{4}$`);

/**
 * How long a Retry-After header (RFC 9110, section 10.2.3) asks to wait, in milliseconds from `now` (milliseconds since
 * 1970): 0 for a time that has passed, 24 h at most, undefined when it is neither seconds nor a date.
 */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? '';
  const wait = /^\d+$/.test(text) ? Number(text) * 1000 : parseHttpDate(text) - now;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), LONGEST_RETRY_AFTER_MS);
}

/** Milliseconds since 1970; NaN for what is no date. */
function parseHttpDate(text: string): number {
  if (IMF_FIXDATE.test(text) || RFC_850.test(text)) return Date.parse(text);
  // It names no zone, and would be read as local time.
  if (ASCTIME.test(text)) return Date.parse(`${text} GMT`);
  return Number.NaN;
}
