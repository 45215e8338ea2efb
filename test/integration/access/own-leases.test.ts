import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import type { LeaseEntry } from '../../../lib/leases/entry.ts';
import { testPostgresLogin } from '../../../lib/rotation/probes/postgres.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport, TransportRequest } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { liveRoles } from '../../support/world.ts';
import { type Care, openCare } from '../leases/care.ts';
import { type AccessCluster, createAccessCluster, shown } from './access-cluster.ts';
import {
  type AccessWorld,
  createAccessWorld,
  createToken,
  type Functions,
  leaseSchema,
  openFunctions,
  problem,
} from './access-world.ts';

const HOUR = 3_600_000;
const PATH = 'database/creds/app';
const unknown = problem(404, 'lease_not_under_care');
const renewedSchema = z.strictObject({
  lease_id: z.string(),
  expires_at: z.iso.datetime(),
  lease_duration: z.number(),
  renewable: z.boolean(),
});
const lookupSchema = z.object({ data: z.object({ ttl: z.number() }) });
type Headers = ReturnType<typeof shown>['headers'] | Record<string, string>;

let world: AccessWorld;
let cluster: AccessCluster;
let functions: Functions;
let care: Care;
/** A service whose own policy allows neither to revoke nor to look up a lease, as in the services' own. */
let service: Headers;
let token: Headers;

const open = (transport?: (real: Transport) => Transport) => {
  const callerMounts = [cluster.mount];
  functions = openFunctions(world, { callerMounts, ...(transport === undefined ? {} : { transport }) });
};

beforeAll(async () => {
  world = await createAccessWorld();
  cluster = await createAccessCluster();
  await cluster.role('gateway', 'gateway', [world.appPolicy]);
  service = shown(await cluster.jwt('gateway'), 'gateway').headers;
  token = { 'x-vault-token': await createToken([world.appPolicy]) };
});
afterAll(() => cluster.close());
beforeEach(() => {
  care = openCare(world);
  open();
});
afterEach(() => care.world.close());

async function issued(headers: Headers = service, body: object = {}) {
  const answer = await functions.fetch('POST', '/v1/leases', { headers, body: { path: PATH, ...body } });
  expect(answer.status).toBe(201);
  return leaseSchema.parse(answer.body);
}
const renew = (id: string, body: object = {}, headers: Headers = service) =>
  functions.fetch('POST', '/v1/leases/renew', { headers, body: { lease_id: id, ...body } });
const revoke = (id: string, headers: Headers = service) =>
  functions.fetch('POST', '/v1/leases/revoke', { headers, body: { lease_id: id } });

async function entryOf(id: string): Promise<LeaseEntry | undefined> {
  const visited = await Promise.all([0, 1].map((shard) => care.world.leases.visit(shard, () => ({}))));
  const entry = visited.flatMap(({ state }) => state.entries.get(id) ?? []).at(0);
  return entry?.kind === 'lease' ? entry : undefined;
}
/** What Vault says; 0 for a lease that is gone. */
const ttlOf = (id: string) =>
  admin(inject)
    .read(lookupSchema, 'PUT', 'sys/leases/lookup', { lease_id: id })
    .then(
      ({ data }) => data.ttl,
      () => 0,
    );
const works = ({ data }: { data?: { username: string; password: string } | undefined }) =>
  testPostgresLogin({ ...world.postgres, tls: false }, data ?? {}).then(({ ok }) => ok);

