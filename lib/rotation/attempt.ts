import { backoff } from './backoff.ts';
import { withEvent } from './outbox.ts';
import { outgoing } from './retirement.ts';
import { driftEvent, failedEvent, rotatedEvent } from './rotation-events.ts';
import type { Created, Handle } from './rotators/rotator.ts';
import { appointment } from './schedule.ts';
import type { Specification } from './specification.ts';
import type { FailedStep, PastRotation, Retiring, RotationState } from './state.ts';

/** One attempt at a new generation: what each of its steps makes of the state. Pure. Times in milliseconds, by Vault's clock. */

/** How long one worker has for the step `create` before another may discard its attempt. */
export const CREATE_CLAIM_MS = 120_000;
/**
 * The same for `apply`, which cannot be fenced. It is longer than any function may live (AWS Lambda: 900 s), so that nobody who still
 * runs is taken over.
 */
export const APPLY_CLAIM_MS = 960_000;
const KEPT_HISTORY = 10;

export interface Claimant {
  readonly att: string;
  readonly owner: string;
  /** What is recorded so that whatever this attempt makes can be found. */
  readonly intent?: Handle | undefined;
}

/** None is ever used twice, not even of a secret that was removed and specified again. */
export function nextGeneration({ top, cur }: RotationState): number {
  return Math.max(top, cur?.g ?? 0) + 1;
}

/** A new attempt at the next generation. */
export function begun(
  state: RotationState,
  { att, owner, intent }: Claimant,
  spec: Specification,
  now: number,
): RotationState {
  return {
    ...state,
    phase: 'create',
    att,
    owner,
    intent,
    kind: spec.kind,
    g: nextGeneration(state),
    claimUntil: now + CREATE_CLAIM_MS,
    h: undefined,
    endsAt: undefined,
    ttlMs: undefined,
    pv: undefined,
    failed: undefined,
    marks: { begun: now },
  };
}

/** The fence: a takeover discards the old attempt, so that its worker, should it wake, can record nothing. */
export function takenOver(state: RotationState, claimant: Claimant, now: number): RotationState {
  return {
    ...state,
    att: claimant.att,
    owner: claimant.owner,
    intent: claimant.intent,
    claimUntil: now + CREATE_CLAIM_MS,
    sweep: swept(state),
    reap: reaped(state, now),
  };
}

/** What cannot be fenced goes on under the same attempt, by another worker. */
export function applyTakenOver(state: RotationState, owner: string, now: number): RotationState {
  return { ...state, owner, claimUntil: now + APPLY_CLAIM_MS };
}

export function recorded(state: RotationState, made: Omit<Created, 'value'>, now: number): RotationState {
  return {
    ...state,
    h: made.handle,
    endsAt: made.endsAt,
    ttlMs: made.ttlMs,
    marks: marked(state, 'create', now),
  };
}

/** Out of its attempt's short life. `applies`: its kind has something to apply, which `owner` then does. */
export function kept(state: RotationState, owner: string, applies: boolean, now: number): RotationState {
  const next = { ...state, marks: marked(state, 'keep', now) };
  if (!applies) return { ...next, phase: 'test', claimUntil: now + CREATE_CLAIM_MS };
  return { ...next, phase: 'apply', owner, claimUntil: now + APPLY_CLAIM_MS };
}

export function applied(state: RotationState, handle: Handle, now: number): RotationState {
  return {
    ...state,
    phase: 'test',
    h: handle,
    claimUntil: now + CREATE_CLAIM_MS,
    marks: marked(state, 'apply', now),
  };
}

/** Tested: from here on the version that publishing replaces is fixed, so that a worker that slept cannot publish over a later one. */
export function tested(state: RotationState, pv: number, spec: Specification, now: number): RotationState {
  const next: RotationState = { ...state, phase: 'promote', pv, marks: marked(state, 'test', now) };
  return isOurs(state, pv, spec)
    ? next
    : { ...next, outbox: withEvent(state, overwritten(state, pv, spec, now)) };
}

/** Whether what is at the published path is what we put there, or what was there before we ever published. */
export function isOurs(state: RotationState, version: number, spec: Specification): boolean {
  const { published } = state.cur ?? {};
  return published === undefined || published.path !== spec.publish || published.version === version;
}

/** Somebody wrote to the published path between test and promote: it is said, then replaced. */
export function overtaken(state: RotationState, pv: number, spec: Specification, now: number): RotationState {
  return { ...state, pv, outbox: withEvent(state, overwritten(state, pv, spec, now)) };
}

