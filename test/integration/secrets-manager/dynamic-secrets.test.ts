import { describe, expect, inject, test } from 'vitest';
import * as z from 'zod';
import type { DynamicSecret, Transport } from '../../../lib/index.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { admin } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { consume, whoAmI } from './consumer.ts';
import { type Ground, issued, type Layout, liveRoles, prepareGround } from './ground.ts';
import { listening } from './listening.ts';

const PATH = 'database/creds/app';
const { request } = admin(inject);
const layouts: readonly Layout[] = ['prefix', 'namespace', 'namespace-auth'];

describe.concurrent.each(layouts)('leases, layout %s', (layout) => {
  test('renewed, and replaced through the max TTL while a consumer queries all the time', async ({
    onTestFinished,
  }) => {
    const ground = await prepareGround(
      { layout, leaseTtl: '4s', leaseMaxTtl: '9s', mayRevoke: true },
      onTestFinished,
    );
    const manager = ground.manager({ overlapMs: 1_000 });
    const told = listening(manager);
    const consumer = consume(manager, PATH);
    await until(() => told.rotated.length >= 2, 50_000);
    const queries = await consumer.stop();
    expect(consumer.failures).toEqual([]);
    expect(queries).toBeGreaterThan(100);
    expect(consumer.users.size).toBeGreaterThanOrEqual(2);
    expect(told.lost).toEqual([]);
    expect(told.fault).toEqual([]);
    expect(told.renewed.length).toBeGreaterThanOrEqual(2);
    // No more than one lease for each rotation, and each replaced one was told to be expiring first.
    expect(issued(ground, PATH)).toBe(told.rotated.length + 1);
    expect(told.expiring.map(({ leaseId }) => leaseId)).toEqual(
      told.rotated.map(({ previous }) => previous.leaseId),
    );
    await manager.cleanup();
    await until(async () => (await liveRoles(ground)).length === 0);
  });

  test('revoked behind its back: lost, replaced, and the consumer goes on', async ({ onTestFinished }) => {
    const ground = await prepareGround({ layout, leaseTtl: '3s' }, onTestFinished);
    const manager = ground.manager();
    const told = listening(manager);
    const first = await manager.getDynamicSecret(PATH);
    await request('PUT', `${leasesOf(ground, first)}/revoke`, { lease_id: first.leaseId, sync: true });
    await until(() => told.rotated.length === 1);
    const second = await manager.getDynamicSecret(PATH);
    expect(told.lost).toEqual([{ path: PATH, leaseId: first.leaseId }]);
    expect(told.rotated).toEqual([
      { path: PATH, previous: { leaseId: first.leaseId }, current: { leaseId: second.leaseId } },
    ]);
    expect(await whoAmI(second)).toBe(second.data.get('username'));
    expect(await manager.metrics()).toContain(
      'vault_lease_renewal_errors_total{reason="vault_lease_not_found"} 1',
    );
  });
});

/** The root's own for a lease id with the prefix, else the namespace's. */
function leasesOf({ namespace }: Ground, { leaseId = '' }: DynamicSecret): string {
  return leaseId.startsWith(`${namespace}/`) ? 'sys/leases' : `${namespace}/sys/leases`;
}

test.concurrent('many callers at once share one lease; a fresh one is the caller’s own and can be released', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ mayRevoke: true }, onTestFinished);
  const manager = ground.manager();
  const secrets = await Promise.all(Array.from({ length: 200 }, () => manager.getDynamicSecret(PATH)));
  expect(new Set(secrets.map(({ leaseId }) => leaseId)).size).toBe(1);
  // A login, a look at the mount, the credential.
  expect(ground.requests).toHaveLength(3);
  const fresh = await manager.getDynamicSecret(PATH, { fresh: true });
  expect(fresh.leaseId).not.toBe(secrets[0]?.leaseId);
  expect((await liveRoles(ground)).length).toBe(2);
  await manager.release(fresh.leaseId ?? '');
  expect((await liveRoles(ground)).length).toBe(1);
  await expect(manager.release(fresh.leaseId ?? '')).rejects.toMatchObject({ code: 'lease_unknown' });
  expect((await manager.getDynamicSecret(PATH)).leaseId).toBe(secrets[0]?.leaseId);
});

test.concurrent.for([true, false])(
  'cleanup leaves no role behind (revoking leases allowed: %s)',
  async (mayRevoke, { onTestFinished }) => {
    const ground = await prepareGround({ mayRevoke }, onTestFinished);
    const manager = ground.manager();
    const told = listening(manager);
    await manager.getDynamicSecret(PATH);
    await manager.getDynamicSecret(PATH, { fresh: true });
    const underWay = manager.getDynamicSecret(PATH, { fresh: true }).catch(() => undefined);
    await until(async () => (await liveRoles(ground)).length >= 2);
    await manager.cleanup();
    await underWay;
    await until(async () => (await liveRoles(ground)).length === 0);
    expect(told.fault).toEqual([]);
  },
);