describe('a renewal', () => {
  it('gives the lease more life in Vault and in the agenda, though no worker has seen it yet', async () => {
    const lease = await issued();
    const answer = await renew(lease.lease_id, { increment: 7_200 });

    expect(answer.status).toBe(200);
    const renewed = renewedSchema.parse(answer.body);
    expect(renewed).toMatchObject({ lease_id: lease.lease_id, lease_duration: 7_200, renewable: true });
    expect(Math.abs((await ttlOf(lease.lease_id)) - 7_200)).toBeLessThan(10);
    const entry = await entryOf(lease.lease_id);
    expect(entry).toMatchObject({ ttl: 7_200, expire: Date.parse(renewed.expires_at) });
    // No later than before: a worker may be renewing it to the shorter time right now.
    expect(entry?.due).toBeLessThanOrEqual(Date.parse(lease.expires_at) - HOUR / 3);
    expect(functions.audited.at(-1)).toMatchObject({
      action: 'renew',
      path: PATH,
      outcome: 'ok',
      who: { role: 'gateway' },
      lease: functions.audited[0]?.lease,
    });
  });

  it.each([{ increment: 1 }, { increment: 3_599 }, {}])('never shortens it: %j', async (body) => {
    const lease = await issued();
    await renew(lease.lease_id, { increment: 7_200 });
    await entryOf(lease.lease_id);

    expect((await renew(lease.lease_id, body)).body).toMatchObject({ lease_duration: 7_200 });
    expect(await ttlOf(lease.lease_id)).toBeGreaterThan(7_190);
  });

  it('is not undone by the next one of a worker', async () => {
    const lease = await issued();
    await renew(lease.lease_id, { increment: 7_200 });
    care.clock.now = Date.now() + 0.67 * HOUR;
    const { visits } = await care.scanAndVisit();

    expect(visits.flatMap((visit) => visit.renewed.map(({ id }) => id))).toContain(lease.lease_id);
    expect(await ttlOf(lease.lease_id)).toBeGreaterThan(7_190);
    expect(await entryOf(lease.lease_id)).toMatchObject({ ttl: 7_200, expire: care.clock.now + 2 * HOUR });
  });

  it('takes it beyond the time that was asked for first', async () => {
    const lease = await issued(service, { ttl: 1_800 });
    const before = await entryOf(lease.lease_id);
    expect(before).toMatchObject({ final: true });
    const expiresAt = Date.parse(
      renewedSchema.parse((await renew(lease.lease_id, { increment: 10_800 })).body).expires_at,
    );

    const entry = await entryOf(lease.lease_id);
    expect(entry).toMatchObject({ final: true, expire: expiresAt, until: expiresAt });
    expect(entry?.due).toBeGreaterThan((before?.due ?? 0) + HOUR);
  });

  it('goes no further than the max TTL, and says how far', async () => {
    const lease = await issued();
    const answer = renewedSchema.parse((await renew(lease.lease_id, { increment: 200_000 })).body);
    expect(answer.lease_duration).toBeGreaterThan(86_300);
    expect(answer.lease_duration).toBeLessThanOrEqual(86_400);
  });

  it('is Vault’s to refuse: by the rights of the caller', async () => {
    const name = uniqueName('policy');
    const policy = `path "auth/token/lookup-self" { capabilities = ["read"] }\npath "${world.namespace}/${PATH}" { capabilities = ["read"] }`;
    await admin(inject).request('PUT', `sys/policies/acl/${name}`, { policy });
    const poor = { 'x-vault-token': await createToken([name], { no_default_policy: true }) };
    const lease = await issued(poor);

    expect(await renew(lease.lease_id, {}, poor)).toMatchObject(problem(403, 'vault_denied'));
    expect(functions.audited.at(-1)).toMatchObject({ action: 'renew', path: PATH, outcome: 'denied' });
  });

  it('of one that was replaced is refused', async () => {
    const old = await issued();
    await issued(service, { replaces: old.lease_id });
    expect(await renew(old.lease_id)).toMatchObject(problem(409, 'lease_retiring'));
  });
});

describe('a revocation', () => {
  it('ends the credential of a service that may not revoke by itself, and nobody hears of it', async () => {
    const lease = await issued();
    await entryOf(lease.lease_id);
    expect(await works(lease)).toBe(true);

    expect(await revoke(lease.lease_id)).toMatchObject({ status: 204, body: undefined });
    expect([await works(lease), await ttlOf(lease.lease_id)]).toEqual([false, 0]);
    expect(functions.audited.at(-1)).toMatchObject({ action: 'revoke', path: PATH, outcome: 'ok' });
    care.clock.now = Date.now() + 2 * HOUR;
    await care.scanAndVisit();
    expect(await entryOf(lease.lease_id)).toBeUndefined();
    expect(JSON.stringify(care.world.published)).not.toContain(lease.lease_id);
    expect(await revoke(lease.lease_id)).toMatchObject(unknown);
  });

  it.each(['and is removed', 'and its removal is lost'])(
    'of a lease that a worker is about to renew is no loss: it is revoked %s',
    async (removal) => {
      const lease = await issued();
      await entryOf(lease.lease_id);
      let isRevoked = false;
      open((real) => ({
        exchange: (request) => {
          const isLost = removal.endsWith('lost') && isRevoked && request.path.includes('/inbox/');
          if (isLost) throw new VaultError('vault_sealed', 'Away.');
          isRevoked ||= request.path.endsWith('/sys/leases/revoke');
          return real.exchange(request);
        },
        close: () => real.close(),
      }));
      let revoked = 0;
      const between = openCare(world, {
        // Two thirds, when every lease is due whatever its id.
        clock: { now: Date.now() + 0.67 * HOUR },
        transport: (real) => ({
          exchange: async (request) => {
            if (isRenewalOf(request, lease.lease_id)) revoked = (await revoke(lease.lease_id)).status;
            return real.exchange(request);
          },
          close: () => real.close(),
        }),
      });
      const { visits } = await between.scanAndVisit();

      expect([revoked, visits.reduce((sum, { lost }) => sum + lost, 0)]).toEqual([204, 1]);
      expect(JSON.stringify(between.world.published)).not.toContain(lease.lease_id);
      await between.world.close();
      expect(await entryOf(lease.lease_id)).toBeUndefined();
    },
  );

  it('that the engine cannot make is told, and made as soon as it can', async () => {
    const { request } = admin(inject);
    const role = `${world.namespace}/database/roles/brief`;
    const statements = (revocation: string) =>
      request('POST', role, {
        db_name: 'pg',
        creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
        revocation_statements: revocation,
        default_ttl: '1h',
      });
    await statements('SELECT 1/0');
    const lease = await issued(service, { path: 'database/creds/brief' });

    expect(await revoke(lease.lease_id)).toMatchObject(problem(502, 'vault_revoke_failed'));
    expect(await works(lease)).toBe(true);
    const entry = await entryOf(lease.lease_id);
    expect(entry?.retire_at).toBeLessThanOrEqual(Date.now());
    expect(await renew(lease.lease_id)).toMatchObject(problem(409, 'lease_retiring'));
    await statements(`DROP ROLE IF EXISTS "{{name}}"`);
    care.clock.now = Date.now();
    await care.scanAndVisit();
    expect([await works(lease), await entryOf(lease.lease_id)]).toEqual([false, undefined]);
    expect(JSON.stringify(care.world.published)).not.toContain(lease.lease_id);
  });
});

