import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type AuditInput, Secret, type SecretsManagerEvents, tokenAuth } from '../../../lib/index.ts';
import { admin } from '../../support/admin.ts';
import { type Ground, type Layout, prepareGround } from './ground.ts';

const CANARY = 'nvapi-canary-3f1c';
const layouts: readonly Layout[] = ['prefix', 'namespace', 'namespace-auth'];

describe.each(layouts)('static secrets, layout %s', (layout) => {
  let ground: Ground;
  const { request } = admin(inject);
  const put = (path: string, data: object) => request('PUT', `${ground.namespace}/${path}`, { data });

  beforeAll(async () => {
    ground = await prepareGround({ layout });
    await put('nvidia/data/api-key', { key: 'first', limit: 7 });
    await put('nvidia/data/api-key', { key: CANARY, limit: 7 });
    await request('PUT', `${ground.namespace}/shared/plain`, { token: CANARY });
  });
  afterAll(() => Promise.all(ground.managers.map((manager) => manager.cleanup())));

  test('KV v2: newest and earlier versions, and single fields', async () => {
    const manager = ground.manager();
    await manager.init();
    const secret = await manager.getSecret('nvidia/api-key');
    expect({ version: secret.version, key: secret.data.get('key'), limit: secret.data.get('limit') }).toEqual(
      {
        version: 2,
        key: CANARY,
        limit: '7',
      },
    );
    expect((await manager.getSecret('nvidia/api-key', { version: 1 })).data.get('key')).toBe('first');
    expect((await manager.getSecret('nvidia/api-key', { field: 'key' })).expose()).toBe(CANARY);
    await expect(manager.getSecret('nvidia/api-key', { field: 'nope' })).rejects.toMatchObject({
      code: 'secret_field_missing',
      hint: 'Its fields are: key, limit.',
    });
  });

  test('KV v1 is found by itself; it has no versions', async () => {
    const manager = ground.manager();
    expect(await manager.getSecret('shared/plain')).toMatchObject({ version: 0, generation: undefined });
    expect((await manager.getSecret('shared/plain', { field: 'token' })).expose()).toBe(CANARY);
    await expect(manager.getSecret('shared/plain', { version: 1 })).rejects.toMatchObject({
      code: 'vault_bad_request',
    });
  });

  test('missing and forbidden paths, and a path of another engine', async () => {
    const manager = ground.manager();
    await expect(manager.getSecret('nvidia/none')).rejects.toMatchObject({ code: 'vault_not_found' });
    await expect(manager.getSecret('elsewhere/x')).rejects.toMatchObject({ code: 'vault_denied' });
    await expect(manager.getSecret('database/creds/app')).rejects.toMatchObject({
      code: 'vault_bad_request',
      hint: 'Ask for it as a dynamic secret.',
    });
  });

  test('init has all at hand that is named, or names all that could not be had', async () => {
    const manager = ground.manager();
    await Promise.all([manager.init(), manager.init({ secrets: ['nvidia/api-key', 'shared/plain'] })]);
    ground.requests.length = 0;
    await manager.getSecret('nvidia/api-key');
    expect(ground.requests).toEqual([]);
    await expect(
      manager.init({
        secrets: ['nvidia/api-key', 'nvidia/none', 'elsewhere/x'],
        dynamicSecrets: ['database/creds/none'],
      }),
    ).rejects.toMatchObject({
      code: 'secrets_manager_not_ready',
      message:
        'These secrets could not be had: nvidia/none (vault_not_found), elsewhere/x (vault_denied), database/creds/none (vault_bad_request).',
    });
    await expect(manager.init({ signal: AbortSignal.abort(new Error('no longer')) })).rejects.toThrow(
      'no longer',
    );
  });

  test('twenty cold paths at once look up their mount once; a refused one does not harm the others', async () => {
    const paths = Array.from({ length: 20 }, (_, index) => `nvidia/of-many-${index}`);
    await Promise.all(paths.map((path) => put(path.replace('/', '/data/'), { key: path })));
    const manager = ground.manager();
    ground.requests.length = 0;
    const refused = expect(manager.getSecret('elsewhere/x')).rejects.toMatchObject({ code: 'vault_denied' });
    const secrets = await Promise.all(paths.map((path) => manager.getSecret(path)));
    expect(secrets.map(({ data }) => data.get('key'))).toEqual(paths);
    await refused;
    const lookups = ground.requests.filter(
      ({ path }) => path.includes('internal/ui/mounts') && path.includes('nvidia'),
    );
    expect(lookups).toHaveLength(1);
  });

  test('a thousand concurrent cold reads are one request', async () => {
    const manager = ground.manager();
    ground.requests.length = 0;
    const secrets = await Promise.all(
      Array.from({ length: 1_000 }, () => manager.getSecret('nvidia/api-key', { field: 'key' })),
    );
    expect(new Set(secrets.map((secret) => secret.expose()))).toEqual(new Set([CANARY]));
    const reads = ground.requests.filter(({ path }) => path.includes('nvidia/data/api-key'));
    expect({ reads: reads.length, all: ground.requests.length }).toEqual({ reads: 1, all: 3 });
  });

  test('a published generation counts only for the version it names', async () => {
    await put('inference-service/data/model-credentials', { key: 'g1' });
    const stamp = (generation: string, version: string) =>
      request('POST', `${ground.namespace}/inference-service/metadata/model-credentials`, {
        custom_metadata: { 'managed-by': 'leasekeeper', [`generation-of-version-${version}`]: generation },
      });
    await stamp('4', '1');
    const manager = ground.manager({ refreshMs: 0 });
    const rotated: SecretsManagerEvents['rotated'][] = [];
    manager.on('rotated', (event) => rotated.push(event));
    expect(await manager.getDynamicSecret('inference-service/model-credentials')).toMatchObject({
      version: 1,
      generation: 4,
      leaseId: undefined,
      expiresAt: undefined,
    });
    await put('inference-service/data/model-credentials', { key: 'g2' });
    const between = await manager.getDynamicSecret('inference-service/model-credentials');
    expect({ key: between.data.get('key'), generation: between.generation }).toEqual({
      key: 'g2',
      generation: undefined,
    });
    await stamp('5', '2');
    const after = await manager.getDynamicSecret('inference-service/model-credentials', { fresh: true });
    expect(after.generation).toBe(5);
    expect(rotated).toEqual([
      {
        path: 'inference-service/model-credentials',
        previous: { version: 1, generation: 4 },
        current: { version: 2 },
      },
    ]);
  });

  test('counts and audits every access, and nothing holds a value', async () => {
    const lines: AuditInput[] = [];
    const manager = ground.manager({ audit: (line) => lines.push(line) });
    const secret = await manager.getSecret('nvidia/api-key');
    await manager.getSecret('nvidia/api-key');
    await expect(manager.getSecret('nvidia/none')).rejects.toThrow();
    await expect(manager.getSecret('elsewhere/x')).rejects.toThrow();
    const text = await manager.metrics();
    expect(text).toContain('vault_secret_requests_total{path="nvidia/api-key",kind="static",outcome="ok"} 2');
    expect(text).toContain(
      'vault_secret_requests_total{path="elsewhere/x",kind="static",outcome="denied"} 1',
    );
    expect(text).toContain('vault_secret_cache_hits_total{path="nvidia/api-key"} 1');
    expect(lines.map(({ path, outcome, code }) => ({ path, outcome, code }))).toEqual([
      { path: 'nvidia/api-key', outcome: 'ok', code: undefined },
      { path: 'nvidia/api-key', outcome: 'ok', code: undefined },
      { path: 'nvidia/none', outcome: 'error', code: 'vault_not_found' },
      { path: 'elsewhere/x', outcome: 'denied', code: 'vault_denied' },
    ]);
    expect(lines[0]?.vault_request_id).toMatch(/^[0-9a-f-]{36}$/);
    expect(lines[1]?.vault_request_id).toBeUndefined();
    const printed = [
      text,
      JSON.stringify(lines),
      JSON.stringify(secret),
      inspect(secret, { depth: 9 }),
      `${secret.data}`,
    ];
    for (const one of printed) expect(one).not.toContain(CANARY);
    expect(inspect(secret)).toContain('data: [secret]');
  });

  test('invalidate: the next read is a new one', async () => {
    const manager = ground.manager();
    await put('nvidia/data/changing', { key: 'old' });
    expect((await manager.getSecret('nvidia/changing', { field: 'key' })).expose()).toBe('old');
    await put('nvidia/data/changing', { key: 'new' });
    expect((await manager.getSecret('nvidia/changing', { field: 'key' })).expose()).toBe('old');
    manager.invalidate('nvidia/changing');
    expect((await manager.getSecret('nvidia/changing', { field: 'key' })).expose()).toBe('new');
  });
});

