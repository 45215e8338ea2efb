import { isDeepStrictEqual } from 'node:util';
import { adoption, adoptionAt, idleForMs, waitingFor } from './adoption.ts';
import { backoff } from './backoff.ts';
import { withEvent } from './outbox.ts';
import { overdueEvent, retiredEvent, retireFailingEvent } from './rotation-events.ts';
import type { Specification } from './specification.ts';
import type { Retiring, RotationState } from './state.ts';

/**
 * Old generations: when one may go, and what its going, or its failing to go, makes of the state. Pure. A generation goes when its grace
 * is over and every named consumer has acknowledged a later one, or there is evidence that it is idle, or its deadline has passed.
 */

/** How often it is looked whether a generation is adopted: so many times until its deadline, within these bounds. */
const LOOKS = 20;
const SHORTEST_LOOK_MS = 10_000;
const LONGEST_LOOK_MS = 600_000;
/** A revocation that has failed so often is told. */
const FAILURES_TOLD = 3;

/** When this one needs a worker next. */
export function retirementDue(one: Retiring, state: RotationState, spec: Specification): number {
  const looked = adoptionAt(one, spec);
  if (one.why !== 'replaced' || looked === undefined) return Math.max(one.notBefore, one.retryAt);
  const idleFor = idleForMs(spec);
  const ripe = [
    ...(adoption(one, state, spec, one.notBefore) === undefined ? [] : [one.notBefore]),
    ...(one.idleSince === undefined || idleFor === undefined ? [] : [one.idleSince + idleFor]),
    ...(spec.at_deadline === 'retire' ? [one.deadline] : []),
  ].map((time) => Math.max(one.notBefore, one.retryAt, time));
  const told = spec.at_deadline === 'keep' && !one.overdue ? [one.deadline] : [];
  return Math.min(looked, ...ripe, ...told);
}

/** A generation that is to go: from `notBefore` on, at the latest at `deadline` unless it is kept past that. */
export function outgoing(
  { g, kind, h, published }: Pick<Retiring, 'g' | 'kind' | 'h' | 'published'>,
  why: Retiring['why'],
  notBefore: number,
  deadline: number = notBefore,
): Retiring {
  return {
    g,
    kind,
    h,
    published,
    why,
    notBefore,
    deadline,
    failures: 0,
    retryAt: 0,
    lookAt: 0,
    overdue: false,
  };
}

/** What was found out about the use of one generation. */
export interface Looked {
  /** The highest generation that each consumer has acknowledged. */
  readonly acks: Readonly<Record<string, number>>;
  readonly use: 'idle' | 'in_use' | 'unknown';
}

/** Takes down what was found. `look` is false when somebody else sent us here: the next look stays when it was. */
export function looked(
  state: RotationState,
  one: Retiring,
  found: Looked,
  now: number,
  look: boolean,
): RotationState {
  const current = state.cur?.g ?? 0;
  // An acknowledgement of what is not there yet would speak for a generation that nobody has seen.
  const known = Object.entries(found.acks).filter(
    ([consumer, g]) => g <= current && g > (state.acks[consumer] ?? 0),
  );
  const idleSince = found.use === 'idle' ? (one.idleSince ?? now) : undefined;
  const lookAt = look ? now + lookInterval(one) : one.lookAt;
  if (known.length === 0 && idleSince === one.idleSince && lookAt === one.lookAt) return state;
  return {
    ...state,
    acks: { ...state.acks, ...Object.fromEntries(known) },
    retiring: replaced(state, one, { ...one, idleSince, lookAt }),
  };
}

function lookInterval(one: Retiring): number {
  const spaced = (one.deadline - one.notBefore) / LOOKS;
  return Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, spaced));
}

/** A generation's credential is surely revoked. */
export function retired(
  state: RotationState,
  one: Retiring,
  spec: Specification,
  now: number,
): RotationState {
  const retiring = state.retiring.filter((each) => !isSame(each, one));
  if (one.why === 'undone') return { ...state, retiring };
  const event = retiredEvent(state, one, spec, now);
  const history = state.history.map((past) =>
    past.g === one.g ? { ...past, retired: now, retiredBecause: event.data.reason } : past,
  );
  return { ...state, retiring, history, outbox: withEvent(state, event) };
}

/** A revocation that failed is tried again until it succeeds, and is visible until then. */
export function retireFailed(
  state: RotationState,
  one: Retiring,
  spec: Specification,
  code: string,
  now: number,
  random: () => number,
): RotationState {
  const failures = one.failures + 1;
  const failing = { ...one, failures, failed: code, retryAt: now + backoff(failures, random) };
  const retiring = replaced(state, one, failing);
  if (failures !== FAILURES_TOLD) return { ...state, retiring };
  return { ...state, retiring, outbox: withEvent(state, retireFailingEvent(failing, spec, now)) };
}

/** The deadline has passed, and the specification has the old one kept: that is told once. */
export function overdue(
  state: RotationState,
  one: Retiring,
  spec: Specification,
  now: number,
): RotationState {
  return {
    ...state,
    retiring: replaced(state, one, { ...one, overdue: true }),
    outbox: withEvent(state, overdueEvent(one, waitingFor(one, state, spec), spec, now)),
  };
}

function replaced(state: RotationState, one: Retiring, by: Retiring): Retiring[] {
  return state.retiring.map((each) => (isSame(each, one) ? by : each));
}

function isSame(a: Retiring, b: Retiring): boolean {
  return a.g === b.g && isDeepStrictEqual(a.h, b.h);
}
