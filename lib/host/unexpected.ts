import type { LeasekeeperEvent } from '../bus/events.ts';
import { LeasekeeperError } from '../errors.ts';

/** An event that the rules should not have sent to this worker. */
export function unexpected(event: LeasekeeperEvent): LeasekeeperError {
  return new LeasekeeperError('event_unexpected', `This function does not work on ${event.type}.`, {
    hint: 'Compare the rules of the bus with lib/bus/routes.ts.',
  });
}
