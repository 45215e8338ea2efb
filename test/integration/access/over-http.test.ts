import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { type OneProcess, startOneProcess } from '../../../lib/host/local/one-process.ts';
import { admin } from '../../support/admin.ts';
import { hostOn } from '../../support/host-on.ts';
import { until } from '../../support/until.ts';
import { type AccessWorld, createAccessWorld, createToken, leaseSchema } from './access-world.ts';

let world: AccessWorld;
let token: string;
let host: OneProcess;
/** Requests to Vault that were made for callers: those of the schedule are left out. */
const asked: string[] = [];
const scanned: string[] = [];

beforeAll(async () => {
  world = await createAccessWorld();
  token = await createToken([world.appPolicy]);
  await admin(inject).request('POST', `${world.namespace}/app/data/deep/static`, { data: { word: 'plain' } });
  host = await startOneProcess({
    ...hostOn(world, { LEASEKEEPER_SCAN_INTERVAL: '3600' }),
    onExchange: ({ path }) => {
      (path.includes('/agenda/') ? scanned : asked).push(path);
    },
  });
  // The first scan logs its function in.
  await until(async () => (await fetch(`${host.address}/healthz`)).ok);
});
afterAll(() => host.close());
beforeEach(() => {
  asked.splice(0);
});

/** A string as a body would be sent as text/plain. */
const own = () => ({ 'x-vault-token': token, 'content-type': 'application/json' });

/** A request written byte for byte: `fetch` would straighten the path. Gives the status. */
async function raw(target: string): Promise<number> {
  const { hostname, port } = new URL(host.address);
  const socket = connect(Number(port), hostname);
  socket.end(`GET ${target} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: ${token}\r\nConnection: close\r\n\r\n`);
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(await text(socket))?.[1]);
}

it('has scanned the agenda, although nobody watches', async () => {
  await expect.poll(() => scanned.length, { timeout: 20_000 }).toBeGreaterThan(3);
});

it('issues a lease and reads a secret', async () => {
  const body = JSON.stringify({ path: 'database/creds/app' });
  const issued = await fetch(`${host.address}/v1/leases`, { method: 'POST', headers: own(), body });
  expect(issued.status).toBe(201);
  expect(leaseSchema.parse(await issued.json()).data).toBeDefined();

  const read = await fetch(`${host.address}/v1/secrets/app/deep/static`, { headers: own() });
  expect([read.status, await read.json()]).toEqual([200, { data: { word: 'plain' }, version: 1 }]);
});

it('shows operators what is managed, behind the same address', async () => {
  const answer = await fetch(`${host.address}/v1/managed`, { headers: { 'x-vault-token': world.rootToken } });

  expect([answer.status, await answer.json()]).toEqual([200, { managed: [] }]);
});

it('has subscriptions behind the same address, by ids with a colon', async () => {
  const headers = { 'x-vault-token': world.rootToken, 'content-type': 'application/json' };
  const where = `${host.address}/v1/subscriptions`;
  const body = JSON.stringify({ consumer: 'gateway', url: 'https://hooks.example.com/over-http' });
  const made = await fetch(where, { method: 'POST', headers, body });
  const { id } = z.looseObject({ id: z.string() }).parse(await made.json());

  expect([made.status, (await fetch(`${where}/${id}`, { headers })).status]).toEqual([201, 200]);
  const encoded = await fetch(`${where}/${encodeURIComponent(id)}/notices`, { headers });
  expect([encoded.status, await encoded.json()]).toEqual([200, { notices: [] }]);
  const ended = await fetch(`${where}/${id}`, { method: 'DELETE', headers });
  expect([ended.status, await ended.text()]).toEqual([204, '']);
});

