import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { RequestError } from '../../lib/access/problem.ts';
import { LeasekeeperError } from '../../lib/errors.ts';
import { fetchRoutes } from '../../lib/host/fetch-routes.ts';
import {
  failuresTo,
  type HttpAnswer,
  type HttpRequest,
  httpRoute,
  routed,
} from '../../lib/host/http-function.ts';
import { bodyOf } from '../../lib/host/json-body.ts';
import { localContext } from '../../lib/host/local/lambda-invocation.ts';
import { processRoutes } from '../../lib/host/local/process-routes.ts';
import { proofIn } from '../../lib/host/request-proof.ts';
import { createLogger } from '../../lib/telemetry/log.ts';
import { type LogFields, logFields, withLogFieldsOnly } from '../../lib/telemetry/log-fields.ts';
import { VaultError } from '../../lib/vault/errors.ts';

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
};
const LIMIT = 64 * 1024;

function eventOf(changes: Partial<APIGatewayProxyEventV2> = {}): APIGatewayProxyEventV2 {
  return {
    version: '2.0',
    routeKey: 'POST /v1/leases',
    rawPath: '/v1/leases',
    rawQueryString: '',
    headers: {},
    isBase64Encoded: false,
    requestContext: {
      accountId: '123456789012',
      apiId: 'api',
      domainName: 'api.example.com',
      domainPrefix: 'api',
      http: {
        method: 'POST',
        path: '/v1/leases',
        protocol: 'HTTP/1.1',
        sourceIp: '192.0.2.1',
        userAgent: 'test',
      },
      requestId: 'request-1',
      routeKey: 'POST /v1/leases',
      stage: '$default',
      time: '21/Nov/2026:12:00:00 +0000',
      timeEpoch: 1_795_262_400_000,
    },
    ...changes,
  };
}

const requestWith = (headers: Record<string, string>, body?: string): HttpRequest => ({
  method: 'POST',
  path: '/v1/leases',
  parameters: {},
  query: {},
  headers,
  body,
  requestId: 'request-1',
});

const answerTo = (handle: (request: HttpRequest) => HttpAnswer, event = eventOf()) =>
  httpRoute(async (request) => handle(request))(event);
const answerToThrown = (error: unknown) =>
  answerTo(() => {
    throw error;
  });
const problemIn = (answer: APIGatewayProxyStructuredResultV2): unknown => JSON.parse(answer.body ?? '');

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('Nothing was thrown.');
}

describe('an answer', () => {
  it('carries its body as JSON, the request id and the security headers', async () => {
    const answer = await answerTo(() => ({ status: 201, headers: { etag: '"1"' }, body: { a: 1 } }));
    expect(answer).toEqual({
      statusCode: 201,
      headers: {
        ...SECURITY_HEADERS,
        'x-request-id': 'request-1',
        'content-type': 'application/json',
        etag: '"1"',
      },
      body: '{"a":1}',
    });
  });

  it('has no body and no type when there is nothing to say', async () => {
    const answer = await answerTo(() => ({ status: 304 }));
    expect(answer).toEqual({
      statusCode: 304,
      headers: { ...SECURITY_HEADERS, 'x-request-id': 'request-1' },
    });
  });

  it('comes from a request as the handler sees it', async () => {
    let seen: HttpRequest | undefined;
    const event = eventOf({
      pathParameters: { name: 'db', other: undefined },
      queryStringParameters: { revoke: 'immediately' },
      headers: { 'x-vault-role': 'api-gateway' },
      body: Buffer.from('{"path":"ä"}').toString('base64'),
      isBase64Encoded: true,
    });
    await answerTo((request) => {
      seen = request;
      return { status: 200 };
    }, event);
    expect(seen).toEqual({
      method: 'POST',
      path: '/v1/leases',
      parameters: { name: 'db' },
      query: { revoke: 'immediately' },
      headers: { 'x-vault-role': 'api-gateway' },
      body: '{"path":"ä"}',
      requestId: 'request-1',
    });
  });
});