test('after cleanup nothing may be asked for, and the token is gone', async () => {
  const ground = await prepareGround();
  const manager = ground.manager();
  await manager.init();
  const login = ground.requests.length;
  await Promise.all([manager.cleanup(), manager.cleanup()]);
  expect(ground.requests.slice(login).map(({ path }) => path)).toEqual(['/v1/auth/token/revoke-self']);
  await expect(manager.getSecret('nvidia/api-key')).rejects.toMatchObject({ code: 'secrets_manager_closed' });
  await expect(manager.getDynamicSecret('x/y')).rejects.toMatchObject({ code: 'secrets_manager_closed' });
  await expect(manager.init()).rejects.toMatchObject({ code: 'secrets_manager_closed' });
});

test('a read that is under way at cleanup logs in no more', async () => {
  const ground = await prepareGround();
  const manager = ground.manager();
  const reading = manager.getSecret('nvidia/api-key');
  const [read] = await Promise.allSettled([reading, manager.cleanup()]);
  expect(read).toMatchObject({ reason: { code: 'secrets_manager_closed' } });
  const count = (end: string) => ground.requests.filter(({ path }) => path.endsWith(end)).length;
  expect({ logins: count('/login'), ended: count('/revoke-self') }).toEqual({ logins: 1, ended: 1 });
});

