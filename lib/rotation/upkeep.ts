import type { RotationReason } from '../bus/events.ts';
import { backoff } from './backoff.ts';
import { withEvent } from './outbox.ts';
import { outgoing } from './retirement.ts';
import { driftEvent, removedEvent } from './rotation-events.ts';
import { appointment, nextWindow } from './schedule.ts';
import type { Specification } from './specification.ts';
import type { Reap, RotationState } from './state.ts';

/** What happens to a managed secret beside its attempts: it is asked for, paused, removed, verified. Pure. Times in milliseconds. */

const HOUR_MS = 3_600_000;
/** An abandoned attempt is looked for at these times after it was given up; the last one ends the search. */
const REAP_AFTER_MS = [60_000, 300_000, 1_800_000, 2 * HOUR_MS, 8 * HOUR_MS, 24 * HOUR_MS];

export interface Demand {
  readonly reason: RotationReason;
  /** Who asks, as Vault names them. */
  readonly by?: string | undefined;
}

/**
 * A rotation that somebody or something asks for. One that is under way already is as good, unless it cannot hold what is asked for: a
 * value that a person has supplied meanwhile.
 */
export function demanded(state: RotationState, { reason, by }: Demand, now: number): RotationState {
  if (state.phase !== 'idle') {
    if (reason === 'leak') return { ...state, reason, by };
    return reason === 'supplied' ? { ...state, again: { reason, by } } : state;
  }
  const waits = state.due !== undefined && state.due <= now && state.reason !== 'schedule';
  // A leak is no reason like another: it takes the grace away, and nothing that is asked for after it gives that back.
  if (waits && reason !== 'leak') return state;
  const why = state.reason === 'leak' ? { reason: state.reason, by: state.by } : { reason, by };
  return { ...state, due: now, closes: undefined, ...why };
}

/** A scheduled rotation has missed its window. */
export function postponed(
  state: RotationState,
  spec: Specification,
  now: number,
  spread: number,
): RotationState {
  const next = nextWindow(spec, now, spread);
  return { ...state, due: next?.due, closes: next?.closes };
}

/** A new schedule counts from the last rotation. A rotation that was asked for, or is being retried, stays due when it was. */
export function rescheduled(state: RotationState, spec: Specification, spread: number): RotationState {
  if (state.phase !== 'idle' || state.cur === undefined || state.reason !== 'schedule' || state.failures > 0)
    return state;
  const { since, endsAt, ttlMs } = state.cur;
  const next = appointment(spec, { since, endsAt, ttlMs }, spread);
  const verifyAt = Math.min(state.verifyAt ?? Number.POSITIVE_INFINITY, since + spec.verify_every);
  return { ...state, due: next?.due, closes: next?.closes, verifyAt };
}

/** Nothing begins and nothing retires until it is resumed; an attempt that is under way goes on. */
export function paused(state: RotationState, by: string | undefined, now: number): RotationState {
  return state.paused === undefined ? { ...state, paused: { at: now, by } } : state;
}

export function resumed(state: RotationState): RotationState {
  return state.paused === undefined ? state : { ...state, paused: undefined };
}

/** Nobody wants it managed any more. What becomes of its credentials is done in the step `dismiss`. */
export function removed(
  state: RotationState,
  credentials: 'revoke' | 'keep',
  by: string | undefined,
  now: number,
): RotationState {
  if (state.removed !== undefined) return state;
  return { ...state, paused: undefined, removed: { at: now, by, credentials } };
}

/** Revoking them: the current generation begins its grace. Keeping them: they are forgotten, and end when they end by themselves. */
export function dismissed(state: RotationState, spec: Specification, now: number): RotationState {
  const revoke = state.removed?.credentials === 'revoke';
  const { cur } = state;
  const last = cur === undefined ? [] : [outgoing(cur, 'removed', now + spec.grace)];
  return {
    ...state,
    cur: undefined,
    top: Math.max(state.top, cur?.g ?? 0),
    due: undefined,
    closes: undefined,
    verifyAt: undefined,
    again: undefined,
    retiring: revoke ? [...state.retiring, ...last] : [],
    outbox: withEvent(state, removedEvent(state, spec, now)),
  };
}

/** Specified again after it was removed: generations go on from where they were. */
export function restored(state: RotationState, fresh: RotationState): RotationState {
  if (state.removed === undefined) return state;
  const { cur } = state;
  return {
    ...state,
    removed: undefined,
    ...(cur === undefined ? { due: fresh.due, reason: fresh.reason, failures: 0 } : {}),
  };
}

/**
 * Nothing has changed behind our back, or `found` has. What is found is told once for a generation, and mended by a rotation unless the
 * specification says otherwise. `mark` tells one finding from a later one of the same sort.
 */
export function verified(
  state: RotationState,
  found: { readonly what: string; readonly mark: string | number } | undefined,
  spec: Specification,
  now: number,
): RotationState {
  const next: RotationState = { ...state, verifyAt: now + spec.verify_every };
  if (found === undefined) return { ...next, drift: undefined };
  const drift = `${found.what} ${found.mark}`;
  if (state.drift === drift) return next;
  const told: RotationState = {
    ...next,
    drift,
    outbox: withEvent(state, driftEvent(state, spec, found, now)),
  };
  return spec.on_drift === 'rotate' ? demanded(told, { reason: 'drift' }, now) : told;
}

/** An abandoned attempt was looked for. The last search ends it, unless it failed. */
export function reapedOnce(state: RotationState, one: Reap, now: number): RotationState {
  const after = REAP_AFTER_MS[one.tries];
  if (after === undefined) return { ...state, reap: state.reap.filter(({ att }) => att !== one.att) };
  const next = Math.max(now, one.since + after);
  return withReap(state, { ...one, tries: one.tries + 1, next, failed: undefined });
}

export function reapFailed(
  state: RotationState,
  one: Reap,
  failed: { readonly code: string; readonly retryAfterMs?: number | undefined },
  now: number,
  random: () => number,
): RotationState {
  const wait = Math.max(backoff(Math.max(1, one.tries), random), failed.retryAfterMs ?? 0);
  return withReap(state, { ...one, tries: one.tries + 1, next: now + wait, failed: failed.code });
}

function withReap(state: RotationState, one: Reap): RotationState {
  return { ...state, reap: state.reap.map((each) => (each.att === one.att ? one : each)) };
}
