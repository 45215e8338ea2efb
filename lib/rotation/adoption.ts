import type { Specification } from './specification.ts';
import type { Retiring, RotationState } from './state.ts';

/** Whether an old generation may go: has everybody moved to a later one? Pure. Times in milliseconds. */

/** The old one works until the new one does. Whether it may be revoked now. */
export function mayRetire(one: Retiring, state: RotationState, spec: Specification, now: number): boolean {
  if (now < one.notBefore) return false;
  if (one.why !== 'replaced') return true;
  if (now >= one.deadline && spec.at_deadline === 'retire') return true;
  return adoption(one, state, spec, now) !== undefined;
}

/** Whether one that is to be kept past its deadline has come there. */
export function isOverdue(one: Retiring, spec: Specification, now: number): boolean {
  return one.why === 'replaced' && spec.at_deadline === 'keep' && now >= one.deadline;
}

export type Adoption = 'grace' | 'adopted' | 'idle';

/** Why a generation counts as adopted; undefined: it does not yet. Without anybody to wait for the grace alone decides. */
export function adoption(
  one: Retiring,
  state: RotationState,
  spec: Specification,
  now: number,
): Adoption | undefined {
  if (!isWaitedFor(spec)) return 'grace';
  if (spec.consumers.length > 0 && waitingFor(one, state, spec).length === 0) return 'adopted';
  const idleFor = idleForMs(spec);
  if (idleFor === undefined || one.idleSince === undefined) return undefined;
  return now - one.idleSince >= idleFor ? 'idle' : undefined;
}

/** The consumers that have not acknowledged a generation after this one. */
export function waitingFor(one: Retiring, state: RotationState, spec: Specification): readonly string[] {
  return spec.consumers.filter((consumer) => (state.acks[consumer] ?? 0) <= one.g);
}

/** How long a generation must show no use until it counts as idle, in milliseconds; undefined: nobody looks. */
export function idleForMs(spec: Specification): number | undefined {
  return spec.evidence?.idle_for;
}

function isWaitedFor(spec: Specification): boolean {
  return spec.consumers.length > 0 || idleForMs(spec) !== undefined;
}

/** When to look next whether this one is adopted; undefined: nobody is waited for. */
export function adoptionAt(one: Retiring, spec: Specification): number | undefined {
  if (one.why !== 'replaced' || !isWaitedFor(spec)) return undefined;
  return Math.max(one.notBefore, one.lookAt);
}
