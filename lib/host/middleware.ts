import type middy from '@middy/core';
import type { Logger } from '../telemetry/log.ts';

export interface ObservedOptions {
  readonly logger: Logger;
  /** Writes out what was counted; called on every path, also when the function failed. */
  readonly flushMetrics: () => Promise<void>;
  readonly now: () => number;
}

/** A middy middleware: one log line for each invocation, and the metrics written before the function is frozen. */
export function observed(options: ObservedOptions): middy.MiddlewareObj {
  const started = new WeakMap<object, number>();
  const end = async (request: middy.Request): Promise<void> => {
    const durationMs = options.now() - (started.get(request) ?? options.now());
    const bindings = { request_id: request.context?.awsRequestId, duration_ms: durationMs };
    if (request.error) options.logger.error({ ...bindings, err: request.error }, 'failed');
    else options.logger.debug(bindings, 'done');
    await options.flushMetrics();
  };
  return {
    before: (request) => {
      started.set(request, options.now());
    },
    after: end,
    onError: end,
  };
}
