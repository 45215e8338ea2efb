import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** Stands between a host and its Vault and sees every secret that goes over the way. */
export interface RecordingProxy {
  readonly address: string;
  /** Tokens, passwords and values that were sent or answered, each once. */
  readonly secrets: ReadonlySet<string>;
  /** What was answered, in its order. */
  readonly exchanges: readonly RecordedExchange[];
  close(): Promise<void>;
}

export interface RecordedExchange {
  readonly method: string;
  /** From `/v1/` on. */
  readonly path: string;
  readonly status: number;
}

/** Keys under which Vault's answers, and our requests, carry what nobody else may see. */
const SECRET_KEYS: ReadonlySet<string> = new Set(['token', 'client_token', 'password', 'secret_id', 'jwt']);

/** Passes every request on to the real Vault. */
export async function startRecordingProxy(target: string): Promise<RecordingProxy> {
  const secrets = new Set<string>();
  const exchanges: RecordedExchange[] = [];
  const server = createServer((request, response) => {
    void pass(target, request, secrets).then(({ status, headers, body }) => {
      exchanges.push({ method: request.method ?? '', path: request.url ?? '', status });
      response.writeHead(status, headers).end(body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return {
    address: `http://127.0.0.1:${port}`,
    secrets,
    exchanges,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function pass(target: string, request: IncomingMessage, secrets: Set<string>) {
  const sent = await buffer(request);
  const { host: _host, connection: _connection, ...headers } = request.headers;
  const token = headers['x-vault-token'];
  if (typeof token === 'string') secrets.add(token);
  collect(sent.toString(), secrets);
  const answer = await fetch(target + (request.url ?? ''), {
    method: request.method ?? 'GET',
    headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
    ...(sent.length === 0 ? {} : { body: sent }),
  });
  const body = await answer.text();
  collect(body, secrets);
  return { status: answer.status, headers: { 'content-type': 'application/json' }, body };
}

function collect(text: string, secrets: Set<string>): void {
  if (text === '') return;
  JSON.parse(text, (key: string, value: unknown) => {
    if (SECRET_KEYS.has(key) && typeof value === 'string' && value !== '') secrets.add(value);
    return value;
  });
}