test('a token that was given is used, and left alone at cleanup', async () => {
  const ground = await prepareGround();
  const { request, rootToken } = admin(inject);
  await request('PUT', `${ground.namespace}/nvidia/data/api-key`, { data: { key: 'x' } });
  {
    await using manager = ground.manager({ auth: tokenAuth(new Secret(rootToken)) });
    expect((await manager.getSecret('nvidia/api-key')).version).toBe(1);
  }
  expect(ground.requests.some(({ path }) => path.includes('revoke-self'))).toBe(false);
});

test('a refused login is counted by method and reason', async () => {
  const ground = await prepareGround();
  const manager = ground.manager({ auth: tokenAuth(new Secret('s.wrong')) });
  await expect(manager.init()).rejects.toMatchObject({ code: 'vault_denied' });
  expect(await manager.metrics()).toContain(
    'vault_auth_failures_total{method="token",reason="vault_denied"} 1',
  );
});

test('a real namespace under the one where the service logs in', async ({ onTestFinished }) => {
  const outer = await prepareGround({ layout: 'namespace-auth' }, onTestFinished);
  const team = `${outer.namespace}/team`;
  const { request } = admin(inject);
  await request('POST', `${outer.namespace}/sys/namespaces/team`, {});
  await request('POST', `${team}/sys/mounts/nvidia`, { type: 'kv', options: { version: '2' } });
  await request('PUT', `${team}/nvidia/data/api-key`, { data: { key: CANARY } });
  await request('PUT', `${outer.namespace}/sys/policies/acl/default`, {
    policy: 'path "team/nvidia/*" { capabilities = ["read"] }',
  });
  const manager = outer.manager({ namespace: team });
  expect((await manager.getSecret('nvidia/api-key', { field: 'key' })).expose()).toBe(CANARY);
  await expect(manager.getSecret('elsewhere/x')).rejects.toMatchObject({ code: 'vault_denied' });
});
