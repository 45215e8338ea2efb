import { adoptionAt, isOverdue, mayRetire } from './adoption.ts';
import { retirementDue } from './retirement.ts';
import type { Specification } from './specification.ts';
import type { Reap, Retiring, RotationState } from './state.ts';

/**
 * The rotation machine, pure: what to do next. What each thing done makes of the state is in attempt.ts, retirement.ts and
 * upkeep.ts. Every arrow is one check-and-set write, and every step may be entered again. `now` is Vault's time in milliseconds.
 */

export type Step =
  | { readonly kind: 'rest' }
  | { readonly kind: 'begin' | 'postpone' | 'take-over' }
  | { readonly kind: 'create' | 'keep' | 'apply' | 'test' | 'promote' | 'undo' }
  /** The pending generation is no longer wanted, or was begun as another kind. */
  | { readonly kind: 'abandon'; readonly code: string }
  /** Nothing is managed here any more. */
  | { readonly kind: 'dismiss' }
  | { readonly kind: 'retire' | 'adoption' | 'overdue'; readonly generation: Retiring }
  | { readonly kind: 'reap'; readonly reap: Reap }
  | { readonly kind: 'verify' };

/** What `me` does next. The outbox is not a step: it is emptied beside them, so that a bus that is down holds up no rotation. */
export function nextStep(state: RotationState, spec: Specification, now: number, me: string): Step {
  return (
    retiringStep(state, spec, now) ??
    reapStep(state, now) ??
    attemptStep(state, spec, now, me) ?? { kind: 'rest' }
  );
}

function retiringStep(state: RotationState, spec: Specification, now: number): Step | undefined {
  if (state.paused !== undefined) return undefined;
  const ripe = state.retiring.find((one) => now >= one.retryAt && mayRetire(one, state, spec, now));
  if (ripe !== undefined) return { kind: 'retire', generation: ripe };
  const late = state.retiring.find((one) => isOverdue(one, spec, now) && !one.overdue);
  if (late !== undefined) return { kind: 'overdue', generation: late };
  const waiting = state.retiring.find((one) => now >= (adoptionAt(one, spec) ?? Number.POSITIVE_INFINITY));
  return waiting === undefined ? undefined : { kind: 'adoption', generation: waiting };
}

function reapStep(state: RotationState, now: number): Step | undefined {
  const reap = state.reap.find(({ next }) => now >= next);
  return reap === undefined ? undefined : { kind: 'reap', reap };
}

function attemptStep(state: RotationState, spec: Specification, now: number, me: string): Step | undefined {
  if (state.phase === 'idle') return idleStep(state, now);
  if (now < (state.retryAt ?? 0)) return undefined;
  const unwanted = abandonment(state, spec);
  const mine = state.owner === me;
  const claimed = !mine && now < (state.claimUntil ?? 0);
  switch (state.phase) {
    case 'create':
      if (state.h === undefined && claimed) return undefined;
      if (unwanted !== undefined) return unwanted;
      if (state.h !== undefined) return { kind: 'keep' };
      return { kind: mine ? 'create' : 'take-over' };
    case 'apply':
      if (claimed) return undefined;
      if (unwanted !== undefined) return unwanted;
      return { kind: mine ? 'apply' : 'take-over' };
    case 'test':
      return unwanted ?? { kind: 'test' };
    // It may be published already: that is not undone.
    case 'promote':
    case 'undo':
      return { kind: state.phase };
  }
}

function abandonment(state: RotationState, spec: Specification): Step | undefined {
  if (state.removed !== undefined) return { kind: 'abandon', code: 'managed_secret_removed' };
  if ((state.kind ?? spec.kind) === spec.kind) return undefined;
  return { kind: 'abandon', code: 'specification_changed' };
}

function idleStep(state: RotationState, now: number): Step | undefined {
  if (state.removed !== undefined) return isDismissed(state) ? undefined : { kind: 'dismiss' };
  if (state.paused !== undefined) return undefined;
  if (state.due !== undefined && state.due <= now) {
    const missed = state.closes !== undefined && now > state.closes;
    return { kind: missed ? 'postpone' : 'begin' };
  }
  return state.verifyAt !== undefined && state.verifyAt <= now ? { kind: 'verify' } : undefined;
}

function isDismissed(state: RotationState): boolean {
  if (state.cur !== undefined) return false;
  return state.removed?.credentials === 'revoke' || state.retiring.length === 0;
}

/** When the document needs a worker; undefined: never by itself. The agenda's hint is never later than this. */
export function dueOf(state: RotationState, spec: Specification): number | undefined {
  const times = [
    ...(isTidy(state) ? [] : [0]),
    ...state.reap.map(({ next }) => next),
    ...(state.paused === undefined ? state.retiring.map((one) => retirementDue(one, state, spec)) : []),
    // Under way: its worker has until the end of the claim; should it die, another comes then.
    ...(state.phase === 'idle' ? idleDue(state) : [state.retryAt ?? state.claimUntil ?? 0]),
  ];
  const first = Math.min(...times);
  return Number.isFinite(first) ? first : undefined;
}

function idleDue(state: RotationState): number[] {
  if (state.removed !== undefined) return isDismissed(state) ? [] : [0];
  if (state.paused !== undefined) return [];
  return [state.due, state.verifyAt].filter((time) => time !== undefined);
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
