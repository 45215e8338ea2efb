import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { type ListeningServer, listening } from './listening.ts';

export type NgcOperation = 'create' | 'test' | 'revoke' | 'list';

/**
 * How a request fails. `error_before` and `error_after`: 500, before or after it was done. `lost_answer`: done, then the connection
 * breaks.
 */
export type NgcFault =
  | 'unauthorized'
  | 'forbidden'
  | 'error_before'
  | 'error_after'
  | 'lost_answer'
  | { readonly retryAfter: string };

export interface NgcRequest {
  readonly method: string;
  readonly path: string;
  /** Whether it came with the admin key; for `test`, with a key that lives. */
  readonly authorised: boolean;
}

export interface NgcKey {
  readonly keyId: string;
  readonly name: string;
  readonly type: string;
  readonly value: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  lastUsedAt: number | undefined;
}

export interface NgcServerOptions {
  readonly org?: string;
  readonly now?: () => number;
}

const creation = z.object({
  name: z.string().min(1),
  expiryDate: z.iso.datetime(),
  type: z.string(),
  policies: z.array(z.object({ product: z.string() })).min(1),
});

interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly retryAfter?: string;
}

interface Call {
  readonly operation: NgcOperation;
  readonly keyId: string;
  readonly type: string;
  readonly authorised: boolean;
  /** For `test`, the key that it asks about. */
  readonly body: string;
}

/**
 * NVIDIA NGC's key endpoints as its own programs use them, on a free loopback port: a stand-in that checks what the service checks. Its
 * list is made up. Keys that have expired are dead.
 */
export class NgcServer {
  /** Makes, lists and deletes keys. */
  readonly adminKey = newKey();
  readonly org: string;
  readonly requests: NgcRequest[] = [];
  readonly #keys = new Map<string, NgcKey>();
  readonly #faults: Record<NgcOperation, NgcFault[]> = { create: [], test: [], revoke: [], list: [] };
  readonly #now: () => number;
  #running: ListeningServer | undefined;

  private constructor({ org = 'acme-0001', now = Date.now }: NgcServerOptions) {
    this.org = org;
    this.#now = now;
  }

  static async start(options: NgcServerOptions = {}): Promise<NgcServer> {
    const ngc = new NgcServer(options);
    const server = createServer((request, response) => {
      ngc.#serve(request, response).catch(() => response.destroy());
    });
    ngc.#running = await listening(server);
    return ngc;
  }

  /** For `base_url`. */
  get url(): string {
    return `http://127.0.0.1:${this.#running?.port}`;
  }

