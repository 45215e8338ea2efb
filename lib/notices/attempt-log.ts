import pLimit from 'p-limit';
import { codeOf } from '../errors.ts';
import { type Dispatch, dayOf, noticeIdOf, typeOf } from './dispatch.ts';
import { type LogPlace, placeIn, writtenPlace } from './log-place.ts';
import type { Attempt, Notice } from './notice.ts';
import type { NoticeStore } from './notice-store.ts';

/** A notice of one subscription, as it is shown. Times in ISO 8601, UTC. */
export interface NoticeView {
  /** The key of its dispatch. */
  readonly dispatch: string;
  /** What its receiver knows it by: the header `webhook-id`. */
  readonly id: string;
  readonly type: string;
  /** Of a batch: the types of the events in it. */
  readonly types?: readonly string[] | undefined;
  /** When it was recorded. */
  readonly created: string;
  readonly state: Notice['state'];
  /** When it is tried next, while it is pending. */
  readonly due?: string | undefined;
  /** Attempts by the present schedule. */
  readonly tries: number;
  /** The last ones, oldest first. One without status and reason is being made. */
  readonly attempts: readonly (Omit<Attempt, 'at'> & { readonly at: string })[];
  /** The first bytes of the last answer, redacted. */
  readonly answer?: string | undefined;
}

/** A dispatch that may have a notice of the subscription: nobody can tell. */
export interface UnreadableDispatch {
  readonly dispatch: string;
  readonly unreadable: true;
}

export interface LogQuery {
  /** Only that of this dispatch, whatever else is asked. */
  readonly dispatch?: string | undefined;
  readonly state?: Notice['state'] | undefined;
  /** Of events from this time on, in milliseconds since the epoch. */
  readonly since?: number | undefined;
  /** `next` of the page before. */
  readonly after?: string | undefined;
  readonly limit: number;
}

export interface LogPage {
  readonly notices: readonly (NoticeView | UnreadableDispatch)[];
  /** There may be more. A page may be empty and yet have a next one. */
  readonly next?: string | undefined;
}

const MOST_READS = 200;
const PARALLEL = 8;

/**
 * The notices of one subscription. The newest day of events comes first, and within it what was recorded last. Of a day with more than 200
 * dispatches each 200, by their ids, have that order of their own. One call reads 200 dispatches at most. From page to page nothing that
 * was there at the first is left out or shown twice. Throws `place_in_log_invalid`, VaultError.
 */
export async function listNotices(
  { notices }: { readonly notices: NoticeStore },
  subscription: string,
  { dispatch: key, state, since, after, limit }: LogQuery,
): Promise<LogPage> {
  if (key !== undefined) return pageOf(await readRow(notices, key, subscription), undefined);
  const start = after === undefined ? undefined : placeIn(after);
  const shown: Row[] = [];
  let reads = 0;
  for await (const { keys, ...chunk } of chunksFrom(
    notices,
    since === undefined ? '' : dayOf(since),
    start,
  )) {
    if (reads > 0 && (reads + keys.length > MOST_READS || shown.length >= limit)) {
      return pageOf(shown, { from: chunk.from });
    }
    reads += keys.length;
    const rows = (await readRows(notices, keys, subscription)).filter(({ view, dispatch }) => {
      if (dispatch === undefined || 'unreadable' in view) return true;
      return (state === undefined || view.state === state) && isSince(dispatch, since);
    });
    const rest = rows.toSorted(newestFirst).filter((row) => chunk.at === undefined || isAfter(row, chunk.at));
    shown.push(...rest.slice(0, limit - shown.length));
    const last = shown.at(-1);
    if (rest.length > 0 && last !== undefined && last !== rest.at(-1)) {
      const { from, to } = chunk;
      return pageOf(shown, rest.includes(last) ? { from, to, at: last } : { from, to });
    }
  }
  return pageOf(shown, undefined);
}

