import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { manageFunction } from '../../functions/manage.ts';
import { noticeSchemas } from '../../lib/bus/event-schemas.ts';
import { BATCH_TYPE, outcomeTypeSchema } from '../../lib/bus/events.ts';
import { localContext } from '../../lib/host/local/lambda-invocation.ts';
import { createLogger } from '../../lib/telemetry/log.ts';
import { readProjectFile } from '../docs/documents.ts';

const LIST = '/v1/schemas';
const schemas = noticeSchemas();

/** The deployed function in an environment where nothing but its routes works: neither Vault nor a caller. */
const manage = manageFunction({
  logger: createLogger({ level: 'silent', name: 'test' }),
  now: () => 0,
  flushMetrics: () => Promise.resolve(),
  dependencies: () => {
    throw new Error('Schemas need nothing.');
  },
});

async function get(path: string, headers: Record<string, string> = {}, method = 'GET') {
  const answer = await manage(
    {
      version: '2.0',
      routeKey: '$default',
      rawPath: path,
      rawQueryString: '',
      headers,
      isBase64Encoded: false,
      requestContext: {
        accountId: '123456789012',
        apiId: 'api',
        domainName: 'api.example.com',
        domainPrefix: 'api',
        http: { method, path, protocol: 'HTTP/1.1', sourceIp: '192.0.2.1', userAgent: 'test' },
        requestId: 'request-1',
        routeKey: '$default',
        stage: '$default',
        time: '21/Nov/2026:12:00:00 +0000',
        timeEpoch: 1_795_262_400_000,
      },
    },
    localContext('manage'),
  );
  const body: unknown = answer.body === undefined ? undefined : JSON.parse(answer.body);
  return { status: answer.statusCode, headers: answer.headers ?? {}, body };
}

const tagOf = ({ headers }: { headers: Record<string, unknown> }) => String(headers.etag);

describe('GET /v1/schemas', () => {
  it('lists every type of notice, with where its schema is', async () => {
    const { status, headers, body } = await get(LIST);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'content-type': 'application/json' });
    expect(body).toEqual({
      schemas: [...outcomeTypeSchema.options, BATCH_TYPE].map((type) => ({
        type,
        $id: schemas[type]?.$id,
        description: schemas[type]?.description,
        path: `${LIST}/${type}`,
      })),
    });
  });

  it('names paths that answer with the schema listed there', async () => {
    const { body } = await get(LIST);
    const listed = z
      .object({ schemas: z.array(z.object({ $id: z.string(), path: z.string() })) })
      .parse(body);
    for (const { $id, path } of listed.schemas) expect((await get(path)).body).toMatchObject({ $id });
  });
});

describe('GET /v1/schemas/{type}', () => {
  it.each(outcomeTypeSchema.options)('answers the schema of %s', async (type) => {
    const { status, headers, body } = await get(`${LIST}/${type}`);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'content-type': 'application/schema+json' });
    expect(body).toEqual(JSON.parse(JSON.stringify(schemas[type])));
  });

  it.each(['secret.unknown', 'rotation.due', 'constructor', '__proto__', 'lease.lost.json'])(
    'has none of %s',
    async (type) => {
      const { status, headers, body } = await get(`${LIST}/${type}`);
      expect([status, body]).toEqual([
        404,
        expect.objectContaining({ code: 'schema_unknown', hint: expect.stringContaining(`GET ${LIST}`) }),
      ]);
      expect(headers).toMatchObject({ 'cache-control': 'no-store' });
    },
  );

  it('can only be read', async () => {
    expect(await get(`${LIST}/lease.lost`, {}, 'PUT')).toMatchObject({
      status: 405,
      body: { code: 'method_not_allowed' },
    });
  });
});

describe('GET /openapi.json', () => {
  it('answers what is written down', async () => {
    const { status, headers, body } = await get('/openapi.json');
    expect([status, headers['content-type']]).toEqual([200, 'application/json']);
    expect(body).toEqual(JSON.parse(readProjectFile('docs/openapi.json')));
  });
});

describe('a cache', () => {
  it.each([LIST, `${LIST}/lease.lost`, '/openapi.json'])('may keep %s for an hour', async (path) => {
    expect((await get(path)).headers).toMatchObject({
      'cache-control': 'public, max-age=3600',
      'x-content-type-options': 'nosniff',
    });
  });

  it.each([LIST, `${LIST}/lease.lost`, '/openapi.json'])(
    'is told without a body that it has %s still',
    async (path) => {
      const tag = tagOf(await get(path));
      expect(tag).toMatch(/^"[\w-]{22}"$/);
      for (const known of [tag, `W/${tag}`, `"other", ${tag}`]) {
        const { status, headers, body } = await get(path, { 'if-none-match': known });
        expect([status, body]).toEqual([304, undefined]);
        expect(headers).toMatchObject({ etag: tag, 'cache-control': 'public, max-age=3600' });
      }
    },
  );

  it('gets the schema if it has another one', async () => {
    const tag = tagOf(await get(`${LIST}/lease.lost`));
    const { status, body } = await get(`${LIST}/secret.rotated`, { 'if-none-match': tag });
    expect([status, body]).toEqual([200, expect.objectContaining({ title: 'secret.rotated' })]);
  });
});
