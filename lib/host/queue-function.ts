import type { SQSBatchResponse } from 'aws-lambda';
import * as z from 'zod';
import { eventIn, type LeasekeeperEvent } from '../bus/events.ts';

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
          await work(eventIn(JSON.parse(body)));
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
