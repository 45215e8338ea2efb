import type { Bus } from '../bus/bus.ts';
import { createEventBridgeBus } from '../bus/eventbridge.ts';
import { LeasekeeperError } from '../errors.ts';
import type { Config } from './config.ts';

/** The bus of a function on Lambda. A file of its own: functions that publish nothing do not have the AWS SDK in their bundle. */
export function lambdaBus(config: Config): Bus {
  if (config.busName === undefined) {
    throw new LeasekeeperError('configuration_invalid', 'LEASEKEEPER_BUS is not set.', {
      hint: 'Set it to the name or ARN of the EventBridge bus.',
    });
  }
  return createEventBridgeBus({ busName: config.busName, cloudEvents: config.cloudEvents });
}
