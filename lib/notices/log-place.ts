import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { jsonIn } from '../json-in.ts';

/** How far a reader of the attempt log has come (attempt-log.ts). */
export interface LogPlace {
  /** The keys that are read next come after this one: `<day>/` or a key. */
  readonly from: string;
  /** They end with this one; left out: as far as is read at once. */
  readonly to?: string;
  /** The last of them that was shown. */
  readonly at?: { readonly created: number; readonly key: string };
}

const DAY = /^\d{4}-\d{2}-\d{2}\//;
const key = z.string().max(128).regex(DAY);
const placeSchema = z.union([
  z.tuple([key]).transform(([from]) => ({ from })),
  z.tuple([key, key]).transform(([from, to]) => ({ from, to })),
  z.tuple([key, key, z.number(), key]).transform(([from, to, created, last]) => {
    return { from, to, at: { created, key: last } };
  }),
]);

/** As text that stands in a query as it is. */
export function writtenPlace({ from, to, at }: LogPlace): string {
  const parts = [from, ...(to === undefined ? [] : [to]), ...(at === undefined ? [] : [at.created, at.key])];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Throws `place_in_log_invalid`. */
export function placeIn(text: string): LogPlace {
  const parsed = placeSchema.safeParse(jsonIn(Buffer.from(text, 'base64url').toString()));
  if (parsed.success) return parsed.data;
  throw new LeasekeeperError('place_in_log_invalid', 'That is no place in the list to go on from.', {
    hint: 'Send `next` of the page before, as it came.',
  });
}
