import { type EventData, eventId, type LeasekeeperEvent } from '../bus/events.ts';
import type { Specification } from './specification.ts';
import type { Retiring, RotationState } from './state.ts';

/**
 * What a managed secret has to tell. Ids are derived from the name and the generation or attempt, so that whoever derives an event derives
 * the same one. Times in milliseconds.
 */

export function rotatedEvent(
  state: RotationState,
  spec: Specification,
  promoted: { readonly g: number; readonly version: number; readonly leaked: boolean },
  now: number,
): LeasekeeperEvent<'secret.rotated'> {
  const { g, version, leaked } = promoted;
  return {
    id: eventId(spec.name, g, 'secret.rotated'),
    type: 'secret.rotated',
    time: new Date(now).toISOString(),
    data: {
      ...subject(spec, g),
      version,
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
  const waiting = Object.keys(state.acks).filter((consumer) => (state.acks[consumer] ?? 0) <= one.g);
  return {
    id: eventId(spec.name, one.g, 'secret.retired'),
    type: 'secret.retired',
    time: new Date(now).toISOString(),
    data: {
      ...subject(spec, one.g),
      reason: retireReason(one, state, waiting.length),
      not_adopted_by: waiting,
    },
  };
}

function retireReason(
  one: Retiring,
  state: RotationState,
  waiting: number,
): EventData<'secret.retired'>['reason'] {
  if (one.why === 'leak') return 'leak';
  if (Object.keys(state.acks).length === 0) return 'grace';
  return waiting === 0 ? 'adopted' : 'deadline';
}

/** Somebody else has written to the published path. */
export function driftEvent(
  state: RotationState,
  spec: Specification,
  now: number,
): LeasekeeperEvent<'secret.drift'> {
  return {
    id: eventId(spec.name, state.att ?? '', 'secret.drift'),
    type: 'secret.drift',
    time: new Date(now).toISOString(),
    data: { ...subject(spec, state.cur?.g ?? 0), what: 'published_value_changed' },
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
  return { name: spec.name, generation, path: spec.publish, consumers: spec.consumers };
}
