import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { correlationId } from '../telemetry/correlation.ts';
import { encodePath, joinPath } from './addressing.ts';
import { clockOffset } from './clock-offset.ts';
import { presentable, refusalOf, VaultError } from './errors.ts';
import { DEFAULT_RETRY, type RetryPolicy, retryWait } from './retry.ts';
import type { Transport, TransportAnswer, TransportRequest } from './transport.ts';
import { laterIndex } from './vault-index.ts';

/** Vault's verbs. LIST travels as `GET …?list=true`, which every proxy lets through. */
export type VaultMethod = TransportRequest['method'] | 'LIST';

export interface VaultRequest {
  readonly method: VaultMethod;
  /** Without `/v1/`, namespace included: `lotabots/database/creds/api-gateway`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Whether doing it twice is as good as once. Reads, renewals and revocations are; issuing is not. */
  readonly repeatable: boolean;
  /** Seconds; the answer then holds a wrapping token in place of the data. */
  readonly wrapTtlSeconds?: number;
  /** An answer of 404 is data here (a missing key), not an error. */
  readonly missingIsAnswer?: boolean;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/** A parsed answer. `body` is still unknown: parse it with `parseAnswer`. */
export interface VaultAnswer {
  readonly status: number;
  readonly body: unknown;
  /** Vault's id of the request, for its audit log. Empty for 204. */
  readonly requestId: string;
}

/** What one attempt at a request came to. For counting and metrics: no token, no body. */
export interface VaultExchange {
  readonly method: VaultMethod;
  readonly path: string;
  /** Undefined when no answer came. */
  readonly status: number | undefined;
  readonly durationMs: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** Anything that requests can be sent through: with a token of its own, or without one. */
export interface Vault {
  request(request: VaultRequest): Promise<VaultAnswer>;
  /** Milliseconds since the epoch by Vault's own clock. */
  now(): number;
}

export interface VaultClientOptions {
  readonly transport: Transport;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly retry?: Partial<RetryPolicy>;
  readonly onExchange?: (exchange: VaultExchange) => void;
}

const errorsBody = z.object({ errors: z.array(z.string()).nullish() });
const requestIdBody = z.object({ request_id: z.string() });

/**
 * Speaks Vault's HTTP API: retries what is safe to repeat, tells errors apart, keeps Vault's clock, and reads what it has written
 * also behind a load balancer (`X-Vault-Index`). Throws VaultError.
 */
export class VaultClient implements Vault {
  readonly #transport: Transport;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #retry: RetryPolicy;
  readonly #onExchange: (exchange: VaultExchange) => void;
  #clockOffsetMs = 0;
  #index: string | undefined;

  constructor(options: VaultClientOptions) {
    this.#transport = options.transport;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
    this.#retry = { ...DEFAULT_RETRY, ...options.retry };
    this.#onExchange = options.onExchange ?? (() => {});
  }

  now(): number {
    return this.#now() + this.#clockOffsetMs;
  }

  request(request: VaultRequest): Promise<VaultAnswer> {
    return this.requestWith(undefined, request);
  }