test.concurrent('a handler of rotated holds up the revocation of the old credential', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '3s', leaseMaxTtl: '4s', mayRevoke: true }, onTestFinished);
  const manager = ground.manager({ overlapMs: 0 });
  const first = await manager.getDynamicSecret(PATH);
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let stillWorks: unknown;
  manager.on('rotated', async (event) => {
    if (event.previous.leaseId !== first.leaseId) return;
    const { leaseId } = await manager.getDynamicSecret(PATH);
    stillWorks = { asked: leaseId === event.current.leaseId, user: await whoAmI(first) };
    release();
  });
  await released;
  expect(stillWorks).toEqual({ asked: true, user: first.data.get('username') });
  await until(async () => !(await liveRoles(ground)).includes(first.data.get('username')));
});

const lookupAnswer = z.object({ data: z.object({ ttl: z.number() }) });

test.concurrent('a denied path costs a denial and nothing else', async ({ onTestFinished }) => {
  const ground = await prepareGround({}, onTestFinished);
  let later = 0;
  const real = createTransport({ address: inject('openbao').address });
  const paths: string[] = [];
  const transport: Transport = {
    exchange: async (exchange) => {
      paths.push(exchange.path);
      const answer = await real.exchange(exchange);
      // Without Vault's date the manager goes by its own clock, which is turned below.
      return { ...answer, headers: { ...answer.headers, date: undefined } };
    },
    close: () => real.close(),
  };
  const manager = ground.manager({ now: () => Date.now() + later, transport });
  const { leaseId } = await manager.getDynamicSecret(PATH);
  // Now the token is old enough to be doubted: it is looked at, and found good.
  later = 60_000;
  await expect(manager.getDynamicSecret('elsewhere/creds/x')).rejects.toMatchObject({ code: 'vault_denied' });
  await expect(manager.getDynamicSecret('database/creds/none')).rejects.toMatchObject({
    code: 'vault_bad_request',
  });
  await expect(manager.getSecret('elsewhere/x')).rejects.toMatchObject({ code: 'vault_denied' });
  expect((await manager.getDynamicSecret(PATH)).leaseId).toBe(leaseId);
  const count = (end: string) => paths.filter((path) => path.endsWith(end)).length;
  expect({ logins: count('/login'), looks: count('/lookup-self') }).toEqual({ logins: 1, looks: 1 });
});

test.concurrent('a static role has no lease, and is read again when it has aged', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({}, onTestFinished);
  const user = `${ground.rolePrefix}-fixed`;
  await withPostgres(inject, (client) => client.query(`CREATE ROLE "${user}" LOGIN`));
  await request('POST', `${ground.namespace}/database/static-roles/fixed`, {
    db_name: 'pg',
    username: user,
    rotation_period: '1h',
  });
  const manager = ground.manager({ refreshMs: 200 });
  const path = 'database/static-creds/fixed';
  const before = await manager.getDynamicSecret(path);
  expect(before).toMatchObject({ leaseId: undefined, expiresAt: undefined });
  await request('POST', `${ground.namespace}/database/rotate-role/fixed`);
  await until(async () => {
    const now = await manager.getDynamicSecret(path);
    return now.data.get('password') !== before.data.get('password');
  });
  expect(await whoAmI(await manager.getDynamicSecret(path))).toBe(user);
  await manager.cleanup();
  await withPostgres(inject, (client) => client.query(`DROP ROLE "${user}"`));
});

test.concurrent('renewals ask for the original TTL', async ({ onTestFinished }) => {
  const ground = await prepareGround({ leaseTtl: '4s', leaseMaxTtl: '1h' }, onTestFinished);
  const manager = ground.manager();
  const told = listening(manager);
  const { leaseId } = await manager.getDynamicSecret(PATH);
  await until(() => told.renewed.length >= 2, 20_000);
  const renewals = ground.requests.filter(({ path }) => path.endsWith('sys/leases/renew'));
  for (const { body } of renewals) expect(body).toBe(JSON.stringify({ lease_id: leaseId, increment: 4 }));
  const { data } = await admin(inject).read(lookupAnswer, 'PUT', 'sys/leases/lookup', { lease_id: leaseId });
  expect(data.ttl).toBeGreaterThan(0);
  expect(issued(ground, PATH)).toBe(1);
});
