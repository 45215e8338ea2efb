import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { problemOf, RequestError } from '../../access/problem.ts';
import { problemAnswer } from '../http-function.ts';
import { unrouted } from '../route-table.ts';

export type HttpHandler = (event: APIGatewayProxyEventV2) => Promise<APIGatewayProxyStructuredResultV2>;

/** Which handler serves which paths; the first match wins. */
export interface HttpRoutes {
  readonly prefix: string;
  /** Any, when left out. */
  readonly method?: string;
  readonly handler: HttpHandler;
}

export interface HttpServer {
  /** `http://127.0.0.1:8280` */
  readonly address: string;
  /**
   * Takes no more connections and lets requests under way end, within `longestRequestMs`. Each connection ends with its answer: a proxy
   * that always has one more request would keep its own, and with it the process, for ever.
   */
  close(): Promise<void>;
}

const LARGEST_BODY_BYTES = 128 * 1024;
/** As long as API Gateway waits for an answer; and the longest that a request may take to arrive. */
const LONGEST_REQUEST_MS = 30_000;

/** Serves HTTP functions as API Gateway's HTTP API would: same event, same answer. Throws Node's own error when it cannot listen. */
export async function startHttpServer(
  listen: { readonly host: string; readonly port: number },
  routes: readonly HttpRoutes[],
  longestRequestMs = LONGEST_REQUEST_MS,
): Promise<HttpServer> {
  const server = createServer((request, response) => {
    void answerTo(routes, request).then((result) => {
      if (!server.listening) response.setHeader('connection', 'close');
      send(response, result);
    });
  });
  server.requestTimeout = longestRequestMs;
  server.listen(listen.port, listen.host);
  await once(server, 'listening');
  return { address: addressOf(server, listen.host), close: () => closeServer(server, longestRequestMs) };
}

function addressOf(server: Server, host: string): string {
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function closeServer(server: Server, longestRequestMs: number): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeIdleConnections();
  // A server that is closing no longer looks at `requestTimeout`.
  const deadline = setTimeout(() => server.closeAllConnections(), longestRequestMs);
  await closed;
  clearTimeout(deadline);
}

/** Never rejects. */
async function answerTo(
  routes: readonly HttpRoutes[],
  request: IncomingMessage,
): Promise<APIGatewayProxyStructuredResultV2> {
  const requestId = randomUUID();
  try {
    const event = await eventOf(request, requestId);
    const { method: asked } = event.requestContext.http;
    const route = routes.find(
      ({ prefix, method = asked }) =>
        method === asked && (event.rawPath === prefix || event.rawPath.startsWith(`${prefix}/`)),
    );
    if (route === undefined) throw unrouted({ method: asked, path: event.rawPath });
    return await route.handler(event);
  } catch (error) {
    return problemAnswer(problemOf(error), requestId);
  }
}

function send(response: ServerResponse, result: APIGatewayProxyStructuredResultV2): void {
  response.statusCode = result.statusCode ?? 200;
  for (const [name, value] of Object.entries(result.headers ?? {})) response.setHeader(name, String(value));
  response.end(result.body);
}

/** API Gateway's payload format 2.0 (AWS: "Create AWS Lambda proxy integrations for HTTP APIs"). */
async function eventOf(request: IncomingMessage, requestId: string): Promise<APIGatewayProxyEventV2> {
  // Taken apart by hand: a URL parser would straighten `..` before anybody could refuse it.
  const [target = '/', ...rest] = (request.url ?? '/').split('?');
  const query = rest.join('?');
  const path = pathOf(target);
  const method = request.method ?? 'GET';
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(',') : value,
    ]),
  );
  const body = await bodyOf(request);
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    headers,
    queryStringParameters: parametersIn(query),
    requestContext: {
      accountId: '000000000000',
      apiId: 'local',
      domainName: 'localhost',
      domainPrefix: 'local',
      http: {
        method,
        path,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: request.socket.remoteAddress ?? '',
        userAgent: request.headers['user-agent'] ?? '',
      },
      requestId,
      routeKey: '$default',
      stage: '$default',
      time: new Date().toISOString(),
      timeEpoch: Date.now(),
    },
    ...(body === undefined ? {} : { body }),
    isBase64Encoded: false,
  };
}

/** One that is given several times is all of them, with commas between. */
function parametersIn(query: string): Record<string, string> {
  const given = new URLSearchParams(query);
  return Object.fromEntries([...given.keys()].map((name) => [name, given.getAll(name).join(',')]));
}

function pathOf(target: string): string {
  try {
    if (target.startsWith('/')) return decodeURIComponent(target);
  } catch {
    // Not well encoded: the same answer as below.
  }
  throw new RequestError(400, 'path_invalid', 'The path of the request is not a well encoded path.');
}

async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > LARGEST_BODY_BYTES)
      throw new RequestError(413, 'body_too_large', 'The body is larger than 64 KiB.');
    chunks.push(bytes);
  }
  return size === 0 ? undefined : Buffer.concat(chunks).toString();
}