function isRenewalOf({ path, body }: TransportRequest, id: string): boolean {
  return path.endsWith('/sys/leases/renew') && (body ?? '').includes(id);
}

describe('what is not the caller’s own is neither renewed nor revoked', () => {
  const both = async (id: string, headers: Headers) => {
    const before = await ttlOf(id);
    for (const answer of [await renew(id, { increment: 80_000 }, headers), await revoke(id, headers)]) {
      expect(answer).toMatchObject(unknown);
    }
    expect(await ttlOf(id)).toBeLessThanOrEqual(before);
    const lines = functions.audited.slice(-2);
    expect(lines.map(({ outcome, code }) => [outcome, code])).toEqual(
      Array(2).fill(['error', 'lease_not_under_care']),
    );
    expect(JSON.stringify(functions.audited)).not.toContain(id);
  };

  it('a lease of another role, of a token, of another token', async () => {
    await cluster.role('other', 'other', [world.appPolicy]);
    const other = shown(await cluster.jwt('other'), 'other').headers;
    const mine = await issued();
    const tokens = await issued(token);
    const another = { 'x-vault-token': await createToken([world.appPolicy]) };

    await both(mine.lease_id, other);
    await both(mine.lease_id, token);
    await both(tokens.lease_id, service);
    await both(tokens.lease_id, another);
    expect([await works(mine), await works(tokens)]).toEqual([true, true]);
    expect((await revoke(tokens.lease_id, token)).status).toBe(204);
  });

  it('a lease of a role of the same name at another mount', async () => {
    const second = await cluster.addMount();
    await cluster.role('gateway', 'gateway', [world.appPolicy], second);
    functions = openFunctions(world, { callerMounts: [cluster.mount, second] });
    const elsewhere = shown(await cluster.jwt('gateway'), 'gateway', second).headers;
    const mine = await issued();

    await both(mine.lease_id, elsewhere);
    await both((await issued(elsewhere)).lease_id, service);
    expect(await works(mine)).toBe(true);
  });

  it('a lease of another pod of the same service is its own', async () => {
    const lease = await issued();
    const pod = shown(await cluster.jwt('gateway'), 'gateway').headers;
    expect((await renew(lease.lease_id, {}, pod)).status).toBe(200);
    expect((await revoke(lease.lease_id, pod)).status).toBe(204);
  });

  it('a lease of a batch token, which nothing tells from another', async () => {
    const batch = async () => ({
      'x-vault-token': await createToken([world.appPolicy], { type: 'batch', no_parent: undefined }),
    });
    const [mine, yours] = [await batch(), await batch()];
    const lease = await issued(mine);
    await both(lease.lease_id, yours);
    await both(lease.lease_id, mine);
  });

  it('a generation of a managed secret that is named as the role is', async () => {
    const entry = await care.issue('app', {
      consumer: 'gateway',
      mount: cluster.mount,
      managed: { name: 'gateway', generation: 1 },
    });
    await both(entry.id, service);
  });

  it('what is unknown, or was never kept', async () => {
    await both(`${world.namespace}/${PATH}/absent`, service);
    await both((await care.issue('app')).id, service);
    const { request } = admin(inject);
    await request('POST', `${world.namespace}/database/roles/absent`, {
      db_name: 'pg',
      creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
      default_ttl: '10s',
    });
    const brief = await issued(service, { path: 'database/creds/absent' });
    expect(brief.kept).toBe(false);
    await both(brief.lease_id, service);
    await request('DELETE', `${world.namespace}/database/roles/absent`);
  });

  it.each([
    {},
    { lease_id: '' },
    { lease_id: 'a b' },
    { lease_id: 'a'.repeat(1_025) },
    { lease_id: 'x', other: 1 },
  ])('what is no lease id: %j', async (body) => {
    for (const route of ['renew', 'revoke']) {
      const answer = await functions.fetch('POST', `/v1/leases/${route}`, { headers: service, body });
      expect(answer).toMatchObject(problem(422, 'body_invalid'));
    }
    expect(functions.exchanges).toEqual([]);
  });
});

