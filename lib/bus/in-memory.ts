import { randomUUID } from 'node:crypto';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import pLimit from 'p-limit';
import type { Bus } from './bus.ts';
import { type BusEnvelope, detailOf } from './envelope.ts';
import { EVENT_SOURCE, isCommandType, type LeasekeeperEvent } from './events.ts';
import { type Worker, workersFor } from './routes.ts';

/** A worker as Lambda would call it: with a batch of queue messages, each an event of the bus. */
export type QueueWorker = (event: SQSEvent) => Promise<SQSBatchResponse | undefined>;

export interface InMemoryBusOptions {
  /** Told of a worker that threw, and of commands that failed: the next scan finds their work again. */
  readonly onError: (error: unknown, worker: Worker) => void;
  readonly onEvent?: (event: LeasekeeperEvent) => void;
  /** Commands that one worker carries out at the same time. */
  readonly parallel?: number;
}

/** The bus of the one-process host, with EventBridge's event shape. */
export interface InMemoryBus extends Bus {
  connect(worker: Worker, handler: QueueWorker): void;
  /** Takes no more commands and waits for those under way. */
  close(): Promise<void>;
}

const PARALLEL = 4;

/**
 * Commands go to a queue of each worker and publishing returns at once; the same command that already waits is not queued twice.
 * An outcome is handed to its workers before publishing returns, so that an outbox is cleared only when they have recorded it.
 */
export function createInMemoryBus(options: InMemoryBusOptions): InMemoryBus {
  const handlers = new Map<Worker, QueueWorker>();
  const queues = new Map<Worker, ReturnType<typeof pLimit>>();
  const waiting = new Set<string>();
  const running = new Set<Promise<void>>();
  let closed = false;

  const run = async (worker: Worker, event: LeasekeeperEvent): Promise<boolean> => {
    const handler = handlers.get(worker);
    if (handler === undefined) return false;
    try {
      const answer = await handler(queueEventOf(event));
      return (answer?.batchItemFailures.length ?? 0) === 0;
    } catch (error) {
      options.onError(error, worker);
      return false;
    }
  };

  const enqueue = (worker: Worker, event: LeasekeeperEvent): void => {
    const key = `${worker} ${event.type} ${'shard' in event.data ? event.data.shard : event.id}`;
    if (closed || waiting.has(key)) return;
    waiting.add(key);
    const queue = queues.get(worker) ?? pLimit(options.parallel ?? PARALLEL);
    queues.set(worker, queue);
    const work = queue(async () => {
      waiting.delete(key);
      if (!closed) await run(worker, event);
    });
    running.add(work);
    void work.finally(() => running.delete(work));
  };

  const publishOne = async (event: LeasekeeperEvent): Promise<boolean> => {
    options.onEvent?.(event);
    const workers = workersFor(event.type);
    if (isCommandType(event.type)) {
      for (const worker of workers) enqueue(worker, event);
      return true;
    }
    const done = await Promise.all(workers.map((worker) => run(worker, event)));
    return done.every(Boolean);
  };

  return {
    connect: (worker, handler) => void handlers.set(worker, handler),
    publish: async (events) => {
      const taken = await Promise.all(events.map(publishOne));
      return new Set(events.filter((_, index) => taken[index]).map(({ id }) => id));
    },
    close: async () => {
      closed = true;
      await Promise.all(running);
    },
  };
}

/** An event as EventBridge puts it into a queue, and the queue hands it to a function. */
function queueEventOf(event: LeasekeeperEvent): SQSEvent {
  const envelope: BusEnvelope = {
    version: '0',
    id: randomUUID(),
    'detail-type': event.type,
    source: EVENT_SOURCE,
    account: '000000000000',
    time: event.time,
    region: 'local',
    resources: [],
    detail: detailOf(event),
  };
  const sent = String(Date.parse(event.time));
  return {
    Records: [
      {
        messageId: randomUUID(),
        receiptHandle: '',
        body: JSON.stringify(envelope),
        attributes: {
          ApproximateReceiveCount: '1',
          SentTimestamp: sent,
          SenderId: 'local',
          ApproximateFirstReceiveTimestamp: sent,
        },
        messageAttributes: {},
        md5OfBody: '',
        eventSource: 'aws:sqs',
        eventSourceARN: 'arn:aws:sqs:local:000000000000:leasekeeper',
        awsRegion: 'local',
      },
    ],
  };
}