it('takes acknowledgements beside secrets, and reads what is at such a path', async () => {
  const { request } = admin(inject);
  await request('POST', `${world.namespace}/app/data/acks`, { data: { word: 'plain' } });
  const where = `${host.address}/v1/secrets/app/acks`;

  const read = await fetch(where, { headers: own() });
  expect(await read.json()).toMatchObject({ data: { word: 'plain' } });
  const body = JSON.stringify({ consumer: 'gateway', generation: 1 });
  const taken = await fetch(where, {
    method: 'POST',
    headers: { ...own(), 'x-vault-token': world.rootToken },
    body,
  });
  expect([taken.status, await taken.json()]).toEqual([
    202,
    { name: 'app', consumer: 'gateway', generation: 1 },
  ]);
  // The worker that is sent finds no such managed secret.
  await until(() => asked.some((path) => path.endsWith('/data/secrets/app')));
  const elsewhere = await fetch(`${where}/more`, { method: 'POST', headers: own(), body });
  expect(await elsewhere.json()).toMatchObject({ status: 405, code: 'method_not_allowed' });
});

it('serves schemas to whoever asks, without Vault', async () => {
  const list = z
    .object({ schemas: z.array(z.object({ $id: z.string(), path: z.string() })).min(10) })
    .parse(await (await fetch(`${host.address}/v1/schemas`)).json());
  for (const { $id, path } of list.schemas) {
    const answer = await fetch(host.address + path);
    expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ $id })]);
  }
  expect((await fetch(`${host.address}/v1/schemas`, { method: 'POST' })).status).toBe(405);
  expect(asked).toEqual([]);
});

it('takes a parameter that is given twice for neither of both, as API Gateway does', async () => {
  const answer = await fetch(`${host.address}/v1/managed?removed=true&removed=false`, { headers: own() });
  expect(await answer.json()).toMatchObject({ status: 400, code: 'parameter_invalid' });
});

it('serves its metrics', async () => {
  await fetch(`${host.address}/v1/secrets/app/deep/static`, { headers: own() });

  expect(await (await fetch(`${host.address}/metrics`)).text()).toContain('vault_secret_requests_total{');
});

describe('what is refused', () => {
  it.each(['/', '/v2', '/v1/other', '/v1/managed/a/b/c'])('%s is no route', async (path) => {
    const answer = await fetch(host.address + path, { headers: own() });

    expect([answer.status, answer.headers.get('content-type')]).toEqual([404, 'application/problem+json']);
    expect(await answer.json()).toMatchObject({ code: 'route_unknown' });
    expect(asked).toEqual([]);
  });

  it('a method of its own routes that they do not know', async () => {
    const answer = await fetch(`${host.address}/metrics`, { method: 'DELETE' });
    expect([answer.status, answer.headers.get('allow'), answer.headers.get('x-frame-options')]).toEqual([
      ...[405, 'GET', 'DENY'],
    ]);
    expect((await fetch(`${host.address}/healthz/deeper`)).status).toBe(404);
  });

  it('a body of more than 64 KiB, small or large beyond it', async () => {
    for (const bytes of [65_537, 100_000]) {
      const body = ' '.repeat(bytes);
      const answer = await fetch(`${host.address}/v1/leases`, { method: 'POST', headers: own(), body });
      expect(answer.status).toBe(413);
      expect(await answer.json()).toMatchObject({ code: 'body_too_large' });
    }
    expect(asked).toEqual([]);
  });

  it.each([
    '/v1/secrets/app/deep%2f..%2fstatic',
    '/v1/secrets/app//static',
    '/v1/secrets//app/static',
    '/v1/secrets/app/deep/static/',
    '/v1/secrets/app/%252e%252e/static',
    '/v1/secrets/app/st%00atic',
    '/v1/secrets/app/st%07atic',
    '/v1/secrets/app/st%',
    '/v1/secrets/app/%5c..%5cstatic',
    '/v1/secrets/app/%3fversion=1',
  ])('%s, with 400 and before Vault is asked', async (target) => {
    expect(await raw(target)).toBe(400);
    expect(asked).toEqual([]);
  });

  it.each([
    '/v1/secrets/../../sys/mounts',
    '/v1/secrets/%2e%2e/%2e%2e/sys/mounts',
    '/v1/secrets/app/../../x',
  ])('%s leads out of the secrets, and nowhere', async (target) => {
    expect([400, 404]).toContain(await raw(target));
    expect(asked).toEqual([]);
  });
});