export function noticeView(
  key: string,
  { events, created }: Pick<Dispatch, 'events' | 'created'>,
  notice: Notice,
): NoticeView {
  const { state, due, tries, attempts, answer } = notice;
  const type = typeOf(key, { events });
  const [only, ...others] = new Set(events.map((event) => event.type));
  return {
    dispatch: key,
    id: noticeIdOf(key),
    type,
    ...(only === undefined || only === type ? {} : { types: [only, ...others] }),
    created: iso(created),
    state,
    ...(state === 'pending' ? { due: iso(due) } : {}),
    tries,
    attempts: attempts.map((attempt) => ({ ...attempt, at: iso(attempt.at) })),
    ...(answer === undefined ? {} : { answer }),
  };
}

/** Some of a day's keys: after `from`, and up to `to` with it. */
interface Chunk extends LogPlace {
  readonly keys: readonly string[];
  readonly to: string;
}

/** From the newest day to `firstDay`, each in chunks small enough to be read at once. */
async function* chunksFrom(
  notices: NoticeStore,
  firstDay: string,
  start: LogPlace | undefined,
): AsyncGenerator<Chunk> {
  const startDay = start === undefined ? undefined : start.from.slice(0, dayOf(0).length);
  for (const day of await notices.days()) {
    if (day < firstDay || (startDay !== undefined && day > startDay)) continue;
    const begun = day === startDay ? start : undefined;
    let from = begun?.from ?? `${day}/`;
    let keys = (await notices.dispatchesOf(day)).filter((key) => key > from);
    const { to } = begun ?? {};
    if (begun !== undefined && to !== undefined) {
      // As it was: what has come since belongs to no page that has begun.
      yield { ...begun, to, keys: keys.filter((key) => key <= to) };
      from = to;
      keys = keys.filter((key) => key > to);
    }
    for (; keys.length > 0; keys = keys.slice(MOST_READS)) {
      const chunk = keys.slice(0, MOST_READS);
      const last = chunk.at(-1) ?? from;
      yield { from, to: last, keys: chunk };
      from = last;
    }
  }
}

interface Row {
  readonly key: string;
  /** Milliseconds since the epoch; 0 when nobody can tell. */
  readonly created: number;
  readonly dispatch?: Dispatch;
  readonly view: NoticeView | UnreadableDispatch;
}

async function readRows(
  notices: NoticeStore,
  keys: readonly string[],
  subscription: string,
): Promise<readonly Row[]> {
  const limit = pLimit(PARALLEL);
  const rows = await Promise.all(keys.map((key) => limit(() => readRow(notices, key, subscription))));
  return rows.flat();
}

async function readRow(notices: NoticeStore, key: string, subscription: string): Promise<readonly Row[]> {
  try {
    const dispatch = (await notices.dispatch(key))?.document;
    const notice = dispatch?.notices[subscription];
    if (dispatch === undefined || notice === undefined) return [];
    return [{ key, created: dispatch.created, dispatch, view: noticeView(key, dispatch, notice) }];
  } catch (error) {
    if (codeOf(error) !== 'notice_document_unreadable') throw error;
    return [{ key, created: 0, view: { dispatch: key, unreadable: true } }];
  }
}

function isSince({ events }: Dispatch, since: number | undefined): boolean {
  return since === undefined || events.some(({ time }) => Date.parse(time) >= since);
}

type Position = NonNullable<LogPlace['at']>;

function newestFirst(one: Position, other: Position): number {
  if (one.created !== other.created) return other.created - one.created;
  return one.key > other.key ? -1 : 1;
}

function isAfter(row: Position, at: Position): boolean {
  return newestFirst(at, row) < 0;
}

function pageOf(rows: readonly Row[], next: LogPlace | undefined): LogPage {
  return {
    notices: rows.map(({ view }) => view),
    ...(next === undefined ? {} : { next: writtenPlace(next) }),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
