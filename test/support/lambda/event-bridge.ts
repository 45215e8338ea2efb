import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import * as z from 'zod';
import { ROUTES, type Worker } from '../../../lib/bus/routes.ts';
import { listening } from '../listening.ts';

/** EventBridge's PutEvents, as AWS's SDK asks it. What is published is kept for its workers' queues. */
export interface EventBridge extends AsyncDisposable {
  /** As AWS_ENDPOINT_URL_EVENTBRIDGE has it. */
  readonly endpoint: string;
  /** Types of all that was published, in its order. */
  readonly types: readonly string[];
  /** Bodies of the messages that wait for a worker; they are taken. */
  take(worker: Worker): string[];
}

const entrySchema = z.object({
  EventBusName: z.string(),
  Source: z.string(),
  DetailType: z.string(),
  Time: z.number(),
  Detail: z.string(),
});
const putSchema = z.object({ Entries: z.array(entrySchema).min(1).max(10) });
type Entry = z.infer<typeof entrySchema>;
const WORKERS = ['renew', 'rotate', 'notify'] as const;

/** Takes what is published on one bus, and refuses any other. */
export async function startEventBridge(busName: string): Promise<EventBridge> {
  const types: string[] = [];
  const queues: Record<Worker, string[]> = { renew: [], rotate: [], notify: [] };
  const take = (entry: Entry) => {
    if (entry.EventBusName !== busName) return { ErrorCode: 'ResourceNotFound', ErrorMessage: 'no such bus' };
    types.push(entry.DetailType);
    const id = randomUUID();
    for (const worker of WORKERS) {
      const wanted = ROUTES[worker].some((type) => type === entry.DetailType);
      if (wanted) queues[worker].push(JSON.stringify(envelopeOf(id, entry)));
    }
    return { EventId: id };
  };
  const server = await listening(
    createServer((request, response) => {
      void json(request).then((body) => {
        response.setHeader('content-type', 'application/x-amz-json-1.1');
        if (request.headers['x-amz-target'] !== 'AWSEvents.PutEvents') {
          response.writeHead(400).end('{"__type":"UnknownOperationException"}');
          return;
        }
        const Entries = putSchema.parse(body).Entries.map(take);
        const FailedEntryCount = Entries.filter(({ ErrorCode }) => ErrorCode !== undefined).length;
        response.end(JSON.stringify({ FailedEntryCount, Entries }));
      });
    }),
  );
  return {
    endpoint: `http://127.0.0.1:${server.port}`,
    types,
    take: (worker) => queues[worker].splice(0),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** An event as a rule hands it to a queue (EventBridge User Guide: "AWS service event metadata"). */
function envelopeOf(id: string, { DetailType, Source, Time, Detail }: Entry) {
  return {
    version: '0',
    id,
    'detail-type': DetailType,
    source: Source,
    account: '123456789012',
    // In whole seconds.
    time: new Date(Time * 1_000).toISOString().replace(/\.\d+/, ''),
    region: 'eu-central-1',
    resources: [],
    detail: JSON.parse(Detail),
  };
}
