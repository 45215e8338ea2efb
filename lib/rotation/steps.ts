import * as attempt from './attempt-steps.ts';
import type { EngineDependencies } from './engine-dependencies.ts';
import type { Step } from './machine.ts';
import type { ManagedSecret } from './managed-secrets.ts';
import * as upkeep from './upkeep-steps.ts';

/** One step. Undefined: the write was lost or its outcome is unknown, so the document must be read again. */
export function perform(
  deps: EngineDependencies,
  step: Step,
  secret: ManagedSecret,
  me: string,
): attempt.Stepped {
  switch (step.kind) {
    case 'begin':
      return attempt.begin(deps, secret, me);
    case 'take-over':
      return attempt.takeOver(deps, secret, me);
    case 'create':
      return attempt.create(deps, secret);
    case 'keep':
      return attempt.keep(deps, secret, me);
    case 'apply':
      return attempt.apply(deps, secret);
    case 'test':
      return attempt.test(deps, secret);
    case 'promote':
      return attempt.promote(deps, secret);
    case 'undo':
      return attempt.undo(deps, secret);
    case 'abandon':
      return attempt.abandon(deps, secret, step.code);
    case 'retire':
      return upkeep.retire(deps, secret, step.generation);
    case 'overdue':
      return upkeep.tellOverdue(deps, secret, step.generation);
    case 'adoption':
      return upkeep.lookForAdoption(deps, secret, step.generation, true);
    case 'reap':
      return upkeep.reap(deps, secret, step.reap);
    case 'verify':
      return upkeep.verify(deps, secret);
    case 'postpone':
      return upkeep.postpone(deps, secret);
    case 'dismiss':
      return upkeep.dismiss(deps, secret);
    case 'rest':
      return Promise.resolve(secret);
  }
}
