import * as z from 'zod';
import type { Deployment } from './deployment-world.ts';

/** A message as it lies in a queue. */
export interface QueuedMessage {
  readonly body: string;
  readonly handle: string;
}

/** The queues of a stack, by their logical ids. */
export interface Queues {
  send(queue: string, body: string): Promise<void>;
  /** What lies in it and is in nobody's hands. */
  count(queue: string): Promise<number>;
  /** The same, and what is being worked on. */
  waiting(queue: string): Promise<number>;
  /** Up to ten messages, hidden from others for a second. */
  receive(queue: string): Promise<readonly QueuedMessage[]>;
  /** Seconds until a message that failed comes back. */
  setVisibilityTimeout(queue: string, seconds: number): Promise<void>;
  /** What `aws sqs start-message-move-task` does, which this local AWS does not have. Gives how many were moved. */
  redrive(from: string, to: string): Promise<number>;
  /** Names of all queues of the stack. */
  names(): Promise<readonly string[]>;
}

const nothing = z.object({});
const listed = z.object({ QueueUrls: z.array(z.string()).default([]) });
const counted = z.object({
  Attributes: z.object({
    ApproximateNumberOfMessages: z.coerce.number(),
    ApproximateNumberOfMessagesNotVisible: z.coerce.number(),
  }),
});
const received = z.object({
  Messages: z.array(z.object({ Body: z.string(), ReceiptHandle: z.string() })).default([]),
});

export function queuesOf({ aws: { client }, stack, output }: Deployment): Queues {
  const ask = <Schema extends z.ZodType>(
    schema: Schema,
    action: string,
    body: Readonly<Record<string, unknown>>,
  ) => client.json(schema, 'sqs', `AmazonSQS.${action}`, body);
  const urls = async () => (await ask(listed, 'ListQueues', { QueueNamePrefix: `${stack}-` })).QueueUrls;
  const urlOf = (queue: string) => output(`${queue}Url`);
  const attributesOf = async (queue: string) => {
    const asked = { QueueUrl: await urlOf(queue), AttributeNames: ['All'] };
    return (await ask(counted, 'GetQueueAttributes', asked)).Attributes;
  };
  const queues: Queues = {
    send: async (queue, MessageBody) => {
      await ask(nothing, 'SendMessage', { QueueUrl: await urlOf(queue), MessageBody });
    },
    count: async (queue) => (await attributesOf(queue)).ApproximateNumberOfMessages,
    waiting: async (queue) => {
      const { ApproximateNumberOfMessages: idle, ApproximateNumberOfMessagesNotVisible: taken } =
        await attributesOf(queue);
      return idle + taken;
    },
    receive: async (queue) => {
      const asked = { QueueUrl: await urlOf(queue), MaxNumberOfMessages: 10, VisibilityTimeout: 1 };
      const { Messages } = await ask(received, 'ReceiveMessage', asked);
      return Messages.map(({ Body, ReceiptHandle }) => ({ body: Body, handle: ReceiptHandle }));
    },
    setVisibilityTimeout: async (queue, seconds) => {
      const Attributes = { VisibilityTimeout: String(seconds) };
      await ask(nothing, 'SetQueueAttributes', { QueueUrl: await urlOf(queue), Attributes });
    },
    redrive: async (from, to) => {
      let moved = 0;
      for (let found = await queues.receive(from); found.length > 0; found = await queues.receive(from)) {
        for (const { body, handle } of found) {
          await queues.send(to, body);
          await ask(nothing, 'DeleteMessage', { QueueUrl: await urlOf(from), ReceiptHandle: handle });
          moved += 1;
        }
      }
      return moved;
    },
    names: async () => (await urls()).map((url) => url.slice(url.lastIndexOf('/') + 1)),
  };
  return queues;
}