describe('a problem', () => {
  it.each([
    [new RequestError(422, 'body_invalid', 'It will not do.', 'Try again.'), 422, 'body_invalid'],
    [new VaultError('vault_denied', 'Vault denies it.', { processed: 'no' }), 403, 'vault_denied'],
    [
      new VaultError('vault_unreachable', 'Vault cannot be reached.', { processed: 'no' }),
      503,
      'vault_unreachable',
    ],
    [new VaultError('vault_timeout', 'Vault did not answer.', { processed: 'maybe' }), 504, 'vault_timeout'],
    [new LeasekeeperError('shard_full', 'The shard is full.'), 500, 'shard_full'],
  ])('of ours is told with its code: %s', async (error, status, code) => {
    const answer = await answerToThrown(error);
    expect(answer.statusCode).toBe(status);
    expect(answer.headers).toMatchObject({
      ...SECURITY_HEADERS,
      'content-type': 'application/problem+json',
      'x-request-id': 'request-1',
    });
    expect(problemIn(answer)).toMatchObject({
      type: `urn:leasekeeper:problem:${code}`,
      title: expect.any(String),
      status,
      detail: error.message,
      code,
      request_id: 'request-1',
    });
  });

  it.each([
    new Error('password is hunter2'),
    Object.assign(new Error('connect hunter2'), { code: 'ECONNRESET' }),
    new TypeError('hunter2 is not a function'),
    'hunter2',
    { secret: 'hunter2' },
  ])('that is not ours is `internal`, and nothing of it is told: %s', async (error) => {
    const answer = await answerToThrown(error);
    expect(answer.statusCode).toBe(500);
    expect(problemIn(answer)).toMatchObject({ code: 'internal' });
    expect(JSON.stringify(answer)).not.toContain('hunter2');
  });

  it('says how to authenticate, and when to come back', async () => {
    const unknown = await answerToThrown(new RequestError(401, 'caller_missing', 'Who?'));
    expect(unknown.headers).toMatchObject({ 'www-authenticate': 'Bearer' });
    const limited = await answerToThrown(
      new VaultError('vault_rate_limited', 'Too many.', { processed: 'no', retryAfterMs: 2_400 }),
    );
    expect(limited.headers).toMatchObject({ 'retry-after': '3' });
    expect(problemIn(limited)).not.toHaveProperty('retryAfterSeconds');
  });
});

describe('a function behind HTTP', () => {
  const handler = routed(
    processRoutes({
      health: { scannedAt: 0, failing: false, triedAt: 0, stopping: false },
      scanIntervalMs: 1_000,
      now: () => 2_000,
      metrics: { text: () => Promise.resolve('a 1\n'), contentType: 'text/plain; version=0.0.4' },
    }),
  );
  const answerAt = (method: string, path: string) => {
    const { requestContext } = eventOf();
    const http = { ...requestContext.http, method, path };
    const event = eventOf({ rawPath: path, requestContext: { ...requestContext, http } });
    return handler(event, localContext('test'));
  };

  it.each([
    ['GET', '/healthz', 200, 'application/json'],
    ['GET', '/livez', 200, 'application/json'],
    ['GET', '/readyz', 503, 'application/json'],
    ['GET', '/metrics', 200, 'text/plain; version=0.0.4'],
    ['GET', '/healthz/deeper', 404, 'application/problem+json'],
    ['DELETE', '/metrics', 405, 'application/problem+json'],
    ['GET', `/${'a'.repeat(1_025)}`, 414, 'application/problem+json'],
  ])('%s %s has the headers of every answer', async (method, path, statusCode, type) => {
    expect(await answerAt(method, path)).toMatchObject({
      statusCode,
      headers: { ...SECURITY_HEADERS, 'x-request-id': 'request-1', 'content-type': type },
    });
  });

  it('answers text as it is, and health as JSON', async () => {
    expect(await answerAt('GET', '/metrics')).toMatchObject({ body: 'a 1\n' });
    expect(await answerAt('GET', '/healthz')).toMatchObject({
      body: '{"status":"ok","seconds_since_scan":2}',
    });
  });

  it('says which methods there are', async () => {
    const answer = await answerAt('POST', '/healthz');
    expect(answer).toMatchObject({ statusCode: 405, headers: { allow: 'GET' } });
    expect(problemIn(answer)).toMatchObject({ code: 'method_not_allowed', request_id: 'request-1' });
  });

  it.each<[string, Record<string, unknown>]>([
    ['nothing', {}],
    ['an event of another form', { version: '1.0', httpMethod: 'GET', path: '/healthz' }],
    ['no path', { ...eventOf(), rawPath: '' }],
    ['headers that are none', { ...eventOf(), headers: 'hunter2' }],
    ['an event of a queue', { Records: [{ body: 'hunter2' }] }],
  ])('called with %s answers that, and nothing of it', async (_, event) => {
    // Whatever somebody calls a function with, it is typed as an event.
    const answer: APIGatewayProxyStructuredResultV2 = await Reflect.apply(handler, undefined, [
      event,
      localContext('test'),
    ]);
    expect(answer).toMatchObject({ statusCode: 400, headers: SECURITY_HEADERS });
    expect(problemIn(answer)).toMatchObject({ code: 'request_malformed' });
    expect(JSON.stringify(answer)).not.toContain('hunter2');
  });
});