  /** The same as `request`, with a token. Only sessions call it. */
  async requestWith(token: string | undefined, request: VaultRequest): Promise<VaultAnswer> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#attempt(token, request);
      } catch (error) {
        const wait = retryWait(error, attempt, request.repeatable, this.#retry, this.#random);
        if (wait === undefined) throw error;
        await sleep(wait, undefined, request.signal ? { signal: request.signal } : {});
      }
    }
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #attempt(token: string | undefined, request: VaultRequest): Promise<VaultAnswer> {
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const started = this.#now();
    let answer: TransportAnswer | undefined;
    try {
      answer = await this.#transport.exchange({
        method: request.method === 'LIST' ? 'GET' : request.method,
        path: urlPath(request),
        headers: this.#headers(token, request, body !== undefined),
        body,
        signal: request.signal,
      });
    } finally {
      this.#onExchange({
        method: request.method,
        path: request.path,
        status: answer?.status,
        durationMs: this.#now() - started,
        bytesSent: body?.length ?? 0,
        bytesReceived: answer?.body.length ?? 0,
      });
    }
    this.#learnFrom(request, answer, started);
    return this.#read(request, answer);
  }

  #headers(token: string | undefined, request: VaultRequest, hasBody: boolean): Record<string, string> {
    const correlation = correlationId();
    return {
      'x-vault-request': 'true',
      ...(hasBody ? { 'content-type': request.contentType ?? 'application/json' } : {}),
      ...(token === undefined ? {} : { 'x-vault-token': token }),
      // Vault's audit log has it once it was told to (docs/audit.md): a refusal comes without any id of Vault's own.
      ...(correlation === undefined ? {} : { 'x-correlation-id': correlation }),
      ...(request.wrapTtlSeconds === undefined ? {} : { 'x-vault-wrap-ttl': `${request.wrapTtlSeconds}s` }),
      // A standby that has not caught up with what we have seen or written passes the read on to the active node.
      ...(this.#index === undefined
        ? {}
        : { 'x-vault-index': this.#index, 'x-vault-inconsistent': 'forward-active-node' }),
    };
  }

  #learnFrom(request: VaultRequest, answer: TransportAnswer, started: number): void {
    const index = answer.headers['x-vault-index'];
    const wrote = request.method !== 'GET' && request.method !== 'LIST';
    // Learned from reads too: what one node has shown us, another must not take back within the same scan.
    if (index !== undefined) this.#index = laterIndex(this.#index, index, wrote);
    const date = Date.parse(answer.headers.date ?? '');
    if (Number.isNaN(date)) return;
    const dated = { date, sentAt: started, receivedAt: this.#now() };
    this.#clockOffsetMs = clockOffset(this.#clockOffsetMs, dated);
  }

  #read(request: VaultRequest, answer: TransportAnswer): VaultAnswer {
    const missing = answer.status === 404 && request.missingIsAnswer === true;
    if (answer.status >= 300 && !missing) throw refused(request, answer, this.now());
    if (answer.body === '') return { status: answer.status, body: undefined, requestId: '' };
    const body = parseJson(request, answer.body);
    const id = requestIdBody.safeParse(body);
    return { status: answer.status, body, requestId: id.success ? id.data.request_id : '' };
  }
}

function urlPath(request: VaultRequest): string {
  const path = `/v1/${encodePath(joinPath(request.path))}`;
  const query = { ...request.query, ...(request.method === 'LIST' ? { list: 'true' } : {}) };
  return Object.keys(query).length === 0 ? path : `${path}?${new URLSearchParams(query).toString()}`;
}

function parseJson(request: VaultRequest, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // JSON's own message quotes the text, which may be a secret: it is left out, cause and all.
    throw new VaultError(
      'vault_invalid_answer',
      `${label(request)} was answered with something other than JSON.`,
    );
  }
}

function refused(request: VaultRequest, answer: TransportAnswer, now: number): VaultError {
  const reasons = presentable(reasonsIn(answer.body));
  const { code, processed } = refusalOf(answer.status, reasons);
  const retryAfterMs = parseRetryAfter(answer.headers['retry-after'], now);
  return new VaultError(
    code,
    `${label(request)} was answered ${answer.status}${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`,
    {
      status: answer.status,
      reasons,
      ...(processed === undefined ? {} : { processed }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    },
  );
}

function label(request: VaultRequest): string {
  return `${request.method} ${request.path}`;
}

function reasonsIn(body: string): string[] {
  try {
    return errorsBody.parse(JSON.parse(body)).errors ?? [];
  } catch {
    // A proxy's HTML page: the status alone decides.
    return [];
  }
}

/** Milliseconds of a Retry-After header in either form (RFC 9110, 10.2.3). */
function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined;
  const seconds = Number(value);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1_000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Parses an answer; what does not fit is `vault_invalid_answer`, naming fields but no values. */
export function parseAnswer<T extends z.ZodType>(
  schema: T,
  answer: VaultAnswer,
  operation: string,
): z.infer<T> {
  const parsed = schema.safeParse(answer.body);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
  throw new VaultError(
    'vault_invalid_answer',
    `${operation}: Vault's answer does not fit at: ${fields || 'the top'}.`,
  );
}
