import { waitingFor } from '../rotation/adoption.ts';
import type { ManagedSecret } from '../rotation/managed-secrets.ts';
import type { Specification } from '../rotation/specification.ts';
import type { PastRotation, Reap, Retiring, RotationState } from '../rotation/state.ts';

/**
 * What may be told of a managed secret: never a handle, which holds accessors and lease ids, and never a value. Pure. Fields that are
 * undefined are left out of JSON.
 */

/** One line of a list. */
export interface ListedSecret {
  readonly name: string;
  readonly kind: string;
  readonly phase: RotationState['phase'];
  /** Null: there is none yet. */
  readonly generation: number | null;
  /** The generations on their way out. */
  readonly retiring: readonly number[];
  /** When the next rotation begins, or the one under way is tried again; null: only when it is asked for. */
  readonly due: string | null;
  readonly failures: number;
  readonly paused: boolean;
  readonly removed: boolean;
  /** Something was changed behind our back. */
  readonly drift: boolean;
}

export function listedOf({ name, spec, state }: ManagedSecret): ListedSecret {
  const due = state.phase === 'idle' ? state.due : state.retryAt;
  return {
    name,
    kind: spec.kind,
    phase: state.phase,
    generation: state.cur?.g ?? null,
    retiring: state.retiring.map(({ g }) => g),
    due: moment(due) ?? null,
    failures: state.failures,
    paused: state.paused !== undefined,
    removed: state.removed !== undefined,
    drift: state.drift !== undefined,
  };
}

/** Everything that may be told. */
export function summaryOf({ name, input, spec, state, version }: ManagedSecret) {
  const idle = state.phase === 'idle';
  const { cur } = state;
  return {
    name,
    kind: spec.kind,
    specification: input,
    phase: state.phase,
    generation: cur?.g ?? null,
    since: moment(cur?.since),
    ends_at: moment(cur?.endsAt),
    published: cur?.published,
    pending: idle ? undefined : pendingOf(state),
    next_rotation: idle ? moment(state.due) : undefined,
    next_reason: idle && state.due !== undefined ? state.reason : undefined,
    window_closes: idle ? moment(state.closes) : undefined,
    asked_meanwhile: state.again,
    failures: state.failures,
    retiring: state.retiring.map((one) => retiringOf(one, state, spec)),
    acknowledged: state.acks,
    paused: state.paused && { at: moment(state.paused.at), by: state.paused.by },
    removed: state.removed && { ...state.removed, at: moment(state.removed.at) },
    drift: state.drift,
    verify_at: moment(state.verifyAt),
    reaping: reapingOf(state.reap),
    history: state.history.map(pastOf),
    unpublished_events: Object.keys(state.outbox).length,
    document_version: version,
  };
}

function pendingOf({ g, kind, reason, by, marks, failed, retryAt }: RotationState) {
  return { generation: g, kind, reason, by, begun: moment(marks.begun), failed, retry_at: moment(retryAt) };
}

function retiringOf(one: Retiring, state: RotationState, spec: Specification) {
  return {
    generation: one.g,
    kind: one.kind,
    why: one.why,
    not_before: moment(one.notBefore),
    deadline: moment(one.deadline),
    waiting_for: one.why === 'replaced' ? [...waitingFor(one, state, spec)] : [],
    idle_since: moment(one.idleSince),
    overdue: one.overdue,
    failures: one.failures,
    failed: one.failed,
    retry_at: one.failures === 0 ? undefined : moment(one.retryAt),
  };
}

/** Abandoned attempts that are looked for outside Vault. */
function reapingOf(reap: readonly Reap[]) {
  const failed = reap.findLast((one) => one.failed !== undefined)?.failed;
  return { count: reap.length, failed };
}

/** A past rotation; `took` in milliseconds for each step. */
function pastOf(past: PastRotation) {
  return {
    generation: past.g,
    kind: past.kind,
    reason: past.reason,
    by: past.by,
    begun: moment(past.begun),
    promoted: moment(past.promoted),
    took: past.took,
    failures: past.failures,
    retired: moment(past.retired),
    retired_because: past.retiredBecause,
  };
}

function moment(ms: number): string;
function moment(ms: number | undefined): string | undefined;
function moment(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