describe('a body', () => {
  const sized = (body: string, isBase64Encoded = false) =>
    answerTo(() => ({ status: 200 }), eventOf({ body, isBase64Encoded }));

  it.each([
    ['up to the limit', 'a'.repeat(LIMIT), false, 200],
    ['above it', 'a'.repeat(LIMIT + 1), false, 413],
    ['counted in bytes, not letters', 'ä'.repeat(LIMIT / 2 + 1), false, 413],
    ['at the limit once it is decoded', Buffer.alloc(LIMIT, 'a').toString('base64'), true, 200],
    ['above it once it is decoded', Buffer.alloc(LIMIT + 1, 'a').toString('base64'), true, 413],
  ])('%s', async (_, body, encoded, status) => {
    expect((await sized(body, encoded)).statusCode).toBe(status);
  });

  it('that is too large reaches no handler', async () => {
    const answer = await answerTo(
      () => {
        throw new Error('reached');
      },
      eventOf({ body: 'a'.repeat(LIMIT + 1) }),
    );
    expect(problemIn(answer)).toMatchObject({ code: 'body_too_large' });
  });

  const schema = z.strictObject({ path: z.string(), ttl: z.number().optional() });

  it('is read by its schema', () => {
    expect(bodyOf(schema, requestWith({}, '{"path":"a","ttl":5}'))).toEqual({ path: 'a', ttl: 5 });
  });

  it.each([undefined, '', 'hunter2', '{"path":"hunter2"'])('that is not JSON is refused: %s', (body) => {
    const error = thrownBy(() => bodyOf(schema, requestWith({}, body)));
    expect(error).toMatchObject({ status: 400, code: 'body_not_json' });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
  });

  it.each([
    ['null', 'body'],
    ['["hunter2"]', 'body'],
    ['{"path":5}', 'path'],
    ['{"path":"a","ttl":"hunter2"}', 'ttl'],
    ['{"ttl":1}', 'path'],
  ])('of another form is refused by field, without values: %s', (body, field) => {
    const error = thrownBy(() => bodyOf(schema, requestWith({}, body)));
    expect(error).toMatchObject({
      status: 422,
      code: 'body_invalid',
      message: expect.stringContaining(`${field}:`),
    });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
  });
});

