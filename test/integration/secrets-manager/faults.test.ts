import { expect, inject, test } from 'vitest';
import type { Transport } from '../../../lib/index.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { admin } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import { consume, whoAmI } from './consumer.ts';
import { cuttable } from './cuttable.ts';
import { issued, liveRoles, prepareGround } from './ground.ts';
import { listening } from './listening.ts';

const PATH = 'database/creds/app';
const { request } = admin(inject);

test.concurrent('a failed renewal makes no new credential: the lease is renewed once Vault is back', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '8s' }, onTestFinished);
  const way = cuttable();
  const manager = ground.manager({ ...way.options, overlapMs: 0 });
  const told = listening(manager);
  const secret = await manager.getDynamicSecret(PATH);
  way.cut();
  await until(() => told.fault.length >= 1);
  way.mend();
  await until(() => told.renewed.length >= 1);
  expect(told.fault[0]).toMatchObject({
    operation: 'renew',
    path: PATH,
    error: { code: 'vault_unreachable' },
  });
  expect((await manager.getDynamicSecret(PATH)).leaseId).toBe(secret.leaseId);
  expect(told.rotated).toEqual([]);
  expect(way.paths.filter((path) => path === `/v1/${ground.namespace}/${PATH}`)).toHaveLength(1);
});

test.concurrent('a refused renewal makes no new credential either while life is safe', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '10s', mayRenew: false }, onTestFinished);
  const manager = ground.manager({ overlapMs: 0 });
  const told = listening(manager);
  await manager.getDynamicSecret(PATH);
  await until(() => told.fault.length >= 1);
  await ground.allow({ mayRenew: true });
  await until(() => told.renewed.length >= 1);
  expect(told.fault[0]).toMatchObject({ operation: 'renew', error: { code: 'vault_denied' } });
  expect(told.rotated).toEqual([]);
  expect(issued(ground, PATH)).toBe(1);
});

test.concurrent('renewal is not allowed: tried while life is safe, then replaced before the end', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '5s', mayRenew: false }, onTestFinished);
  const manager = ground.manager({ overlapMs: 1_000 });
  const told = listening(manager);
  const consumer = consume(manager, PATH);
  await until(() => told.rotated.length >= 2, 30_000);
  await consumer.stop();
  expect(consumer.failures).toEqual([]);
  expect(told.lost).toEqual([]);
  expect(issued(ground, PATH)).toBe(told.rotated.length + 1);
  expect(told.fault.length).toBeGreaterThanOrEqual(told.rotated.length);
  for (const fault of told.fault)
    expect(fault).toMatchObject({ operation: 'renew', error: { code: 'vault_denied' } });
  expect(ground.requests.filter(({ path }) => path.endsWith('/login'))).toHaveLength(1);
});

test.concurrent('Vault away past the end of the lease: nothing dead is handed out, and all mends by itself', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '3s' }, onTestFinished);
  const way = cuttable();
  const manager = ground.manager(way.options);
  const told = listening(manager);
  const first = await manager.getDynamicSecret(PATH);
  way.cut();
  await until(() => told.lost.length === 1);
  await expect(manager.getDynamicSecret(PATH)).rejects.toMatchObject({ code: 'vault_unreachable' });
  way.mend();
  await until(() => told.rotated.length === 1, 20_000);
  const second = await manager.getDynamicSecret(PATH);
  expect(told.rotated[0]).toEqual({
    path: PATH,
    previous: { leaseId: first.leaseId },
    current: { leaseId: second.leaseId },
  });
  expect(await whoAmI(second)).toBe(second.data.get('username'));
});

test.concurrent('a static secret stands in while Vault is away, and never after a denial', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({}, onTestFinished);
  const api = `${ground.namespace}/nvidia/data/api-key`;
  await request('PUT', api, { data: { key: 'first' } });
  const way = cuttable();
  let later = 0;
  const manager = ground.manager({ ...way.options, now: () => Date.now() + later, random: () => 0 });
  await manager.getSecret('nvidia/api-key');
  way.cut();
  later = 300_000;
  const stale = await manager.getSecret('nvidia/api-key');
  expect([stale.stale, stale.data.get('key')]).toEqual([true, 'first']);
  later = 599_000;
  expect((await manager.getSecret('nvidia/api-key')).stale).toBe(true);
  later = 601_000;
  await expect(manager.getSecret('nvidia/api-key')).rejects.toMatchObject({ code: 'vault_unreachable' });
  way.mend();
  expect((await manager.getSecret('nvidia/api-key')).stale).toBe(false);
  await request('DELETE', `${ground.namespace}/nvidia/metadata/api-key`);
  later = 902_000;
  await expect(manager.getSecret('nvidia/api-key')).rejects.toMatchObject({ code: 'vault_not_found' });
  way.cut();
  // That there is nothing is known for ten seconds; the value of before must not come back after them.
  await expect(manager.getSecret('nvidia/api-key')).rejects.toMatchObject({ code: 'vault_not_found' });
  later = 913_000;
  await expect(manager.getSecret('nvidia/api-key')).rejects.toMatchObject({ code: 'vault_unreachable' });
  expect(await manager.metrics()).toContain(
    'vault_secret_requests_total{path="nvidia/api-key",kind="static",outcome="stale"} 2',
  );
});

