import { setTimeout as sleep } from 'node:timers/promises';
import type * as z from 'zod';
import type { CallerProof } from '../../access/proof.ts';
import { jsonIn } from '../../json-in.ts';
import { parseRetryAfter } from '../../notices/retry-after.ts';
import type { Secret } from '../../telemetry/secret.ts';
import type { Transport, TransportAnswer, TransportRequest } from '../../vault/transport.ts';
import { networkFault, problemIn, refusalIn, unfit } from './api-errors.ts';

/** One request to the HTTP API. */
export interface ApiRequest {
  readonly method: TransportRequest['method'];
  /** From `/v1` on; what is filled in was checked to mean nothing else in a path. */
  readonly path: string;
  /** What is undefined is left out. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Sent as JSON. */
  readonly body?: unknown;
}

export interface ApiClientOptions {
  /** Follows no redirect, so that what is sent reaches nobody else. */
  readonly transport: Transport;
  readonly prefix: string;
  readonly proof: CallerProof;
  /** Milliseconds for one answer, all told: longer than any gateway waits (API Gateway: 30 s). */
  readonly deadlineMs?: number;
  /** All waits because of 429 for one answer together, in milliseconds. */
  readonly longestWaitMs?: number;
  readonly wait?: (ms: number) => Promise<unknown>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

const DEADLINE_MS = 60_000;
const LONGEST_WAIT_MS = 30_000;
/** Where a 429 does not say for how long, and at least. */
const LEAST_WAIT_MS = 1_000;

/** Asks the HTTP API as one caller. */
export class ApiClient {
  readonly #options: ApiClientOptions;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #secret: Secret;

  constructor(options: ApiClientOptions) {
    this.#options = options;
    const { proof } = options;
    this.#secret = proof.kind === 'token' ? proof.token : proof.jwt;
    this.#headers = { accept: 'application/json', 'user-agent': 'leasekeeper-cli', ...headersOf(proof) };
  }

  /**
   * What is answered, by a schema. Throws `api_unreachable`, `api_tls_failed`, `api_timeout`, `api_redirected`, `api_denied`,
   * `api_rate_limited`, `api_unavailable`, `api_answer_invalid`; and as LeasekeeperError whatever a problem document says.
   */
  async ask<T extends z.ZodType>(request: ApiRequest, schema: T): Promise<z.output<T>> {
    const { status, body } = await this.#answer(request);
    const parsed = schema.safeParse(jsonIn(body));
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    const field =
      issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.map(String).join('.')}`;
    throw unfit(request, `${status}, with something other than was asked for${field}`);
  }

  /** What stands at a path, whatever its status; undefined when it does not fit. Throws where there is no answer, as `ask`. */
  async look<T extends z.ZodType>(path: string, schema: T): Promise<z.output<T> | undefined> {
    const { body } = await this.#exchange({ method: 'GET', path });
    return schema.safeParse(jsonIn(body)).data;
  }

  /** A request whose answer has no body. Throws as `ask`. */
  async send(request: ApiRequest): Promise<void> {
    await this.#answer(request);
  }

  async #answer(request: ApiRequest): Promise<TransportAnswer> {
    const { longestWaitMs = LONGEST_WAIT_MS, wait = sleep, now = Date.now } = this.#options;
    for (let waited = 0; ; ) {
      const answer = await this.#exchange(request);
      if (answer.status >= 200 && answer.status < 300) return answer;
      const asked = parseRetryAfter(answer.headers['retry-after'], now());
      const pause = Math.max(asked ?? 0, LEAST_WAIT_MS);
      if (!wasTurnedAway(answer) || waited + pause > longestWaitMs) {
        throw refusalIn(answer, request, { secret: this.#secret, waitMs: asked });
      }
      waited += pause;
      await wait(pause);
    }
  }

  async #exchange({ method, path, query = {}, body }: ApiRequest): Promise<TransportAnswer> {
    const { transport, prefix, deadlineMs = DEADLINE_MS } = this.#options;
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const search = given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
    try {
      return await transport.exchange({
        method,
        path: `${prefix}${path}${search}`,
        headers:
          body === undefined ? this.#headers : { ...this.#headers, 'content-type': 'application/json' },
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(deadlineMs),
      });
    } catch (error) {
      throw networkFault(error, { method, path });
    }
  }
}

/** By the rate of callers, or by a gateway: before anything was done. Vault's own quota may end a request halfway. */
function wasTurnedAway(answer: TransportAnswer): boolean {
  if (answer.status !== 429) return false;
  const problem = problemIn(answer);
  return problem === undefined || problem.code === 'caller_rate_exceeded';
}

/** As lib/host/request-proof.ts reads them. */
function headersOf(proof: CallerProof): Readonly<Record<string, string>> {
  if (proof.kind === 'token') return { 'x-vault-token': proof.token.expose() };
  return {
    authorization: `Bearer ${proof.jwt.expose()}`,
    'x-vault-role': proof.role,
    ...(proof.mount === undefined ? {} : { 'x-vault-auth-mount': proof.mount }),
  };
}