describe('a body by its type', () => {
  const schema = z.strictObject({ a: z.number() });
  const typed = (type: string | undefined) =>
    requestWith(type === undefined ? {} : { 'content-type': type }, '{"a":1}');

  it.each([
    undefined,
    '',
    'application/json',
    'APPLICATION/JSON; charset=utf-8',
    'application/problem+json',
    // What `curl -d` says.
    'application/x-www-form-urlencoded',
  ])('is read: %s', (type) => {
    expect(bodyOf(schema, typed(type))).toEqual({ a: 1 });
  });

  it.each([
    'text/plain;charset=UTF-8',
    'multipart/form-data',
    'application/xml',
    'application/jsonx',
    'hunter2',
  ])('is refused: %s', (type) => {
    const error = thrownBy(() => bodyOf(schema, typed(type)));
    expect(error).toMatchObject({ status: 415, code: 'content_type_unsupported' });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
  });

  it('does not matter when there is none', () => {
    const none = requestWith({ 'content-type': 'text/plain' });
    expect(thrownBy(() => bodyOf(schema, none))).toMatchObject({ code: 'body_not_json' });
  });
});

describe('the shape of a body', () => {
  const nested = (levels: number) => `${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
  const keys = (count: number) =>
    JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1])));
  const read = (body: string) => bodyOf(z.unknown(), requestWith({}, body));

  it.each([
    ['eight levels', nested(8)],
    ['two hundred keys', keys(200)],
    ['two hundred keys on several levels', `[${keys(100)},${keys(100)}]`],
    ['many elements', JSON.stringify(Array.from({ length: 10_000 }, () => 0))],
  ])('may have %s', (_, body) => {
    expect(read(body)).toEqual(JSON.parse(body));
  });

  it.each([
    ['nine levels', nested(9)],
    ['nine levels of lists', `${'['.repeat(9)}${']'.repeat(9)}`],
    ['as many levels as there is room for', `${'['.repeat(32_000)}${']'.repeat(32_000)}`],
    ['201 keys', keys(201)],
    ['201 keys on several levels', `[${keys(100)},${keys(101)}]`],
  ])('is refused with %s', (_, body) => {
    expect(thrownBy(() => read(body))).toMatchObject({ status: 422, code: 'body_too_deep' });
  });
});

describe('who asks', () => {
  it('is a service account with a role', () => {
    const proof = proofIn(
      requestWith({ authorization: 'Bearer hunter2.jwt', 'x-vault-role': 'api-gateway' }),
    );
    expect(proof).toMatchObject({ kind: 'jwt', role: 'api-gateway' });
    expect(proof).not.toHaveProperty('mount');
    expect(proof.kind === 'jwt' && proof.jwt.expose()).toBe('hunter2.jwt');
    expect(JSON.stringify(proof)).not.toContain('hunter2');
  });

  it('is whoever has a Vault token, before anything else', () => {
    const proof = proofIn(requestWith({ authorization: 'Bearer jwt', 'x-vault-token': 'hunter2' }));
    expect(proof.kind === 'token' && proof.token.expose()).toBe('hunter2');
    expect(JSON.stringify(proof)).not.toContain('hunter2');
  });

  it('may write `bearer` as it likes', () => {
    const proof = proofIn(requestWith({ authorization: 'bearer   jwt', 'x-vault-role': 'r' }));
    expect(proof).toMatchObject({ kind: 'jwt' });
  });

  it('may name where its JWT logs in', () => {
    const at = (mount: string) =>
      proofIn(requestWith({ authorization: 'Bearer jwt', 'x-vault-role': 'r', 'x-vault-auth-mount': mount }));
    expect(at(' oidc/ci ')).toMatchObject({ mount: 'oidc/ci' });
    expect(at('')).not.toHaveProperty('mount');
  });

  it.each([
    [{}],
    [{ authorization: '' }],
    [{ authorization: 'hunter2' }],
    [{ authorization: 'Basic hunter2', 'x-vault-role': 'r' }],
    [{ authorization: 'Bearer ', 'x-vault-role': 'r' }],
    [{ authorization: 'Bearer hunter2 again', 'x-vault-role': 'r' }],
    [{ 'x-vault-token': '' }],
  ])('is unknown with %j', (headers) => {
    const error = thrownBy(() => proofIn(requestWith({ ...headers })));
    expect(error).toMatchObject({ status: 401, code: 'caller_missing' });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
  });

  it.each([undefined, '', '../sys', 'a b', 'a/b', 'ä', 'r'.repeat(129)])('needs a role: %s', (role) => {
    const headers = {
      authorization: 'Bearer hunter2',
      ...(role === undefined ? {} : { 'x-vault-role': role }),
    };
    const error = thrownBy(() => proofIn(requestWith(headers)));
    expect(error).toMatchObject({ status: 400, code: 'role_missing' });
    expect(JSON.stringify(error, ['message', 'hint', 'stack', 'cause'])).not.toContain('hunter2');
  });
});

describe('the log of an HTTP function', () => {
  function logged() {
    const lines: unknown[] = [];
    const logger = createLogger({
      level: 'info',
      name: 'test',
      destination: { write: (line) => lines.push(JSON.parse(line)) },
    });
    return { onAnswer: failuresTo(logger), lines };
  }

  it.each([
    [new RequestError(422, 'body_invalid', 'It will not do.'), 0],
    [new LeasekeeperError('shard_full', 'The shard is full.'), 1],
    [new Error('a fault of ours'), 1],
  ])('has what is ours to mend, by the request id: %s', async (error, count) => {
    const { onAnswer, lines } = logged();
    const route = httpRoute(() => Promise.reject(error), onAnswer);
    await route(eventOf({ headers: { 'x-vault-token': 'hunter2' }, body: 'hunter2' }));
    expect(lines).toHaveLength(count);
    for (const line of lines)
      expect(line).toMatchObject({
        level: 'error',
        request_id: 'request-1',
        err: { message: error.message },
      });
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });

  it('has a fault of the configuration, which is met before anything is audited', async () => {
    const { onAnswer, lines } = logged();
    const fault = new LeasekeeperError('configuration_invalid', 'VAULT_ADDR is not set.');
    const [route] = fetchRoutes(() => {
      throw fault;
    }, onAnswer);
    const answer = await route?.handler(eventOf());
    expect(answer).toMatchObject({ statusCode: 500 });
    expect(lines).toMatchObject([{ err: { code: 'configuration_invalid' } }]);
  });
});

describe('the log lines of a request', () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736';
  const root = '1-5759e988-bd862e3fe1be46a994272793';

  /** The fields that lines have, in the handler and when its answer is told of. */
  async function fieldsWith(headers: Record<string, string>): Promise<LogFields[]> {
    const seen: LogFields[] = [];
    const route = httpRoute(
      async () => {
        seen.push(logFields());
        throw new Error('fault');
      },
      () => seen.push(logFields()),
    );
    await route(eventOf({ headers }));
    return seen;
  }

  it('have its id, and no trace where nobody traces', async () => {
    expect(await fieldsWith({})).toEqual([{ request_id: 'request-1' }, { request_id: 'request-1' }]);
  });

  it('have the trace that the caller says', async () => {
    const fields = { request_id: 'request-1', trace_id: trace };
    expect(await fieldsWith({ traceparent: `00-${trace}-00f067aa0ba902b7-01` })).toEqual([fields, fields]);
  });

  it('have no trace of what is no traceparent', async () => {
    const [fields] = await fieldsWith({ traceparent: 'hunter2' });
    expect(fields).toEqual({ request_id: 'request-1' });
  });

  it('have the runtime’s own trace before the caller’s', async () => {
    const invocation = { invocation_id: 'i-1', trace_id: root };
    const [fields] = await withLogFieldsOnly(invocation, () =>
      fieldsWith({ traceparent: `00-${trace}-00f067aa0ba902b7-01` }),
    );
    expect(fields).toEqual({ ...invocation, request_id: 'request-1' });
  });

  it.each(['', 'a b', 'a\nx-vault-token: hunter2', 'ä', 'a'.repeat(129)])(
    'never have an id that would not do in a header, which is no request: %j',
    async (requestId) => {
      const event = eventOf();
      const handler = routed([]);
      const answer = await handler(
        { ...event, requestContext: { ...event.requestContext, requestId } },
        localContext('test'),
      );
      expect(answer.statusCode).toBe(400);
      expect(problemIn(answer)).toMatchObject({ code: 'request_malformed', request_id: 'none' });
    },
  );
});
