import type { Outcome, RotationReason } from '../bus/events.ts';
import { driftEvent, failedEvent, retiredEvent, rotatedEvent } from './rotation-events.ts';
import type { Handle } from './rotators/rotator.ts';
import { nextBySchedule, type Specification } from './specification.ts';
import type { FailedStep, Retiring, RotationState } from './state.ts';

/**
 * The rotation machine, pure: what to do next, and what each thing done makes of the state. Every arrow is one check-and-set write, and
 * every step may be entered again. `now` is Vault's time in milliseconds.
 */

export type Step =
  | { readonly kind: 'rest' }
  | { readonly kind: 'begin' }
  | { readonly kind: 'take-over' }
  | { readonly kind: 'create' | 'keep' | 'apply' | 'test' | 'promote' | 'undo' }
  | { readonly kind: 'retire'; readonly generation: Retiring };

/** How long one worker has for the step `create` before another may discard its attempt. */
export const CREATE_CLAIM_MS = 120_000;
const FIRST_BACKOFF_MS = 10_000;
const LONGEST_BACKOFF_MS = 3_600_000;

/** What `me` does next. The outbox is not a step: it is emptied beside them, so that a bus that is down holds up no rotation. */
export function nextStep(state: RotationState, now: number, me: string): Step {
  const generation = state.retiring.find((one) => now >= one.retryAt && mayRetire(one, state, now));
  if (generation !== undefined) return { kind: 'retire', generation };
  switch (state.phase) {
    case 'idle':
      return state.due !== undefined && state.due <= now ? { kind: 'begin' } : { kind: 'rest' };
    case 'create':
      if (state.h !== undefined) return { kind: 'keep' };
      if (state.owner === me) return { kind: 'create' };
      return now < (state.claimUntil ?? 0) ? { kind: 'rest' } : { kind: 'take-over' };
    default:
      return now < (state.retryAt ?? 0) ? { kind: 'rest' } : { kind: state.phase };
  }
}

/** The old one works until the new one does: the grace is over, and its consumers have moved or the deadline has passed. */
export function mayRetire(one: Retiring, state: RotationState, now: number): boolean {
  if (now < one.notBefore) return false;
  return now >= one.deadline || isAdopted(one, state);
}

/** Without named consumers there is nobody to wait for: `acks` then has no entry, and the grace alone decides. */
function isAdopted(one: Retiring, state: RotationState): boolean {
  return Object.values(state.acks).every((acknowledged) => acknowledged > one.g);
}

/** When the document needs a worker; undefined: never by itself. The agenda's hint is never later than this. */
export function dueOf(state: RotationState): number | undefined {
  const times = [
    ...(isTidy(state) ? [] : [0]),
    ...state.retiring.map((one) =>
      Math.max(one.retryAt, isAdopted(one, state) ? one.notBefore : one.deadline),
    ),
    // Under way: its worker has until the end of the claim; should it die, another comes then.
    ...(state.phase === 'idle'
      ? state.due === undefined
        ? []
        : [state.due]
      : [state.retryAt ?? state.claimUntil ?? 0]),
  ];
  return times.length === 0 ? undefined : Math.min(...times);
}

/** A new attempt at the next generation. */
export function begun(state: RotationState, att: string, owner: string, now: number): RotationState {
  return {
    ...state,
    phase: 'create',
    att,
    owner,
    g: (state.cur?.g ?? 0) + 1,
    claimUntil: now + CREATE_CLAIM_MS,
    h: undefined,
    pv: undefined,
    failed: undefined,
  };
}

/** The fence: a takeover discards the old attempt, so that its worker, should it wake, can record nothing. */
export function takenOver(state: RotationState, att: string, owner: string, now: number): RotationState {
  return {
    ...state,
    att,
    owner,
    claimUntil: now + CREATE_CLAIM_MS,
    sweep: swept(state),
  };
}

export function recorded(state: RotationState, h: Handle): RotationState {
  return { ...state, h };
}

export function kept(state: RotationState): RotationState {
  return { ...state, phase: 'apply' };
}

export function applied(state: RotationState): RotationState {
  return { ...state, phase: 'test' };
}

/** Tested: from here on the version that publishing replaces is fixed, so that a worker that slept cannot publish over a later one. */
export function tested(state: RotationState, pv: number, spec: Specification, now: number): RotationState {
  const ours = state.cur === undefined || state.cur.version === pv;
  return {
    ...state,
    phase: 'promote',
    pv,
    outbox: ours ? state.outbox : withEvent(state, driftEvent(state, spec, now)),
  };
}

/** Somebody wrote to the published path between test and promote: it is said, then replaced. */
export function overtaken(state: RotationState, pv: number, spec: Specification, now: number): RotationState {
  return { ...state, pv, outbox: withEvent(state, driftEvent(state, spec, now)) };
}

/**
 * Publishing was refused. It may have gone through at an earlier try whose answer was lost, so nothing is undone: it is said, and tried
 * again after a backoff, while the current generation stays.
 */
