import { eventId, type LeasekeeperEvent } from '../bus/events.ts';
import { adoption, waitingFor } from './adoption.ts';
import type { Specification } from './specification.ts';
import type { Retiring, RotationState } from './state.ts';

/**
 * What a managed secret has to tell. Ids are derived from the name and the generation or attempt, so that whoever derives an event derives
 * the same one. Times in milliseconds.
 */

export function rotatedEvent(
  state: RotationState,
  spec: Specification,
  promoted: { readonly g: number; readonly version: number | undefined; readonly leaked: boolean },
  now: number,
): LeasekeeperEvent<'secret.rotated'> {
  const { g, version, leaked } = promoted;
  return {
    id: eventId(spec.name, g, 'secret.rotated'),
    type: 'secret.rotated',
    time: new Date(now).toISOString(),
    data: {
      ...subject(spec, g),
      ...(version === undefined ? {} : { version }),
      reason: state.reason,
      ...(state.cur === undefined
        ? {}
        : {
            previous_generation: state.cur.g,
            previous_retires_by: new Date(leaked ? now : now + spec.deadline).toISOString(),
          }),
    },
  };
}

export function retiredEvent(
  state: RotationState,
  one: Retiring,
  spec: Specification,
  now: number,
): LeasekeeperEvent<'secret.retired'> {
  const waiting = one.why === 'removed' ? [] : waitingFor(one, state, spec);
  return {
    id: eventId(spec.name, one.g, 'secret.retired'),
    type: 'secret.retired',
    time: new Date(now).toISOString(),
    data: {
      ...subject(spec, one.g),
      reason:
        one.why === 'leak' || one.why === 'removed'
          ? one.why
          : (adoption(one, state, spec, now) ?? 'deadline'),
      not_adopted_by: [...waiting],
    },
  };
}

/** An old generation that was to go cannot be revoked: it still works. */
export function retireFailingEvent(
  one: Retiring,
  spec: Specification,
  now: number,
): LeasekeeperEvent<'secret.retire_failing'> {
  return {
    id: eventId(spec.name, one.g, one.notBefore, 'secret.retire_failing'),
    type: 'secret.retire_failing',
    time: new Date(now).toISOString(),
    data: {
      ...subject(spec, one.g),
      code: one.failed ?? 'unknown',
      failures: one.failures,
      next_attempt_at: new Date(one.retryAt).toISOString(),
    },
  };
}

/** An old generation is kept past its deadline, because consumers have not moved. */
export function overdueEvent(
  one: Retiring,
  waiting: readonly string[],
  spec: Specification,
  now: number,
): LeasekeeperEvent<'secret.retire_overdue'> {
  return {
    id: eventId(spec.name, one.g, 'secret.retire_overdue'),
    type: 'secret.retire_overdue',
    time: new Date(now).toISOString(),
    data: { ...subject(spec, one.g), not_adopted_by: [...waiting] },
  };
}

export function removedEvent(
  state: RotationState,
  spec: Specification,
  now: number,
): LeasekeeperEvent<'secret.removed'> {
  const { at, credentials } = state.removed ?? { at: now, credentials: 'keep' };
  return {
    id: eventId(spec.name, at, 'secret.removed'),
    type: 'secret.removed',
    time: new Date(now).toISOString(),
    data: { ...subject(spec, state.cur?.g ?? state.top), credentials },
  };
}

/** Something has changed behind our back. `mark` tells one finding from a later one of the same sort. */
export function driftEvent(
  state: RotationState,
  spec: Specification,
  { what, mark }: { readonly what: string; readonly mark: string | number },
  now: number,
): LeasekeeperEvent<'secret.drift'> {
  const generation = state.cur?.g ?? 0;
  return {
    id: eventId(spec.name, generation, what, mark, 'secret.drift'),
    type: 'secret.drift',
    time: new Date(now).toISOString(),
    data: { ...subject(spec, generation), what },
  };
}

export function failedEvent(
  state: RotationState,
  spec: Specification,
  again: { readonly failures: number; readonly due: number },
  now: number,
): LeasekeeperEvent<'secret.rotation_failed'> {
  return {
    id: eventId(spec.name, state.att ?? '', 'secret.rotation_failed'),
    type: 'secret.rotation_failed',
    time: new Date(now).toISOString(),
    data: {
      ...subject(spec, state.g ?? 0),
      step: state.failed?.step ?? 'create',
      code: state.failed?.code ?? 'unknown',
      failures: again.failures,
      next_attempt_at: new Date(again.due).toISOString(),
    },
  };
}

function subject(spec: Specification, generation: number) {
  return {
    name: spec.name,
    generation,
    ...(spec.publish === undefined ? {} : { path: spec.publish }),
    consumers: spec.consumers,
  };
}
