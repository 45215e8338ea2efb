import type { SQSBatchResponse } from 'aws-lambda';
import * as z from 'zod';
import { eventIn } from '../bus/envelope.ts';
import type { LeasekeeperEvent } from '../bus/events.ts';
import { LeasekeeperError } from '../errors.ts';
import { withLogFields } from '../telemetry/log-fields.ts';
import { traceIdInXRayHeader } from '../telemetry/trace-id.ts';

const attributesSchema = z.object({ AWSTraceHeader: z.string().optional() });

const queueEventSchema = z.object({
  Records: z.array(
    z.object({
      messageId: z.string(),
      body: z.string(),
      // No message fails for what is only told of it.
      attributes: attributesSchema.optional().catch(undefined),
    }),
  ),
});

type QueueMessage = z.output<typeof queueEventSchema>['Records'][number];

/**
 * A worker behind a queue: each message is one event of the bus. Messages that fail, or are none of ours, are named in the answer, so
 * that the others of the batch are done with (AWS Lambda: "Reporting batch item failures"). Log lines of a message, `onError`'s too, have its
 * id, and the trace that it came with.
 */
export function queueFunction(
  work: (event: LeasekeeperEvent) => Promise<void>,
  onError: (error: unknown) => void,
) {
  return async (event: unknown): Promise<SQSBatchResponse> => {
    const { Records } = queueEventSchema.parse(event);
    const failed = await Promise.all(
      Records.map((message) =>
        withLogFields(fieldsOf(message), async () => {
          try {
            await work(eventOf(message.body));
            return [];
          } catch (error) {
            onError(error);
            return [{ itemIdentifier: message.messageId }];
          }
        }),
      ),
    );
    return { batchItemFailures: failed.flat() };
  };
}

/** EventBridge and SQS hand the tracing header of whoever published on as an attribute of the message (Amazon SQS: "AWSTraceHeader"). */
function fieldsOf({ messageId, attributes }: QueueMessage) {
  return { message_id: messageId, trace_id: traceIdInXRayHeader(attributes?.AWSTraceHeader) };
}

/** Throws `event_malformed`, without the parsers' own errors: they may quote the message, and nobody knows what a foreign one holds. */
function eventOf(body: string): LeasekeeperEvent {
  try {
    return eventIn(JSON.parse(body));
  } catch {
    throw new LeasekeeperError('event_malformed', 'The message is not an event of Leasekeeper.', {
      hint: 'Look at it in the dead-letter queue; docs/events.md shows what an event looks like.',
    });
  }
}