test.concurrent('a process that was frozen acts by the clock before it answers', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '1h' }, onTestFinished);
  let frozen = 0;
  const manager = ground.manager({ now: () => Date.now() + frozen });
  const told = listening(manager);
  const first = await manager.getDynamicSecret(PATH);
  frozen = 44 * 60_000;
  expect((await manager.getDynamicSecret(PATH)).leaseId).toBe(first.leaseId);
  expect(told.renewed.map(({ leaseId }) => leaseId)).toEqual([first.leaseId]);
  expect(issued(ground, PATH)).toBe(1);
  frozen = 24 * 3_600_000;
  const second = await manager.getDynamicSecret(PATH);
  expect(second.leaseId).not.toBe(first.leaseId);
  expect(second.expiresAt).toBeGreaterThan(Date.now() + frozen);
  expect(told.lost.map(({ leaseId }) => leaseId)).toEqual([first.leaseId]);
  expect(told.rotated).toHaveLength(1);
});

test.concurrent('cleanup takes no longer than its bound when Vault is away, and tells what it left', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({ leaseTtl: '3s' }, onTestFinished);
  const way = cuttable();
  const manager = ground.manager(way.options);
  const told = listening(manager);
  await manager.getDynamicSecret(PATH);
  way.cut();
  await manager.cleanup();
  expect(told.fault.map(({ operation }) => operation)).toEqual(['revoke', 'cleanup']);
  // Nobody renews it any more: it ends by itself.
  await until(async () => (await liveRoles(ground)).length === 0, 20_000);
});

test.concurrent('health is told in time of a Vault that does not answer, and after the end', async ({
  onTestFinished,
}) => {
  const ground = await prepareGround({}, onTestFinished);
  const never: Transport = { exchange: () => new Promise(() => {}), close: () => Promise.resolve() };
  const manager = ground.manager({ transport: never, cleanupTimeoutMs: 50 });
  expect(await manager.health({ timeoutMs: 100 })).toMatchObject({
    status: 'unready',
    reasons: [{ code: 'vault_timeout' }],
  });
  await manager.cleanup();
  expect(await manager.health()).toMatchObject({
    status: 'unready',
    reasons: [{ code: 'secrets_manager_closed' }],
  });
});

test.concurrent('cleanup gives up on a Vault that does not answer', async ({ onTestFinished }) => {
  const ground = await prepareGround({ leaseTtl: '3s' }, onTestFinished);
  const real = createTransport({ address: inject('openbao').address });
  let mute = false;
  const manager = ground.manager({
    cleanupTimeoutMs: 200,
    transport: {
      exchange: (exchange) => (mute ? new Promise(() => {}) : real.exchange(exchange)),
      close: () => real.close(),
    },
  });
  const told = listening(manager);
  await manager.getDynamicSecret(PATH);
  mute = true;
  await manager.cleanup();
  expect(told.fault).toMatchObject([
    { operation: 'cleanup', error: { code: 'secrets_manager_cleanup_slow' } },
  ]);
  await real.close();
});

test.concurrent('a caller who stops waiting disturbs nobody', async ({ onTestFinished }) => {
  const ground = await prepareGround({}, onTestFinished);
  const manager = ground.manager();
  const controller = new AbortController();
  const impatient = expect(manager.getDynamicSecret(PATH, { signal: controller.signal })).rejects.toThrow(
    'enough',
  );
  const patient = manager.getDynamicSecret(PATH);
  controller.abort(new Error('enough'));
  await impatient;
  expect((await patient).leaseId).toBeDefined();
  expect(issued(ground, PATH)).toBe(1);
});
