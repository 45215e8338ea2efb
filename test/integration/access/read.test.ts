import { beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { admin } from '../../support/admin.ts';
import {
  type AccessWorld,
  createAccessWorld,
  createToken,
  type Functions,
  openFunctions,
  problem,
} from './access-world.ts';

let world: AccessWorld;
let token: string;
let functions: Functions;
const { request } = admin(inject);

beforeAll(async () => {
  world = await createAccessWorld();
  token = await createToken([world.appPolicy]);
});
beforeEach(() => {
  functions = openFunctions(world);
});

const read = (path: string, headers: Record<string, string> = {}) =>
  functions.fetch('GET', `/v1/secrets/${path}`, { headers: { 'x-vault-token': token, ...headers } });
const write = (path: string, data: Record<string, unknown>) =>
  request('POST', `${world.namespace}/app/data/${path}`, { data });
const describeAs = (path: string, custom_metadata: Record<string, string>) =>
  request('POST', `${world.namespace}/app/metadata/${path}`, { custom_metadata });

describe('a secret in KV v2', () => {
  it('is answered with its version and a tag', async () => {
    await write('one', { word: 'first' });

    expect(await read('app/one')).toMatchObject({
      status: 200,
      headers: { etag: expect.stringMatching(/^"v1-\d+"$/), 'cache-control': 'no-store' },
      body: { data: { word: 'first' }, version: 1 },
    });
  });

  it('that has not changed is answered 304, without a body', async () => {
    await write('two', { word: 'first' });
    const { etag = '' } = (await read('app/two')).headers;

    for (const named of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const answer = await read('app/two', { 'if-none-match': named });
      expect(answer).toMatchObject({ status: 304, headers: { etag } });
      expect(answer.body).toBeUndefined();
    }
    expect((await read('app/two', { 'if-none-match': '"other"' })).status).toBe(200);
    await write('two', { word: 'second' });
    expect(await read('app/two', { 'if-none-match': etag })).toMatchObject({
      status: 200,
      body: { data: { word: 'second' }, version: 2 },
    });
  });

  it('made anew at the same version has another tag', async () => {
    await write('three', { word: 'first' });
    const { etag = '' } = (await read('app/three')).headers;
    await request('DELETE', `${world.namespace}/app/metadata/three`);
    await write('three', { word: 'another' });

    expect((await read('app/three', { 'if-none-match': etag })).status).toBe(200);
  });

  it('names its generation only when that was written for this very version', async () => {
    await write('four', { word: 'first' });
    const ours = { 'managed-by': 'leasekeeper' };
    const generation = async () => {
      const { body } = await read('app/four');
      return body !== null && typeof body === 'object' && 'generation' in body ? body.generation : undefined;
    };

    expect(await generation()).toBeUndefined();
    await describeAs('four', { ...ours, 'generation-of-version-1': '7' });
    expect(await generation()).toBe(7);
    await write('four', { word: 'second' });
    expect(await generation()).toBeUndefined();
    await describeAs('four', { 'managed-by': 'somebody', 'generation-of-version-2': '8' });
    expect(await generation()).toBeUndefined();
  });

  it('that is deleted or was never there is not found', async () => {
    await write('five', { word: 'gone' });
    await request('DELETE', `${world.namespace}/app/data/five`);

    for (const path of ['app/five', 'app/never']) {
      expect(await read(path)).toMatchObject(problem(404, 'vault_not_found'));
    }
  });
});

describe('a generation', () => {
  const OURS = { 'managed-by': 'leasekeeper', name: 'shared-key' };
  const at = async (path: string, generation: string) => {
    const headers = { 'x-vault-token': token };
    return functions.fetch('GET', `/v1/secrets/${path}`, { headers, query: { generation } });
  };

  beforeAll(async () => {
    for (const word of ['g1', 'by hand', 'g2', 'g3']) await write('key', { word });
    await describeAs('key', {
      ...OURS,
      'generation-of-version-1': '1',
      'generation-of-version-3': '2',
      'generation-of-version-4': '3',
    });
  });

  it('is read by its number, or as the current or previous one, whichever version holds it', async () => {
    const answers = {
      '1': ['g1', 1],
      '2': ['g2', 3],
      previous: ['g2', 3],
      '3': ['g3', 4],
      current: ['g3', 4],
    };
    for (const [asked, [word, version]] of Object.entries(answers)) {
      expect(await at('app/key', asked)).toMatchObject({
        status: 200,
        headers: { etag: expect.stringContaining(`"v${version}-`) },
        body: { data: { word }, version },
      });
    }
  });

  it('that was published again is the later one, and a value by hand is none', async () => {
    for (const word of ['g1', 'g1 again', 'by hand']) await write('again', { word });
    await describeAs('again', { ...OURS, 'generation-of-version-1': '1', 'generation-of-version-2': '1' });

    for (const asked of ['1', 'current'])
      expect(await at('app/again', asked)).toMatchObject({
        body: { data: { word: 'g1 again' }, version: 2 },
      });
    expect(await at('app/again', 'previous')).toMatchObject(problem(404, 'generation_unknown'));
  });

  it('that is not there, or no longer, is unknown', async () => {
    await write('plain', { word: 'x' });
    await request('POST', `${world.namespace}/legacy/two`, { word: 'old' });
    await request('PUT', `${world.namespace}/app/destroy/key`, { versions: [1] });

    for (const [path, asked] of [
      ['app/key', '1'],
      ['app/key', '4'],
      ['app/plain', '1'],
      ['app/plain', 'current'],
      ['legacy/two', 'current'],
    ] as const) {
      expect(await at(path, asked)).toMatchObject(problem(404, 'generation_unknown'));
    }
    expect(await at('app/never', '1')).toMatchObject(problem(404, 'vault_not_found'));
    expect(functions.audited.at(0)).toMatchObject({
      action: 'read',
      outcome: 'error',
      code: 'generation_unknown',
    });
  });

  it.each(['0', '-1', 'two', '1.5', '1e3', ' 1', ''])('asked for as %o is refused', async (asked) => {
    expect(await at('app/key', asked)).toMatchObject(problem(400, 'parameter_invalid'));
  });
});

it('a secret in KV v1 is answered without version or tag', async () => {
  await request('POST', `${world.namespace}/legacy/one`, { word: 'old' });

  const answer = await read('legacy/one', { 'if-none-match': '*' });

  expect(answer).toMatchObject({ status: 200, body: { data: { word: 'old' }, version: 0 } });
  expect(answer.headers).not.toHaveProperty('etag');
});

it('a path that the caller may not read is denied, whoever read the mount before', async () => {
  await write('secret', { word: 'canary' });
  expect((await read('app/secret')).status).toBe(200);
  expect(await read('app/closed')).toMatchObject(problem(403, 'vault_denied'));
  const poor = await createToken(['default']);

  const answer = await read('app/secret', { 'x-vault-token': poor });

  expect(answer).toMatchObject(problem(403, 'vault_denied'));
  expect(answer.body).toHaveProperty('hint');
  expect(JSON.stringify(answer)).not.toContain('canary');
});

it('a leased path is not read here, and no lease comes of asking', async () => {
  const answer = await read('database/creds/app');

  expect(answer).toMatchObject(problem(400, 'vault_bad_request'));
  expect(functions.exchanges.map(({ path }) => path)).not.toContain(`${world.namespace}/database/creds/app`);
});

it('each access is one line in the audit log, with what Vault calls the request', async () => {
  await write('six', { word: 'canary' });
  await read('app/six');
  await read('app/never');

  expect(functions.audited).toMatchObject([
    {
      action: 'read',
      path: 'app/six',
      outcome: 'ok',
      who: { display_name: 'token' },
      vault_request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    },
    { action: 'read', path: 'app/never', outcome: 'error', code: 'vault_not_found' },
  ]);
  expect(JSON.stringify(functions.audited)).not.toContain('canary');
});