export function promoteRefused(
  state: RotationState,
  spec: Specification,
  code: string,
  now: number,
  random: () => number,
): RotationState {
  const failures = state.failures + 1;
  const retryAt = now + backoff(failures, random);
  const refused: RotationState = { ...state, failures, retryAt, failed: { step: 'promote', code } };
  return {
    ...refused,
    outbox: withEvent(state, failedEvent(refused, spec, { failures, due: retryAt }, now)),
  };
}

/** The pending generation will not do. */
export function failedAt(state: RotationState, step: FailedStep, code: string): RotationState {
  return { ...state, phase: 'undo', failed: { step, code } };
}

/**
 * Back to idle. The handle goes on the retiring list, where it stays until the credential is surely revoked; the current generation
 * is kept, and the next try comes after a backoff.
 */
export function undone(
  state: RotationState,
  spec: Specification,
  now: number,
  random: () => number,
): RotationState {
  const failures = state.failures + 1;
  const due = now + backoff(failures, random);
  const retiring: Retiring[] =
    state.h === undefined || state.g === undefined
      ? state.retiring
      : [
          ...state.retiring,
          { g: state.g, h: state.h, notBefore: now, deadline: now, why: 'undone', failures: 0, retryAt: now },
        ];
  return {
    ...idle(state),
    failures,
    due,
    retiring,
    outbox: withEvent(state, failedEvent(state, spec, { failures, due }, now)),
  };
}

/** The new generation is current, and the one before it begins its grace. */
export function promoted(
  state: RotationState,
  spec: Specification,
  now: number,
  spread: number,
): RotationState {
  const { g, h, pv, cur } = state;
  if (g === undefined || h === undefined || pv === undefined) return state;
  const leaked = state.reason === 'leak';
  const version = pv + 1;
  const retiring: Retiring[] =
    cur === undefined
      ? state.retiring
      : [
          ...state.retiring,
          {
            g: cur.g,
            h: cur.h,
            notBefore: leaked ? now : now + spec.grace,
            deadline: leaked ? now : now + spec.deadline,
            why: leaked ? 'leak' : 'replaced',
            failures: 0,
            retryAt: 0,
          },
        ];
  const event = rotatedEvent(state, spec, { g, version, leaked }, now);
  return {
    ...idle(state),
    reason: 'schedule',
    failures: 0,
    cur: { g, h, version, since: now },
    retiring,
    due: nextBySchedule(spec, now, spread),
    acks: Object.fromEntries(spec.consumers.map((consumer) => [consumer, state.acks[consumer] ?? 0])),
    outbox: withEvent(state, event),
  };
}

/** A generation's credential is surely revoked. */
export function retired(
  state: RotationState,
  one: Retiring,
  spec: Specification,
  now: number,
): RotationState {
  const retiring = state.retiring.filter(({ g, h }) => g !== one.g || !sameHandle(h, one.h));
  if (one.why === 'undone') return { ...state, retiring };
  const event = retiredEvent(state, one, spec, now);
  return { ...state, retiring, outbox: withEvent(state, event) };
}

/** A revocation that failed is tried again until it succeeds, and is visible until then. */
export function retireFailed(
  state: RotationState,
  one: Retiring,
  now: number,
  random: () => number,
): RotationState {
  return {
    ...state,
    retiring: state.retiring.map((each) =>
      each.g === one.g && sameHandle(each.h, one.h)
        ? { ...each, failures: each.failures + 1, retryAt: now + backoff(each.failures + 1, random) }
        : each,
    ),
  };
}

/** A rotation that somebody or something asks for. One that is under way already is as good. */
export function demanded(state: RotationState, reason: RotationReason, now: number): RotationState {
  if (state.phase !== 'idle') return reason === 'leak' ? { ...state, reason } : state;
  const waits = state.due !== undefined && state.due <= now && state.reason !== 'schedule';
  // A leak is no reason like another: it takes the grace away.
  if (waits && reason !== 'leak') return state;
  return { ...state, due: now, reason };
}

/** Whether nothing is left to publish or to sweep. */
export function isTidy(state: RotationState): boolean {
  return Object.keys(state.outbox).length === 0 && state.sweep.length === 0;
}

/** Clears exactly the events that the bus has taken, and the attempts whose pending values are deleted. */
export function tidied(
  state: RotationState,
  taken: ReadonlySet<string>,
  deleted: ReadonlySet<string>,
): RotationState {
  return {
    ...state,
    outbox: Object.fromEntries(Object.entries(state.outbox).filter(([id]) => !taken.has(id))),
    sweep: state.sweep.filter((att) => !deleted.has(att)),
  };
}

function swept(state: RotationState): string[] {
  return state.att === undefined ? state.sweep : [...state.sweep, state.att];
}

function idle(state: RotationState): RotationState {
  return {
    ...state,
    sweep: swept(state),
    phase: 'idle',
    att: undefined,
    g: undefined,
    h: undefined,
    pv: undefined,
    owner: undefined,
    claimUntil: undefined,
    retryAt: undefined,
    failed: undefined,
  };
}

function backoff(failures: number, random: () => number): number {
  const bound = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (failures - 1));
  return Math.floor(bound * (0.8 + 0.4 * random()));
}

function withEvent(state: RotationState, event: Outcome): RotationState['outbox'] {
  return { ...state.outbox, [event.id]: event };
}

function sameHandle(a: Handle, b: Handle): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
