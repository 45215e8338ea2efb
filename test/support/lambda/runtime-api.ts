import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { listening } from '../listening.ts';

/** What a function answered, or the error that its handler threw. */
export type Outcome =
  | { readonly requestId: string; readonly payload: unknown }
  | { readonly requestId: string; readonly error: z.infer<typeof errorSchema> };

/** The Runtime API of one function (AWS Lambda Developer Guide: "Using the Lambda runtime API"). */
export interface RuntimeApi extends AsyncDisposable {
  /** As AWS_LAMBDA_RUNTIME_API has it. */
  readonly address: string;
  /** Resolves when the function is loaded and asks for its first invocation. Rejects with what it could not be loaded for. */
  readonly ready: Promise<void>;
  /** Has the function work on one event, given as it is sent. One at a time, as Lambda does. */
  invoke(event: string, options?: InvokeOptions): Promise<Outcome>;
}

export interface InvokeOptions {
  /** Milliseconds from now until Lambda would end it; default 60,000. */
  readonly timeoutMs?: number;
  /** As X-Ray writes it. */
  readonly traceId?: string;
}

const errorSchema = z.object({
  errorType: z.string(),
  errorMessage: z.string(),
  trace: z.array(z.string()).optional(),
});
const RUNTIME = '/2018-06-01/runtime';

interface Invocation {
  readonly requestId: string;
  readonly event: string;
  readonly deadline: number;
  readonly traceId: string;
  readonly resolve: (outcome: Outcome) => void;
}

/** Listens on 127.0.0.1 until it is disposed of. */
export async function startRuntimeApi(functionArn: string): Promise<RuntimeApi> {
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => {});
  let waiting: ServerResponse | undefined;
  let invocation: Invocation | undefined;

  const hand = () => {
    if (waiting === undefined || invocation === undefined) return;
    waiting.writeHead(200, {
      'content-type': 'application/json',
      'lambda-runtime-aws-request-id': invocation.requestId,
      'lambda-runtime-deadline-ms': String(invocation.deadline),
      'lambda-runtime-invoked-function-arn': functionArn,
      'lambda-runtime-trace-id': invocation.traceId,
    });
    waiting.end(invocation.event);
    waiting = undefined;
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await text(request);
    const [, id, kind] = /\/invocation\/([^/]+)\/(response|error)$/.exec(request.url ?? '') ?? [];
    if (request.url === `${RUNTIME}/invocation/next`) {
      waiting = response;
      ready.resolve();
      hand();
      return;
    }
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
    if (request.url === `${RUNTIME}/init/error`) {
      ready.reject(new Error(`The function could not be loaded: ${body}`));
    } else if (invocation !== undefined && id === invocation.requestId) {
      const { requestId, resolve } = invocation;
      invocation = undefined;
      const parsed: unknown = JSON.parse(body);
      resolve(
        kind === 'error' ? { requestId, error: errorSchema.parse(parsed) } : { requestId, payload: parsed },
      );
    }
  };

  const server = await listening(createServer((request, response) => void answer(request, response)));
  return {
    address: `127.0.0.1:${server.port}`,
    ready: ready.promise,
    invoke: (event, { timeoutMs = 60_000, traceId = newTraceId() } = {}) => {
      if (invocation !== undefined) throw new Error('The function is still at work on the last event.');
      const { promise, resolve } = Promise.withResolvers<Outcome>();
      invocation = { requestId: randomUUID(), event, deadline: Date.now() + timeoutMs, traceId, resolve };
      hand();
      return promise;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** X-Ray's form, sampled. */
function newTraceId(): string {
  const seconds = Math.floor(Date.now() / 1_000).toString(16);
  const [root, parent] = [randomBytes(12).toString('hex'), randomBytes(8).toString('hex')];
  return `Root=1-${seconds}-${root};Parent=${parent};Sampled=1`;
}
