import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type AccessWorld,
  createAccessWorld,
  createToken,
  type Functions,
  openFunctions,
  problem,
} from './access-world.ts';

let world: AccessWorld;
let headers: Record<string, string>;
let functions: Functions;

beforeAll(async () => {
  world = await createAccessWorld();
  headers = { 'x-vault-token': await createToken([world.appPolicy]) };
});
beforeEach(() => {
  functions = openFunctions(world);
});

const issue = (body: unknown) => functions.fetch('POST', '/v1/leases', { headers, body });
const read = (path: string) => functions.fetch('GET', `/v1/secrets/${path}`, { headers });
const notAsked = () => expect(functions.exchanges).toEqual([]);

describe('routes', () => {
  it.each([
    ['GET', '/'],
    ['GET', '/v1'],
    ['POST', '/v1/leases/other'],
    ['GET', '/v2/secrets/app/static'],
  ])('there is no %s %s', async (method, path) => {
    for (const answer of [
      await functions.fetch(method, path, { headers }),
      await functions.manage(method, path, { headers }),
    ]) {
      expect(answer).toMatchObject(problem(404, 'route_unknown'));
      expect(answer.body).toHaveProperty('hint');
    }
    notAsked();
  });

  it.each([
    ['GET', '/v1/leases', 'POST'],
    ['DELETE', '/v1/secrets/app/static', 'GET'],
    ['POST', '/v1/secrets/app/static', 'GET'],
    ['PUT', '/v1/secrets/app/acks', 'GET, POST'],
    ['OPTIONS', '/v1/leases', 'POST'],
    ['HEAD', '/v1/managed/a', 'GET, PUT, DELETE'],
    ['POST', '/openapi.json', 'GET'],
  ])('there is no %s of %s, but %s', async (method, path, allow) => {
    for (const answer of [
      await functions.fetch(method, path, { headers }),
      await functions.manage(method, path, { headers }),
    ]) {
      expect(answer).toMatchObject(problem(405, 'method_not_allowed'));
      expect(answer.headers).toMatchObject({ allow, 'x-request-id': expect.stringMatching(/^[\w-]{36}$/) });
    }
    notAsked();
  });

  it('of more than 1,024 characters are none, and are not repeated', async () => {
    for (const path of [`/v1/secrets/${'canary'.repeat(200)}`, `/${'canary'.repeat(200)}`]) {
      const answer = await functions.fetch('GET', path, { headers });
      expect(answer).toMatchObject(problem(414, 'path_too_long'));
      expect(JSON.stringify(answer)).not.toContain('canary');
    }
    notAsked();
  });

  it('every answer is kept from caches and browsers', async () => {
    for (const { headers: given } of [await read('app/never'), await read('..'), await issue('{')]) {
      expect(given).toMatchObject({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    }
  });
});

describe('bodies', () => {
  it('of more than 64 KiB are refused, whatever is in them', async () => {
    const padded = (bytes: number) => {
      const body = JSON.stringify({ path: 'database/creds/app' });
      return body + ' '.repeat(bytes - body.length);
    };

    expect(await issue(padded(65_537))).toMatchObject(problem(413, 'body_too_large'));
    notAsked();
    expect((await issue(padded(65_536))).status).toBe(201);
  });

  it.each(['', '{', 'null,', '{"path":"database/creds/app"', 'canary'])('of %j are no JSON', async (body) => {
    const answer = await issue(body);

    expect(answer).toMatchObject(problem(400, 'body_not_json'));
    expect(JSON.stringify(answer)).not.toContain('canary');
    notAsked();
  });

  it.each<[string, unknown]>([
    ['path', {}],
    ['path', { path: 7 }],
    ['ttl', { path: 'database/creds/app', ttl: 0 }],
    ['ttl', { path: 'database/creds/app', ttl: 'canary' }],
    ['wrap_ttl', { path: 'database/creds/app', wrap_ttl: 1.5 }],
    ['replaces', { path: 'database/creds/app', replaces: '' }],
    ['body', { path: 'database/creds/app', other: 1 }],
    ['body', []],
    ['body', null],
  ])('with a wrong %s are told which, and no value', async (field, body) => {
    const answer = await issue(body);

    expect(answer).toMatchObject(problem(422, 'body_invalid'));
    expect(answer.body).toMatchObject({ detail: expect.stringContaining(`${field}: `) });
    expect(JSON.stringify(answer)).not.toContain('canary');
    notAsked();
  });
});

describe('paths', () => {
  const CROOKED = [
    '',
    '..',
    'app/..',
    'app/../../sys/mounts',
    './app/static',
    'app//static',
    '/app/static',
    'app/static/',
    'app/%2e%2e/static',
    'app/%2E%2E/static',
    'app/%2fstatic',
    'app\\static',
    'app/static?version=1',
    'app/static#fragment',
    'app/st atic',
    'app/static\u0000',
    'app/sta\u0007tic',
    'app/sta\ttic',
    'app/st\u00e4tic',
    'app/\u202estatic',
    'a'.repeat(513),
  ];

  it.each(CROOKED)('%j is refused for reading before Vault is asked', async (path) => {
    expect(await read(path)).toMatchObject(problem(400, 'path_invalid'));
    notAsked();
    expect(functions.audited).toMatchObject([{ outcome: 'error', code: 'path_invalid' }]);
  });

  it.each(CROOKED)('%j is refused for issuing before Vault is asked', async (path) => {
    expect(await issue({ path })).toMatchObject(problem(422, 'body_invalid'));
    notAsked();
  });

  it('with a line break is no route at all', async () => {
    for (const path of ['app/sta\ntic', 'app/static\n', '\u2028']) {
      expect((await read(path)).status).toBeGreaterThanOrEqual(400);
    }
    notAsked();
  });
});
