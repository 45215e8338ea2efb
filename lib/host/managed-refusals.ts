import { RequestError } from '../access/problem.ts';
import type { RotationState } from '../rotation/state.ts';

/** Why something asked of a managed secret is refused, the same over HTTP and by command. */

export function unknownName(name: string): RequestError {
  return new RequestError(
    404,
    'managed_secret_unknown',
    `There is no managed secret named ${name}.`,
    'List what is managed, and check the name.',
  );
}

export function nameTaken(name: string): RequestError {
  return new RequestError(
    412,
    'managed_secret_exists',
    `There is a managed secret named ${name} already; it may have been removed.`,
    'Send it without If-None-Match to change it, or to have it managed again.',
  );
}

export function notManual(name: string, kind: string): RequestError {
  return new RequestError(
    409,
    'managed_secret_not_manual',
    `${name} is of kind ${kind}: its values are not supplied by people.`,
    'Have it rotated instead, or specify it with kind manual.',
  );
}

/** Throws `managed_secret_removed`. */
export function assertManaged(name: string, { removed }: RotationState): void {
  if (removed === undefined) return;
  throw new RequestError(
    410,
    'managed_secret_removed',
    `${name} is no longer managed; it was removed with credentials=${removed.credentials}.`,
    'Apply its specification again to have it managed.',
  );
}

/** Throws `managed_secret_removed`, `managed_secret_paused`. */
export function assertRotatable(name: string, state: RotationState): void {
  assertManaged(name, state);
  if (state.paused === undefined) return;
  throw new RequestError(
    409,
    'managed_secret_paused',
    `${name} is paused: nothing of it is rotated or retired.`,
    'Resume it first.',
  );
}
