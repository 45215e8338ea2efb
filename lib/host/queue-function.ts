import type { SQSBatchResponse } from 'aws-lambda';
import * as z from 'zod';
import { eventIn } from '../bus/envelope.ts';
import type { LeasekeeperEvent } from '../bus/events.ts';
import { LeasekeeperError } from '../errors.ts';

const queueEventSchema = z.object({
  Records: z.array(z.object({ messageId: z.string(), body: z.string() })),
});

/**
 * A worker behind a queue: each message is one event of the bus. Messages that fail, or are none of ours, are named in the answer, so
 * that the others of the batch are done with (AWS Lambda: "Reporting batch item failures").
 */
export function queueFunction(
  work: (event: LeasekeeperEvent) => Promise<void>,
  onError: (error: unknown, messageId: string) => void,
) {
  return async (event: unknown): Promise<SQSBatchResponse> => {
    const { Records } = queueEventSchema.parse(event);
    const failed = await Promise.all(
      Records.map(async ({ messageId, body }) => {
        try {
          await work(eventOf(body));
          return [];
        } catch (error) {
          onError(error, messageId);
          return [{ itemIdentifier: messageId }];
        }
      }),
    );
    return { batchItemFailures: failed.flat() };
  };
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
