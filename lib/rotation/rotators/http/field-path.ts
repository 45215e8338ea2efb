import * as z from 'zod';
import { HttpRequestError } from './http-request-error.ts';

const STEP = String.raw`[^.[\]\s]+`;
const PATH = new RegExp(String.raw`^(?:\$|${STEP})(?:\.${STEP}|\[\d{1,6}\])*$`);

/**
 * Where a field is in a JSON answer: names with dots between them and `[n]` for the n-th of a list, `apiKey.value`, `keys[0].id`. `$` is the
 * answer itself, for one that is a list: `$`, `$[0].id`.
 */
export const fieldPathSchema = z
  .string()
  .max(256)
  .regex(PATH, 'expected a path such as apiKey.value, keys[0].id, or $ for the whole answer');

/** The field's value; undefined when there is none. */
export function fieldAt(json: unknown, path: string): unknown {
  const [first, ...steps] = path.split(/[.[\]]+/).filter((step) => step !== '');
  const all = first === undefined || first === '$' ? steps : [first, ...steps];
  return all.reduce(member, json);
}

function member(json: unknown, name: string): unknown {
  if (typeof json !== 'object' || json === null || !Object.hasOwn(json, name)) return undefined;
  return Reflect.get(json, name);
}

/**
 * A text, or a whole number as text. Throws `http_answer_invalid`, also for a number above 2^53, which JSON.parse has rounded: as an id it
 * would be somebody else's.
 */
export function textAt(json: unknown, path: string): string {
  const value = fieldAt(json, path);
  if (typeof value === 'string' && value !== '') return value;
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw unfit(path, 'no text');
}

/** A list. Throws `http_answer_invalid`. */
export function listAt(json: unknown, path: string): readonly unknown[] {
  const value = fieldAt(json, path);
  if (Array.isArray(value)) return value;
  throw unfit(path, 'no list');
}

/** Below it a number counts as seconds: as milliseconds it would be in March 1973. */
const LEAST_MILLISECONDS = 1e11;
const dateTime = z.iso.datetime({ offset: true, local: true });

/**
 * A time in milliseconds since 1970, read from RFC 3339 (UTC when it names no zone), or from seconds or milliseconds since 1970. Undefined
 * for a field that is missing, null or 0. Throws `http_answer_invalid` for anything else.
 */
export function timeAt(json: unknown, path: string): number | undefined {
  const value = fieldAt(json, path);
  if (value === undefined || value === null || value === 0) return undefined;
  const number = typeof value === 'string' && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof number === 'number' && number > 0) {
    return Math.floor(number < LEAST_MILLISECONDS ? number * 1_000 : number);
  }
  if (dateTime.safeParse(value).success) {
    const text = String(value);
    return Date.parse(/(?:Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
  }
  throw unfit(path, 'no time');
}

/** Names where, and not what. */
function unfit(path: string, what: string): HttpRequestError {
  return new HttpRequestError('http_answer_invalid', `The answer has ${what} at ${path}.`, {
    processed: 'maybe',
  });
}
