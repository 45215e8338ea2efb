import { createHash } from 'node:crypto';
import * as z from 'zod';
import { BATCH_TYPE, type Outcome, outcomeSchema } from '../bus/events.ts';
import { isDue, type Notice, noticeSchema } from './notice.ts';

/**
 * One event, or one batch of events, on its way to all subscriptions that want it: a notice for each. One document holds them all, so that
 * an event to a hundred endpoints costs Vault hardly more than an event to one. Its key is `<day>/<id>`.
 */
export const dispatchSchema = z.object({
  /** One; more in a batch. */
  events: z.array(outcomeSchema).min(1),
  /** Milliseconds since the epoch. */
  created: z.number(),
  /** By subscription. */
  notices: z.record(z.string(), noticeSchema),
});
export type Dispatch = z.infer<typeof dispatchSchema>;

/** The key of a dispatch, as somebody else gives it: it stands in a path in Vault. */
export const dispatchKeySchema = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}\/[A-Za-z0-9_-]{1,64}$/, 'expected the key of a dispatch');

const DAY_MS = 24 * 3_600_000;

/** Dispatches stay this long: for replay, and so that a late duplicate of an event is not sent again. */
export const KEPT_MS = 15 * DAY_MS;

/** A notice's body is smaller than this, in bytes (Standard Webhooks: "Payload size"). */
export const MOST_BODY_BYTES = 20_000;

const BATCH = 'bat_';

/** The UTC day of a moment, `2026-11-21`. Dispatches of one day are in one folder, and go together. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

/** When the dispatches of a day go, in milliseconds since the epoch: the last of that day has then been kept for long enough. */
export function endOfKeeping(day: string): number {
  return Date.parse(`${day}T00:00:00Z`) + DAY_MS + KEPT_MS;
}

/** Where an event's dispatch is: the same however often the event comes, so that it is sent once. */
export function keyOf(event: Outcome): string {
  return `${dayOf(Date.parse(event.time))}/${event.id}`;
}

/** Where the batch is that closed at that time: the same for the same events to the same subscription. */
export function batchKeyOf(subscription: string, events: readonly Outcome[], closes: number): string {
  const ids = events.map(({ id }) => id).toSorted();
  const digest = createHash('sha256')
    .update(JSON.stringify([subscription, ...ids]))
    .digest('base64url');
  return `${dayOf(closes)}/${BATCH}${digest.slice(0, 27)}`;
}

/** What receivers drop repeats by: the event's own id, or the batch's. */
export function noticeIdOf(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}

function isBatch(key: string): boolean {
  return noticeIdOf(key).startsWith(BATCH);
}

/** Standard Webhooks' body: type, timestamp, data. A batch's has the notices that it stands for, with their ids. */
export function noticeBody(key: string, { events, created }: Pick<Dispatch, 'events' | 'created'>): string {
  const [event] = events;
  if (event !== undefined && !isBatch(key)) return eventBody(event);
  const notices = events.map((one) => ({ id: one.id, ...contentOf(one) }));
  return JSON.stringify({ type: BATCH_TYPE, timestamp: new Date(created).toISOString(), data: { notices } });
}

/** The body of a notice of one event. */
export function eventBody(event: Outcome): string {
  return JSON.stringify(contentOf(event));
}

function contentOf({ type, time, data }: Outcome) {
  return { type, timestamp: time, data };
}

/** The type that its body has. */
export function typeOf(key: string, { events: [event] }: Pick<Dispatch, 'events'>): string {
  return event === undefined || isBatch(key) ? BATCH_TYPE : event.type;
}

/** Events in as few groups as have bodies that are small enough, in their order. */
export function inBatches(events: readonly Outcome[]): readonly (readonly Outcome[])[] {
  const groups: Outcome[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const event of events) {
    const size = Buffer.byteLength(JSON.stringify({ id: event.id, ...contentOf(event) })) + 1;
    if (bytes + size > MOST_BODY_BYTES - ENVELOPE_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(event);
    bytes += size;
  }
  return groups;
}

/** Room for what stands around the notices of a batch. */
const ENVELOPE_BYTES = 200;

/** When the first of its notices is due; undefined: never. */
export function dueOf({ notices }: Dispatch): number | undefined {
  const pending = Object.values(notices).flatMap(({ state, due }) => (state === 'pending' ? [due] : []));
  return pending.length === 0 ? undefined : Math.min(...pending);
}

/** The subscriptions whose notices are due. */
export function dueNotices({ notices }: Dispatch, now: number): readonly string[] {
  return Object.entries(notices).flatMap(([id, notice]) => (isDue(notice, now) ? [id] : []));
}

/** The dispatch with one notice changed; the same object when it stays as it was, or is not there. */
export function withNotice(
  dispatch: Dispatch,
  subscription: string,
  change: (notice: Notice) => Notice,
): Dispatch {
  const notice = dispatch.notices[subscription];
  if (notice === undefined) return dispatch;
  const changed = change(notice);
  return changed === notice
    ? dispatch
    : { ...dispatch, notices: { ...dispatch.notices, [subscription]: changed } };
}
