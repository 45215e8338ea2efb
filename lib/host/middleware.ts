import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import type { Logger } from '../telemetry/log.ts';
import { withLogFieldsOnly } from '../telemetry/log-fields.ts';
import { traceIdInXRayHeader } from '../telemetry/trace-id.ts';

export interface ObservedOptions {
  readonly logger: Logger;
  /** Writes out what was counted; called on every path, also when the function failed. */
  readonly flushMetrics: () => Promise<void>;
  readonly now: () => number;
  /** The tracing header of the invocation that begins, where the runtime gives one beside the context. */
  readonly traceHeader?: () => string | undefined;
}

/** How long before its end an invocation that is still at work is told of, and its metrics are written, in milliseconds. */
const BEFORE_THE_END_MS = 500;

/**
 * A function as Lambda calls it, around its handler: a middy chain in which every log line has the ids of the invocation, with one line for
 * its end, and the metrics written before it is frozen, however it ends.
 */
export function observed<Event, Result>(
  host: ObservedOptions,
  handler: (event: Event, context: Context) => Promise<Result>,
): (event: Event, context: Context) => Promise<Result> {
  const begun = new WeakMap<object, { readonly at: number; readonly warning: NodeJS.Timeout | undefined }>();
  const chain = middy<Event, Result>({
    // middy would fail an invocation just before its end. Lambda kills the process of one that takes too long; of one that has failed it
    // freezes it, and what it was in the middle of would go on with the next invocation, at any later time (decision 36).
    timeoutEarlyInMillis: 0,
    requestStart: (request) => {
      begun.set(request, { at: host.now(), warning: warnBeforeTheEnd(host, request.context) });
    },
    requestEnd: async (request) => {
      const { at = host.now(), warning } = begun.get(request) ?? {};
      clearTimeout(warning);
      const duration_ms = host.now() - at;
      if (request.error) host.logger.error({ duration_ms, err: request.error }, 'failed');
      else host.logger.debug({ duration_ms }, 'done');
      await flush(host);
    },
  }).handler(handler);
  return (event, context) => withLogFieldsOnly(fieldsOf(host, context), async () => chain(event, context));
}

/** What is counted must not fail what counts it, and so must the writing of it. */
async function flush({ flushMetrics, logger }: ObservedOptions): Promise<void> {
  try {
    await flushMetrics();
  } catch (err) {
    logger.error({ err }, 'metrics lost');
  }
}

/** An invocation that runs into its time limit is killed, with all that it has counted. This neither ends it nor keeps the process. */
function warnBeforeTheEnd(host: ObservedOptions, context: Context): NodeJS.Timeout | undefined {
  const remaining = () => remainingMs(context);
  const now = remaining();
  if (now === undefined) return undefined;
  const warn = () => {
    const remaining_ms = remaining() ?? 0;
    // Where nothing ever ends an invocation there is always time left.
    if (remaining_ms > 2 * BEFORE_THE_END_MS) return;
    host.logger.error({ remaining_ms }, 'about to time out');
    void flush(host);
  };
  return setTimeout(warn, Math.max(0, now - BEFORE_THE_END_MS)).unref();
}

/** A caller by hand may give less of a context than Lambda does. */
function remainingMs(context: Partial<Context> | undefined): number | undefined {
  return context?.getRemainingTimeInMillis?.();
}

function fieldsOf({ traceHeader }: ObservedOptions, context: Partial<Context> | undefined) {
  // The runtime client has it here, and in the environment unless several invocations share the process (aws-lambda-ric 4).
  const given = context !== undefined && 'xRayTraceId' in context ? context.xRayTraceId : undefined;
  const trace = traceIdInXRayHeader(typeof given === 'string' ? given : traceHeader?.());
  return { invocation_id: context?.awsRequestId, trace_id: trace };
}