function overwritten(state: RotationState, version: number, spec: Specification, now: number) {
  return driftEvent(state, spec, { what: 'published_value_changed', mark: version }, now);
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

/** The pending generation will not do. `retryAfterMs`: how long the other side wants to be left alone. */
export function failedAt(
  state: RotationState,
  step: FailedStep,
  code: string,
  retryAfterMs?: number,
): RotationState {
  return { ...state, phase: 'undo', failed: { step, code, retryAfterMs } };
}

/**
 * Back to idle. The handle goes on the retiring list, where it stays until the credential is surely revoked; what was made without a
 * handle is looked for. The current generation is kept, and the next try comes after a backoff.
 */
export function undone(
  state: RotationState,
  spec: Specification,
  now: number,
  random: () => number,
): RotationState {
  const failures = state.failures + 1;
  const { g, h, again, kind = spec.kind } = state;
  // What was asked for meanwhile may be what was missing.
  const wait = again === undefined ? Math.max(backoff(failures, random), state.failed?.retryAfterMs ?? 0) : 0;
  const due = now + wait;
  const retiring: Retiring[] =
    h === undefined || g === undefined
      ? state.retiring
      : [...state.retiring, outgoing({ g, kind, h }, 'undone', now)];
  return {
    ...idle(state),
    ...(again === undefined || state.reason === 'leak' ? {} : again),
    again: undefined,
    failures,
    due,
    retiring,
    reap: h === undefined ? reaped(state, now) : state.reap,
    outbox: withEvent(state, failedEvent(state, spec, { failures, due }, now)),
  };
}

/**
 * A value that a person supplied was taken by the rotation before this one: there is nothing to do, and nothing to tell. Back to the
 * schedule.
 */
export function nothingLeft(
  state: RotationState,
  spec: Specification,
  now: number,
  spread: number,
): RotationState {
  const next = state.cur === undefined ? undefined : appointment(spec, state.cur, spread);
  return {
    ...idle(state),
    reason: 'schedule',
    by: undefined,
    failures: 0,
    due: next === undefined ? undefined : Math.max(now, next.due),
    closes: next?.closes,
  };
}

/** The new generation is current, and the one before it begins its grace. */
export function promoted(
  state: RotationState,
  spec: Specification,
  now: number,
  spread: number,
): RotationState {
  const { g, h, pv, cur, again, endsAt, ttlMs, kind = spec.kind } = state;
  if (g === undefined || h === undefined || pv === undefined) return state;
  const leaked = state.reason === 'leak';
  const published = spec.publish === undefined ? undefined : { path: spec.publish, version: pv + 1 };
  const next = appointment(spec, { since: now, endsAt, ttlMs }, spread);
  return {
    ...idle(state),
    reason: again?.reason ?? 'schedule',
    by: again?.by,
    again: undefined,
    failures: 0,
    top: g,
    cur: { g, kind, h, published, since: now, endsAt, ttlMs },
    retiring: [
      ...(leaked ? state.retiring.map((one) => leakedToo(one, now)) : state.retiring),
      ...(cur === undefined ? [] : [onItsWay(cur, leaked, spec, now)]),
    ],
    due: again === undefined ? next?.due : now,
    closes: again === undefined ? next?.closes : undefined,
    acks: Object.fromEntries(spec.consumers.map((consumer) => [consumer, state.acks[consumer] ?? 0])),
    verifyAt: now + spec.verify_every,
    drift: undefined,
    history: [pastRotation(state, g, now), ...state.history].slice(0, KEPT_HISTORY),
    outbox: withEvent(state, rotatedEvent(state, spec, { g, version: published?.version, leaked }, now)),
  };
}

function onItsWay(
  cur: NonNullable<RotationState['cur']>,
  leaked: boolean,
  spec: Specification,
  now: number,
): Retiring {
  return leaked
    ? outgoing(cur, 'leak', now)
    : outgoing(cur, 'replaced', now + spec.grace, now + spec.deadline);
}

/** A leak is reported of the secret, not of one generation: what is still in its grace may be what leaked. */
function leakedToo(one: Retiring, now: number): Retiring {
  return one.why === 'replaced' ? { ...one, why: 'leak', notBefore: now, deadline: now } : one;
}

function pastRotation(state: RotationState, g: number, now: number): PastRotation {
  const { begun = now, ...done } = state.marks;
  const took: Record<string, number> = {};
  let before = begun;
  for (const [step, at] of Object.entries({ ...done, promote: now }).toSorted(([, a], [, b]) => a - b)) {
    took[step] = at - before;
    before = at;
  }
  const { kind = '', reason, by, failures } = state;
  return { g, kind, reason, by, begun, promoted: now, took, failures };
}

function marked(state: RotationState, step: string, now: number): RotationState['marks'] {
  return { ...state.marks, [step]: now };
}

function swept(state: RotationState): string[] {
  return state.att === undefined ? state.sweep : [...state.sweep, state.att];
}

function reaped(state: RotationState, now: number): RotationState['reap'] {
  const { att, kind, intent } = state;
  if (att === undefined || kind === undefined || intent === undefined) return state.reap;
  return [...state.reap, { att, kind, intent, since: now, next: now, tries: 0 }];
}

function idle(state: RotationState): RotationState {
  return {
    ...state,
    sweep: swept(state),
    phase: 'idle',
    att: undefined,
    g: undefined,
    kind: undefined,
    intent: undefined,
    h: undefined,
    endsAt: undefined,
    ttlMs: undefined,
    pv: undefined,
    owner: undefined,
    claimUntil: undefined,
    retryAt: undefined,
    failed: undefined,
    closes: undefined,
    marks: {},
  };
}
