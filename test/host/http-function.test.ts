import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { RequestError } from '../../lib/access/problem.ts';
import { LeasekeeperError } from '../../lib/errors.ts';
import { fetchRoutes } from '../../lib/host/fetch-routes.ts';
import {
  bodyOf,
  failuresTo,
  type HttpAnswer,
  type HttpRequest,
  httpRoute,
  noRoute,
  proofIn,
} from '../../lib/host/http-function.ts';
import { createLogger } from '../../lib/telemetry/log.ts';
import { VaultError } from '../../lib/vault/errors.ts';

const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'",
  'strict-transport-security': 'max-age=63072000',
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

  it('is what a route that there is not answers', () => {
    const answer = noRoute({ method: 'DELETE', path: '/v1/leases' });
    expect(answer).toMatchObject({ statusCode: 404, headers: SECURITY_HEADERS });
    expect(problemIn(answer)).toMatchObject({ code: 'route_unknown' });
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

describe('who asks', () => {
  it('is a service account with a role', () => {
    const proof = proofIn(
      requestWith({ authorization: 'Bearer hunter2.jwt', 'x-vault-role': 'api-gateway' }),
    );
    expect(proof).toMatchObject({ kind: 'kubernetes', role: 'api-gateway' });
    expect(proof.kind === 'kubernetes' && proof.jwt.expose()).toBe('hunter2.jwt');
    expect(JSON.stringify(proof)).not.toContain('hunter2');
  });

  it('is whoever has a Vault token, before anything else', () => {
    const proof = proofIn(requestWith({ authorization: 'Bearer jwt', 'x-vault-token': 'hunter2' }));
    expect(proof.kind === 'token' && proof.token.expose()).toBe('hunter2');
    expect(JSON.stringify(proof)).not.toContain('hunter2');
  });

  it('may write `bearer` as it likes', () => {
    const proof = proofIn(requestWith({ authorization: 'bearer   jwt', 'x-vault-role': 'r' }));
    expect(proof).toMatchObject({ kind: 'kubernetes' });
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