describe('a batch', () => {
  const resultsSchema = z.object({
    results: z.array(
      z.object({
        status: z.number(),
        lease: leaseSchema.optional(),
        problem: z.looseObject({ code: z.string(), request_id: z.string() }).optional(),
      }),
    ),
  });
  const batch = (requests: unknown, headers: Headers = service) =>
    functions.fetch('POST', '/v1/leases/batch', { headers, body: { requests } });
  const issuing = ({ method, path }: TransportRequest) => method === 'GET' && path.includes('/creds/');

  it('answers each in its order; one that fails undoes none of the others', async () => {
    const asked = [PATH, 'database/creds/other', PATH, 'app/static', 'database/creds/gone', PATH];
    const answer = await batch(asked.map((path) => ({ path })));

    expect(answer.status).toBe(200);
    const { results } = resultsSchema.parse(answer.body);
    expect(results.map(({ status, problem: told }) => told?.code ?? status)).toEqual([
      ...[201, 'vault_denied', 201, 'not_a_lease', 'vault_denied', 201],
    ]);
    for (const { lease } of results.filter(({ status }) => status === 201)) {
      expect(await works(lease ?? {})).toBe(true);
      expect(await entryOf(lease?.lease_id ?? '')).toMatchObject({ consumer: 'gateway' });
    }
    expect(functions.audited.map(({ path }) => path).toSorted()).toEqual(asked.toSorted());
    const id = answer.headers['x-request-id'];
    expect(new Set(functions.audited.map((line) => line.request_id))).toEqual(new Set([id]));
    expect(functions.audited.filter(({ outcome }) => outcome === 'ok').map(({ lease }) => lease)).toEqual(
      Array(3).fill(expect.stringMatching(/^\w{16}$/)),
    );
    expect(functions.exchanges.filter(({ path }) => path.endsWith('/login'))).toHaveLength(1);
  });

  it('of twenty is issued four at a time', async () => {
    let now = 0;
    let most = 0;
    open((real) => ({
      exchange: async (request) => {
        if (!issuing(request)) return real.exchange(request);
        now += 1;
        most = Math.max(most, now);
        return real.exchange(request).finally(() => {
          now -= 1;
        });
      },
      close: () => real.close(),
    }));
    const { results } = resultsSchema.parse((await batch(Array(20).fill({ path: PATH }))).body);
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set([201]));
    expect(new Set(results.map(({ lease }) => lease?.lease_id)).size).toBe(20);
    expect(most).toBe(4);
  });

  it.each([
    ['none', []],
    ['twenty-one', Array(21).fill({ path: PATH })],
    ['one that will not do', [{ path: PATH }, { path: '../sys' }]],
    ['no list', { path: PATH }],
  ])('of %s is refused as a whole, and nothing is issued', async (_, requests) => {
    const before = await liveRoles(world);
    expect(await batch(requests)).toMatchObject(problem(422, 'body_invalid'));
    expect([functions.exchanges, await liveRoles(world)]).toEqual([[], before]);
  });

  it('of a caller that Vault refuses is refused as a whole, with a line for each', async () => {
    const answer = await batch([{ path: PATH }, { path: PATH }], { 'x-vault-token': 'canary' });
    expect(answer).toMatchObject(problem(401, 'caller_refused'));
    expect(functions.audited.map(({ outcome, code }) => [outcome, code])).toEqual(
      Array(2).fill(['denied', 'caller_refused']),
    );
    expect(functions.exchanges).toHaveLength(1);
  });
});
