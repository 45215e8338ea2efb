import { buildConnector, errors, Pool } from 'undici';
import type { ClientCertificate } from './client-certificate.ts';
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
  /** An answer with a larger body is an error. */
  readonly largestAnswerBytes?: number;
  /** PEM of a private CA, as VAULT_CACERT holds. */
  readonly ca?: string;
  /** What to show when asked for a certificate. Asked for each new connection, because certificates are replaced before they expire. */
  readonly clientCertificate?: () => ClientCertificate;
  /** With a client certificate: milliseconds after which a connection is replaced, however busy, and with it the certificate. */
  readonly connectionLifeMs?: number;
  readonly now?: () => number;
}

/** 32 MiB is Vault's own bound on a request; no answer we ask for comes near it. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;

/** Certificates are renewed hours before they expire: a minute more of the old one harms nobody. */
const CONNECTION_LIFE_MS = 60_000;

/**
 * Connections that were idle for longer are not used again. undici ends them by a timer, which stands still while a process is frozen (AWS
 * Lambda between invocations): what is on the way may have forgotten them, and a request would hang on them until its timeout.
 */
const KEEP_ALIVE_MS = 30_000;

/** A transport over a bounded pool of kept-alive connections. Throws VaultError `vault_unreachable` or `vault_timeout`. */
export function createTransport(options: TransportOptions): Transport {
  const { now = Date.now } = options;
  let pool = openPool(options);
  let underWay = 0;
  let usedAt = now();
  return {
    exchange: async (request) => {
      if (underWay === 0 && now() - usedAt >= KEEP_ALIVE_MS) {
        void pool.destroy().catch(() => {});
        pool = openPool(options);
      }
      underWay += 1;
      try {
        return await exchangeOn(pool, request);
      } finally {
        underWay -= 1;
        usedAt = now();
      }
    },
    close: () => pool.close(),
  };
}

function openPool(options: TransportOptions): Pool {
  return new Pool(new URL(options.address).origin, {
    connections: options.connections ?? 16,
    connect: connectorOf(options),
    // As over plain TCP, so that there is one way to know; the bundles are without the other.
    allowH2: false,
    clientTtl:
      options.clientCertificate === undefined ? null : (options.connectionLifeMs ?? CONNECTION_LIFE_MS),
    headersTimeout: options.answerTimeoutMs ?? 15_000,
    bodyTimeout: options.answerTimeoutMs ?? 15_000,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxResponseSize: options.largestAnswerBytes ?? LARGEST_ANSWER_BYTES,
  });
}

function connectorOf(options: TransportOptions): buildConnector.BuildOptions | buildConnector.connector {
  const { ca, clientCertificate } = options;
  const settings = {
    timeout: options.connectTimeoutMs ?? 3_000,
    allowH2: false,
    ...(ca === undefined ? {} : { ca }),
  };
  if (clientCertificate === undefined) return settings;
  return (target, callback) => {
    let connect: buildConnector.connector;
    try {
      // A connector of its own: a TLS session that is resumed stays that of the certificate it began with.
      connect = buildConnector({ ...settings, ...clientCertificate() });
    } catch (error) {
      callback(error instanceof Error ? error : new Error('no client certificate'), null);
      return;
    }
    connect(target, callback);
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

/** Errors that can only happen before a request was sent. */
const NOT_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'client_certificate_unreadable',
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
  if (first instanceof Error && 'code' in first && typeof first.code === 'string') return first.code;
  // Only some of the parser's errors have a code.
  return first instanceof errors.HTTPParserError ? first.name : 'unknown';
}
