import { errors, Pool } from 'undici';
import { VaultError } from './errors.ts';

export interface TransportRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  /** From `/v1/` on, query included. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface TransportAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
}

/** One HTTP exchange with one Vault address. The port that tests replace to count, delay or kill. */
export interface Transport {
  exchange(request: TransportRequest): Promise<TransportAnswer>;
  close(): Promise<void>;
}

export interface TransportOptions {
  /** `http(s)://host:port`, as VAULT_ADDR. */
  readonly address: string;
  /** Most connections at once; further requests wait in line. */
  readonly connections?: number;
  /** Milliseconds for connecting, and again for the answer. */
  readonly connectTimeoutMs?: number;
  readonly answerTimeoutMs?: number;
  /** PEM of a private CA, as VAULT_CACERT holds. */
  readonly ca?: string;
}

/** 32 MiB is Vault's own bound on a request; no answer we ask for comes near it. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;

/** A transport over a bounded pool of kept-alive connections. Throws VaultError `vault_unreachable` or `vault_timeout`. */
export function createTransport(options: TransportOptions): Transport {
  const pool = new Pool(new URL(options.address).origin, {
    connections: options.connections ?? 16,
    connect: {
      timeout: options.connectTimeoutMs ?? 3_000,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    },
    headersTimeout: options.answerTimeoutMs ?? 15_000,
    bodyTimeout: options.answerTimeoutMs ?? 15_000,
    keepAliveTimeout: 30_000,
    maxResponseSize: LARGEST_ANSWER_BYTES,
  });
  return {
    exchange: (request) => exchangeOn(pool, request),
    close: () => pool.close(),
  };
}

async function exchangeOn(pool: Pool, request: TransportRequest): Promise<TransportAnswer> {
  try {
    const answer = await pool.request({
      method: request.method,
      path: request.path,
      headers: request.headers,
      body: request.body ?? null,
      signal: request.signal ?? null,
    });
    return { status: answer.statusCode, headers: flat(answer.headers), body: await answer.body.text() };
  } catch (error) {
    throw faultOf(error, request.signal);
  }
}

function flat(headers: Record<string, string | string[] | undefined>): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );
}

/** Socket errors that can only happen before a request was sent. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function faultOf(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  const reason = socketCode(error);
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) {
    return new VaultError('vault_timeout', 'Vault did not answer in time.', {
      processed: 'maybe',
      reasons: [reason],
    });
  }
  const processed = NOT_SENT.has(reason) ? 'no' : 'maybe';
  return new VaultError('vault_unreachable', `Vault cannot be reached (${reason}).`, {
    processed,
    reasons: [reason],
  });
}

/** The socket's error code; of a failed dual-stack connect, that of its first address. */
function socketCode(error: unknown): string {
  const first = error instanceof AggregateError ? error.errors[0] : error;
  return first instanceof Error && 'code' in first && typeof first.code === 'string' ? first.code : 'unknown';
}