  async close(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]();
  }

  /** Has the next requests of an operation fail. */
  fail(operation: NgcOperation, fault: NgcFault, times = 1): void {
    this.#faults[operation].push(...Array.from({ length: times }, () => fault));
  }

  liveKeys(): readonly NgcKey[] {
    return [...this.#keys.values()].filter(({ expiresAt }) => expiresAt > this.#now());
  }

  /** What a service does with its key: true when the key works. */
  use(value: string): boolean {
    const key = this.liveKeys().find((one) => one.value === value);
    if (key !== undefined) key.lastUsedAt = this.#now();
    return key !== undefined;
  }

  /** As somebody would in its console. */
  revoke(keyId: string): void {
    this.#keys.delete(keyId);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const { method = '', url = '' } = request;
    const call = this.#callOf(method, url, request, body);
    this.requests.push({ method, path: url, authorised: call?.authorised ?? false });
    if (call === undefined) return send(response, { status: 404 });
    const fault = this.#faults[call.operation].shift();
    const instead = fault === undefined ? undefined : answerBefore(fault);
    if (instead !== undefined) return send(response, instead);
    const answer = this.#answer(call);
    if (fault === 'lost_answer') response.destroy();
    else send(response, fault === 'error_after' ? { status: 500 } : answer);
  }

  #callOf(method: string, url: string, { headers }: IncomingMessage, body: string): Call | undefined {
    if (method === 'POST' && url === '/v3/keys/get-caller-info') {
      const form = headers['content-type'] === 'application/x-www-form-urlencoded' ? body : '';
      const credentials = new URLSearchParams(form).get('credentials') ?? '';
      const authorised = this.liveKeys().some(({ value }) => value === credentials);
      return { operation: 'test', keyId: '', type: '', authorised, body: credentials };
    }
    const [, org, keyId = '', type = ''] =
      KEYS.exec(url)?.map((part) => decodeURIComponent(part ?? '')) ?? [];
    const operation = OPERATIONS[`${method} ${keyId === '' ? 'keys' : 'key'}`];
    if (org !== this.org || operation === undefined) return undefined;
    const authorised = headers.authorization === `Bearer ${this.adminKey}`;
    return { operation, keyId, type, authorised, body };
  }

  #answer(call: Call): Answer {
    if (call.operation === 'test') return this.#callerInfo(call);
    if (!call.authorised) return { status: 401, body: { requestStatus: { statusCode: 'UNAUTHORIZED' } } };
    if (call.operation === 'create') return this.#create(call);
    if (call.operation === 'revoke') return { status: this.#delete(call) ? 200 : 404, body: {} };
    const ofType = this.liveKeys().filter(({ type }) => type === call.type);
    return { status: 200, body: { apiKeys: ofType.map(shown) } };
  }

  #create({ type, body }: Call): Answer {
    const parsed = creation.safeParse(parseJson(body));
    if (!parsed.success || parsed.data.type !== type) return { status: 400 };
    const { name, expiryDate } = parsed.data;
    const expiresAt = Date.parse(expiryDate);
    if (expiresAt <= this.#now()) return { status: 400 };
    if (this.liveKeys().some((one) => one.name === name)) return { status: 409 };
    const key: NgcKey = {
      keyId: randomUUID(),
      name,
      type,
      value: newKey(),
      expiresAt,
      lastUsedAt: undefined,
    };
    this.#keys.set(key.keyId, key);
    return { status: 200, body: { apiKey: { ...shown(key), value: key.value } } };
  }

  #delete({ keyId, type }: Call): boolean {
    const live = this.liveKeys().some((one) => one.keyId === keyId && one.type === type);
    return live && this.#keys.delete(keyId);
  }

  #callerInfo({ body: credentials }: Call): Answer {
    const key = this.liveKeys().find(({ value }) => value === credentials);
    if (key === undefined || !this.use(credentials)) return { status: 401 };
    return { status: 200, body: { type: key.type, orgName: this.org, products: [], user: null } };
  }
}

const KEYS = /^\/v3\/orgs\/([^/]+)\/keys(?:\/([^/]+))?\/type\/([^/]+)$/;
const OPERATIONS: Readonly<Record<string, NgcOperation>> = {
  'POST keys': 'create',
  'GET keys': 'list',
  'DELETE key': 'revoke',
};

/** Undefined for a fault that comes after the work. */
function answerBefore(fault: NgcFault): Answer | undefined {
  if (typeof fault === 'object') return { status: 429, retryAfter: fault.retryAfter };
  const status = { unauthorized: 401, forbidden: 403, error_before: 500 };
  return fault === 'error_after' || fault === 'lost_answer' ? undefined : { status: status[fault] };
}

function send(response: ServerResponse, { status, body, retryAfter }: Answer): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }),
  });
  response.end(JSON.stringify(body ?? { requestStatus: { statusCode: 'ERROR' } }));
}

/** `nvapi-` and 64 characters. */
function newKey(): string {
  return `nvapi-${randomBytes(48).toString('base64url')}`;
}

function shown({ keyId, name, type, expiresAt, lastUsedAt }: NgcKey) {
  const lastUsedDate = lastUsedAt === undefined ? null : new Date(lastUsedAt).toISOString();
  return { keyId, name, type, expiryDate: new Date(expiresAt).toISOString(), lastUsedDate };
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
