import * as z from 'zod';
import { nextAttempt } from './schedule.ts';

/** What is kept of an attempt. */
const attemptSchema = z.object({
  /** When it was begun, in milliseconds since the epoch. */
  at: z.number(),
  /** The answer's status; none when no answer came. */
  status: z.number().optional(),
  /** Why no answer came: a reason of delivery-failure.ts. */
  reason: z.string().optional(),
  duration_ms: z.number().optional(),
});
export type Attempt = z.infer<typeof attemptSchema>;

/** One notice: an event, or a batch of them, for one subscription. */
export const noticeSchema = z.object({
  /** `gathered`: it travels in a batch, which is a notice of its own. */
  state: z.enum(['pending', 'delivered', 'failed', 'gathered']),
  /** While it is pending: when the next attempt may begin, in milliseconds since the epoch. */
  due: z.number(),
  /** Attempts by the present schedule, counted before they are made. */
  tries: z.number(),
  /** The last ones, oldest first. */
  attempts: z.array(attemptSchema),
  /** The first bytes of the last answer, redacted. */
  answer: z.string().optional(),
});
export type Notice = z.infer<typeof noticeSchema>;

/** What an attempt came to. `answer` is redacted. */
export type AttemptResult =
  | {
      readonly kind: 'delivered' | 'gone';
      readonly status: number;
      readonly durationMs: number;
      readonly answer?: string;
    }
  | {
      readonly kind: 'retry';
      readonly status?: number;
      readonly reason?: string;
      readonly durationMs?: number;
      readonly retryAfterMs?: number;
      readonly answer?: string;
    };

/**
 * How long an attempt that was counted keeps others from the notice, in milliseconds. Within it comes the wait for the endpoint's turn,
 * and the sender's own limit of 15 s.
 */
export const IN_FLIGHT_MS = 60_000;
/** What must be left of it when the sending begins. */
const LEAST_LEFT_MS = 20_000;
/** A replayed notice has had more than one schedule. */
const MOST_KEPT = 12;

export function newNotice(now: number): Notice {
  return { state: 'pending', due: now, tries: 0, attempts: [] };
}

export function isDue({ state, due }: Notice, now: number): boolean {
  return state === 'pending' && due <= now;
}

/** Whether the schedule has no attempt left, although the last one's result was never written. */
export function isSpent({ tries }: Notice): boolean {
  return tries > 0 && nextAttempt({ attempt: tries, now: 0, random: () => 0 }) === 'exhausted';
}

/**
 * The notice as it is written *before* an attempt is made: counted, and with a next time. A worker that dies while it sends leaves neither
 * a lost notice nor one that is tried without end.
 */
export function begun(notice: Notice, now: number, random: () => number): Notice {
  const tries = notice.tries + 1;
  const next = nextAttempt({ attempt: tries, now, random });
  const due = Math.max(now + IN_FLIGHT_MS, next === 'exhausted' ? 0 : next);
  return { ...notice, tries, due, attempts: [...notice.attempts, { at: now }].slice(-MOST_KEPT) };
}

/** Whether an attempt that waited for its turn can still be made before another worker may take the notice up. */
export function isTimely({ due }: Notice, now: number): boolean {
  return due - now >= LEAST_LEFT_MS;
}

/** The same attempt begun anew, after it has waited long. */
export function begunAgain(notice: Notice, now: number): Notice {
  const due = Math.max(notice.due, now + IN_FLIGHT_MS);
  return { ...notice, due, attempts: [...notice.attempts.slice(0, -1), { at: now }] };
}

/** An attempt that was counted and not made: the endpoint is left alone until `until`. */
export function putOff(notice: Notice, mine: Pick<Notice, 'tries'>, until: number): Notice {
  if (notice.state !== 'pending' || notice.tries !== mine.tries) return notice;
  return { ...notice, tries: notice.tries - 1, attempts: notice.attempts.slice(0, -1), due: until };
}

/** The notice after the attempt that `begun` counted. One that has been settled, or begun anew by others, keeps what they wrote. */
export function judged(
  notice: Notice,
  mine: Pick<Notice, 'tries'>,
  result: AttemptResult,
  now: number,
  random: () => number,
): Notice {
  if (notice.state !== 'pending') return notice;
  if (notice.tries !== mine.tries && result.kind === 'retry') return notice;
  const { answer: _, ...rest } = notice;
  const after = {
    ...rest,
    attempts: withResult(notice.attempts, result),
    ...(result.answer === undefined || result.answer === '' ? {} : { answer: result.answer }),
  };
  if (result.kind === 'delivered') return finished(after, 'delivered');
  if (result.kind === 'gone') return finished(after, 'failed');
  const retryAfterMs = 'retryAfterMs' in result ? result.retryAfterMs : undefined;
  const next = nextAttempt({
    attempt: notice.tries,
    now,
    random,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  return next === 'exhausted' ? finished(after, 'failed') : { ...after, due: next };
}

export function finished(notice: Notice, state: 'delivered' | 'failed'): Notice {
  return { ...notice, state };
}

/**
 * Sent once more, now and with a schedule of its own. An attempt that is being made keeps its time: it may be the one that arrives. The same
 * object when it is due already.
 */
export function replayed(notice: Notice, now: number): Notice {
  const { state, tries, due } = notice;
  if (state === 'pending' && isBeingMade(notice.attempts.at(-1)))
    return tries === 0 ? notice : { ...notice, tries: 0 };
  if (state === 'pending' && tries === 0 && due <= now) return notice;
  return { ...notice, state: 'pending', tries: 0, due: now };
}

function isBeingMade(attempt: Attempt | undefined): boolean {
  return attempt !== undefined && attempt.status === undefined && attempt.reason === undefined;
}

function withResult(attempts: readonly Attempt[], result: AttemptResult): Attempt[] {
  const last = attempts.at(-1);
  if (last === undefined) return [];
  const { status, durationMs } = result;
  const reason = result.kind === 'retry' ? result.reason : undefined;
  return [
    ...attempts.slice(0, -1),
    {
      ...last,
      ...(status === undefined ? {} : { status }),
      ...(reason === undefined ? {} : { reason }),
      ...(durationMs === undefined ? {} : { duration_ms: durationMs }),
    },
  ];
}
