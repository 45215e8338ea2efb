import { Agent, buildConnector, type Dispatcher, errors } from 'undici';
import { codeOf } from '../../../errors.ts';
import { jsonIn } from '../../../json-in.ts';
import { parseRetryAfter } from '../../../notices/retry-after.ts';
import type { FilledRequest } from './fill-request.ts';
import { HttpRequestError, type Processed } from './http-request-error.ts';

export interface HttpAnswer {
  readonly status: number;
  /** Parsed JSON; undefined for an answer that is none. */
  readonly body: unknown;
}

export interface HttpSenderOptions {
  /** In place of the sender's own connections. Who gives it closes it. */
  readonly dispatcher?: Dispatcher;
  /** Milliseconds for name resolution, TCP and TLS together; default 5,000. A request's own timeout cannot end it sooner. */
  readonly connectTimeoutMs?: number;
  /** Bytes; default 256 KiB. */
  readonly maxAnswerBytes?: number;
  /** Certificate authorities in PEM, instead of Node's own. */
  readonly ca?: string;
  readonly now?: () => number;
}

export interface HttpSender {
  /** One request, once: nothing is repeated and no redirect followed. Throws HttpRequestError. */
  send(request: FilledRequest): Promise<HttpAnswer>;
  close(): Promise<void>;
}

const LARGEST_ANSWER_BYTES = 256 * 1024;
/** Longer pauses are the schedule's to make. */
const LONGEST_PAUSE_MS = 3_600_000;

/** Sends declared requests. */
export function createHttpSender(options: HttpSenderOptions = {}): HttpSender {
  const dispatcher = options.dispatcher ?? createAgent(options);
  const { maxAnswerBytes = LARGEST_ANSWER_BYTES, now = Date.now } = options;
  return {
    async send(request) {
      const answer = await exchange(dispatcher, request);
      if (!isExpected(request, answer.statusCode)) {
        discard(answer.body);
        throw refusalOf(request, answer, now());
      }
      const text = await read(request, answer.statusCode, answer.body, maxAnswerBytes);
      return { status: answer.statusCode, body: jsonIn(text) };
    },
    close: async () => {
      if (options.dispatcher === undefined) await dispatcher.close();
    },
  };
}

/** Requests are rare: a connection for each is never one that the other side has just closed. */
function createAgent({ connectTimeoutMs = 5_000, ca }: HttpSenderOptions): Agent {
  const connector = buildConnector({
    timeout: connectTimeoutMs,
    allowH2: false,
    ...(ca === undefined ? {} : { ca }),
  });
  return new Agent({
    pipelining: 0,
    connect: (target, callback) =>
      connector(target, (error, socket) =>
        error === null ? callback(null, socket) : callback(new NotConnected(codeOf(error)), null),
      ),
  });
}

/** There was never a connection: by name resolution, TCP or TLS. An error code alone does not tell, ECONNRESET least of all. */
class NotConnected extends Error {
  readonly code: string;

  constructor(code: string) {
    super('not connected');
    this.code = code;
  }
}

async function exchange(dispatcher: Dispatcher, request: FilledRequest) {
  const { origin, path, headers, body } = request.content.expose();
  try {
    return await dispatcher.request({
      origin,
      path,
      method: request.method,
      headers,
      body: body ?? null,
      signal: AbortSignal.timeout(request.timeoutMs),
    });
  } catch (error) {
    throw faultOf(request, error);
  }
}

function isExpected({ expectStatus }: FilledRequest, status: number): boolean {
  return expectStatus === undefined ? status >= 200 && status < 300 : expectStatus.includes(status);
}

function label({ method, host }: FilledRequest): string {
  return `${method} to ${host}`;
}

/** What a status says that was not expected. */
function refusalOf(request: FilledRequest, answer: Dispatcher.ResponseData, now: number): HttpRequestError {
  const status = answer.statusCode;
  const message = `${label(request)} was answered ${status}.`;
  if (status === 401 || status === 403) {
    return new HttpRequestError('http_refused', message, { status, processed: 'no' });
  }
  if (status === 429) {
    return new HttpRequestError('http_rate_limited', message, {
      status,
      processed: 'no',
      ...pauseOf(answer, now),
    });
  }
  if (status >= 500) {
    return new HttpRequestError('http_unavailable', message, {
      status,
      processed: 'maybe',
      ...pauseOf(answer, now),
    });
  }
  return new HttpRequestError('http_unexpected_status', message, { status, processed: processedBy(status) });
}

/** A 4xx was not done (RFC 9110, section 15.5), but a proxy says 408 of what it has passed on, and 409 means that something is there. */
function processedBy(status: number): Processed {
  return status >= 400 && status !== 408 && status !== 409 ? 'no' : 'maybe';
}

function pauseOf({ headers }: Dispatcher.ResponseData, now: number): { retryAfterMs?: number } {
  const asked = parseRetryAfter([headers['retry-after']].flat()[0], now);
  return asked === undefined ? {} : { retryAfterMs: Math.min(asked, LONGEST_PAUSE_MS) };
}

/** What a thrown value says. It is not kept as cause: undici's errors may hold what was answered. */
function faultOf(request: FilledRequest, error: unknown): HttpRequestError {
  // Only some of the parser's errors have a code of their own.
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError) {
    return new HttpRequestError('http_answer_invalid', `${label(request)} was not answered in HTTP.`, {
      processed: 'maybe',
    });
  }
  // A signal's own reason is a DOMException, whose code is a number.
  const reason = error instanceof DOMException ? error.name : codeOf(error);
  return new HttpRequestError('http_unavailable', `${label(request)} got no answer (${reason}).`, {
    processed: error instanceof NotConnected ? 'no' : 'maybe',
  });
}

async function read(
  request: FilledRequest,
  status: number,
  body: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      // Leaving the loop closes the connection.
      if (bytes > maxBytes) break;
    }
  } catch (error) {
    throw faultOf(request, error);
  }
  if (bytes <= maxBytes) return Buffer.concat(chunks).toString();
  const message = `${label(request)} was answered ${status} with more than ${maxBytes} bytes.`;
  throw new HttpRequestError('http_answer_invalid', message, { status, processed: 'maybe' });
}

function discard(body: Dispatcher.ResponseData['body']): void {
  // Destroying a body that is under way is an error of its own.
  body.on('error', () => {}).destroy();
}
