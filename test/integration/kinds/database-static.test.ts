import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import type { RunProbe } from '../../../lib/rotation/probes/probe.ts';
import { runProbe } from '../../../lib/rotation/probes/probe.ts';
import { joinPath } from '../../../lib/vault/addressing.ts';
import { type PreparedStatic, prepareStatic } from '../../kinds/database-static.ts';
import { documentOf, firstGeneration, publishedValue, rotateOnce } from '../../kinds/rotating.ts';
import { adminOf } from '../../support/admin.ts';
import { startTcpGate, type TcpGate } from '../../support/tcp-gate.ts';
import { createWorld, leaseSpecification, openWorld, type World } from '../../support/world.ts';

const HOUR_MS = 3_600_000;

let world: World;
let prepared: PreparedStatic;
let gate: TcpGate;
/** Added to the clock. */
let later = 0;
/** What happens after the next test of a value. */
let afterProbe: (() => Promise<void>) | undefined;
const faults: unknown[] = [];

const probing: RunProbe = async (probe, value) => {
  const result = await runProbe(probe, value);
  const then = afterProbe;
  afterProbe = undefined;
  await then?.();
  return result;
};

beforeAll(async () => {
  world = openWorld(await createWorld(), {
    now: () => Date.now() + later,
    runProbe: probing,
    onError: (error) => faults.push(error),
  });
  prepared = await prepareStatic(world);
  gate = await startTcpGate(world.postgres);
  const { user, password, database } = inject('postgres');
  await adminOf(world).request('POST', `${world.namespace}/database/config/gated`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@127.0.0.1:${gate.port}/${database}`,
    username: user,
    password,
    max_open_connections: 2,
  });
});
beforeEach(() => {
  later = 0;
  faults.length = 0;
});
afterAll(async () => {
  await prepared.close();
  await gate.close();
  await world.close();
});

const first = (name: string, changes = {}) => firstGeneration(world, prepared, name, changes);
const rotate = (name: string, reason: 'demand' | 'leak' = 'demand') =>
  rotateOnce(world, prepared, name, { reason });
const state = async (name: string) => (await documentOf(world, name)).state;
const value = async (name: string) => (await publishedValue(world, name)) ?? {};
const works = async (name: string) => prepared.logsIn(await value(name));
const rotatedAt = async (role: string) => (await prepared.roles.read(role))?.rotatedAt;
const told = (name: string) =>
  world.published
    .filter((event) => 'name' in event.data && event.data.name === name)
    .map(({ type, data }) => ({ type, ...data }));
const visit = async (name: string, aheadMs: number) => {
  later += aheadMs;
  return rotateSecret(world.rotate, name);
};

it('uses its roles in turn, and leaves that of the current generation alone', async () => {
  await first('turns');
  const seen = [(await state('turns')).cur?.h.role];
  for (let rotation = 0; rotation < 3; rotation += 1) {
    const before = await value('turns');
    const current = String((await state('turns')).cur?.h.role);
    const at = await rotatedAt(current);
    // Until the old one is retired, its password is what it was.
    afterProbe = async () => {
      expect(await rotatedAt(current)).toBe(at);
      expect(await prepared.logsIn(before)).toBe(true);
    };
    await rotate('turns');
    seen.push((await state('turns')).cur?.h.role);
  }
  expect(seen).toEqual(['turns-a', 'turns-b', 'turns-a', 'turns-b']);
});

it('says so when each role is in its grace, and keeps both generations', async () => {
  await first('graced', { grace: '1h', deadline: '1h' });
  const old = await value('graced');
  await rotate('graced');
  await rotate('graced');
  expect(told('graced').at(-1)).toMatchObject({
    type: 'secret.rotation_failed',
    step: 'create',
    code: 'static_role_in_grace',
  });
  expect([await prepared.logsIn(old), await works('graced')]).toEqual([true, true]);
  // The grace of the first over, the rotation that was asked for is made.
  await visit('graced', HOUR_MS + 1_000);
  expect((await state('graced')).cur).toMatchObject({ g: 3, h: { role: 'graced-a' } });
});

it('overlaps longer with a third role', async () => {
  const roles = await prepared.makeRoles('three', { roles: 3 });
  expect(roles).toHaveLength(3);
  await first('three', { grace: '1h', deadline: '1h' });
  const old = [await value('three')];
  await rotate('three');
  old.push(await value('three'));
  await rotate('three');
  expect((await state('three')).cur).toMatchObject({ g: 3, h: { role: 'three-c' } });
  expect(await Promise.all(old.map((one) => prepared.logsIn(one)))).toEqual([true, true]);
});

it('answers a leak in the middle of a grace, and does not end the password of a later generation on the same role', async () => {
  await first('leaking', { grace: '1h', deadline: '1h' });
  const old = [await value('leaking')];
  await rotate('leaking');
  old.push(await value('leaking'));
  await rotate('leaking', 'leak');
  // The first was on this role, and was retired after it.
  expect(await state('leaking')).toMatchObject({ cur: { g: 3, h: { role: 'leaking-a' } }, retiring: [] });
  expect(await works('leaking')).toBe(true);
  expect(await Promise.all(old.map((one) => prepared.logsIn(one)))).toEqual([false, false]);
});

it('finds that Vault has changed the password by itself, and mends it', async () => {
  await prepared.makeRoles('by-vault', { period: '6s' });
  await first('by-vault', { verify_every: '1s' });
  const { cur, due } = await state('by-vault');
  // Vault would do it after six seconds: before that, it is due by itself.
  expect(cur).toMatchObject({ ttlMs: 6_000 });
  expect((due ?? 0) - (cur?.since ?? 0)).toBeLessThan(6_000);
  const at = await rotatedAt('by-vault-a');
  while ((await rotatedAt('by-vault-a')) === at) await sleep(100);
  expect(await works('by-vault')).toBe(false);
  await world.secrets.change('by-vault', (one) => ({ ...one, due: undefined, verifyAt: 0 }));
  await rotateSecret(world.rotate, 'by-vault');
  expect(told('by-vault')).toContainEqual(
    expect.objectContaining({ type: 'secret.drift', what: 'password_rotated' }),
  );
  expect(await works('by-vault')).toBe(true);
}, 30_000);

it('does not publish what was changed before its test', async () => {
  await first('early');
  const before = await value('early');
  const stolen = openWorld(world, {
    now: world.now,
    onError: () => {},
    transport: (real) => ({
      exchange: async (request) => {
        const answer = await real.exchange(request);
        if (request.path.endsWith('/static-creds/early-b')) await prepared.roles.rotate('early-b');
        return answer;
      },
      close: () => real.close(),
    }),
  });
  await rotateOnce(stolen, prepared, 'early');
  await stolen.close();
  expect(stolen.published.at(-1)?.data).toMatchObject({ step: 'test', code: 'static_role_rotated' });
  expect([await value('early'), await works('early')]).toEqual([before, true]);
  await visit('early', HOUR_MS);
  expect([(await state('early')).cur?.g, await works('early')]).toEqual([2, true]);
});

it('publishes, keeps and ends the password that was set between test and publication', async () => {
  await first('between');
  afterProbe = () => prepared.roles.rotate('between-b');
  await rotate('between');
  const published = await value('between');
  expect(await prepared.logsIn(published)).toBe(true);
  await visit('between', HOUR_MS);
  expect(told('between').filter(({ type }) => type === 'secret.drift')).toEqual([]);
  expect((await state('between')).cur?.g).toBe(2);
  await rotate('between');
  expect([await prepared.logsIn(published), await works('between')]).toEqual([false, true]);
});

it('keeps the current generation while the database is down, and goes on when it is back', async () => {
  await prepared.makeRoles('down', { connection: 'gated' });
  await first('down');
  gate.shut();
  await rotate('down');
  expect(told('down').at(-1)).toMatchObject({
    type: 'secret.rotation_failed',
    step: 'apply',
    code: 'static_role_rotation_failed',
  });
  expect((await state('down')).due).toBeGreaterThanOrEqual(world.now() + 50_000);
  expect(await works('down')).toBe(true);
  gate.open();
  await visit('down', 70_000);
  expect([(await state('down')).cur?.g, await works('down')]).toEqual([2, true]);
});

it('does not forget an old password that it could not end', async () => {
  await prepared.makeRoles('unended', { connection: 'gated' });
  await first('unended', { grace: '10s', deadline: '10s' });
  const old = await value('unended');
  await rotate('unended');
  gate.shut();
  await visit('unended', 11_000);
  expect((await state('unended')).retiring).toMatchObject([{ g: 1, failed: 'static_role_rotation_failed' }]);
  expect([await prepared.logsIn(old), await works('unended')]).toEqual([true, true]);
  gate.open();
  await visit('unended', 60_000);
  expect((await state('unended')).retiring).toEqual([]);
  expect([await prepared.logsIn(old), await works('unended')]).toEqual([false, true]);
});

it('mends a role that rotations at the same time have spoilt, idle or current', async () => {
  await first('spoilt');
  const spoil = async (role: string) => {
    await Promise.allSettled(Array.from({ length: 6 }, () => prepared.roles.rotate(role)));
    const { username, password } = await prepared.roles.credentials(role);
    return prepared.logsIn({ username, password });
  };
  // OpenBao keeps another password than the database has. Should a later version not, this test is to be dropped.
  expect(await spoil('spoilt-b')).toBe(false);
  await rotate('spoilt');
  expect([(await state('spoilt')).cur?.h.role, await works('spoilt')]).toEqual(['spoilt-b', true]);
  await spoil('spoilt-b');
  await visit('spoilt', HOUR_MS);
  expect(await works('spoilt')).toBe(true);
});

it('tells that a role is gone, and does not say that its password has ended', async () => {
  await first('gone');
  const old = await value('gone');
  await adminOf(world).request('DELETE', `${world.namespace}/database/static-roles/gone-a`);
  await visit('gone', HOUR_MS);
  expect(told('gone')).toContainEqual(
    expect.objectContaining({ type: 'secret.drift', what: 'role_deleted' }),
  );
  expect(await state('gone')).toMatchObject({
    cur: { g: 2, h: { role: 'gone-b' } },
    retiring: [{ g: 1, failed: 'static_role_gone' }],
  });
  expect([await prepared.logsIn(old), await works('gone')]).toEqual([true, true]);
  await rotate('gone');
  expect(told('gone').at(-1)).toMatchObject({ step: 'create', code: 'static_role_unknown' });
  // Vault sets a new password when it takes the user over again.
  await adminOf(world).request('POST', `${world.namespace}/database/static-roles/gone-a`, {
    db_name: 'pg',
    username: `${world.rolePrefix}-gone-a`,
    rotation_period: '8760h',
  });
  await visit('gone', HOUR_MS);
  expect(await state('gone')).toMatchObject({ cur: { g: 3, h: { role: 'gone-a' } }, retiring: [] });
  expect([await prepared.logsIn(old), await works('gone')]).toEqual([false, true]);
});

it('gives up an attempt whose role goes away under it', async () => {
  await first('lost');
  const deleting = openWorld(world, {
    now: world.now,
    onError: () => {},
    transport: (real) => ({
      exchange: async (request) => {
        if (request.path.endsWith('/rotate-role/lost-b'))
          await adminOf(world).request('DELETE', `${world.namespace}/database/static-roles/lost-b`);
        return real.exchange(request);
      },
      close: () => real.close(),
    }),
  });
  await rotateOnce(deleting, prepared, 'lost');
  await deleting.close();
  expect(await state('lost')).toMatchObject({ phase: 'idle', failures: 1, cur: { g: 1 }, retiring: [] });
});

it('refuses roles that share a user', async () => {
  await prepared.makeRoles('shared');
  const { request } = adminOf(world);
  await request('DELETE', `${world.namespace}/database/static-roles/shared-b`);
  const twin = {
    db_name: 'pg',
    username: `${world.rolePrefix}-shared-a`,
    rotation_period: '8760h',
  };
  await request('POST', `${world.namespace}/database/static-roles/shared-b`, twin);
  await first('shared');
  expect(told('shared').at(-1)).toMatchObject({ step: 'create', code: 'static_roles_share_user' });
});

it('takes over from a secret of another kind', async () => {
  const name = 'was-lease';
  await world.secrets.apply(
    leaseSpecification(world, { name, publish: `app/${name}`, grace: '0s', deadline: '0s' }),
  );
  await rotateSecret(world.rotate, name);
  const old = await value(name);
  await world.secrets.apply(await prepared.specify(name));
  await rotate(name);
  expect(await state(name)).toMatchObject({ cur: { g: 2, kind: 'database-static' }, retiring: [] });
  expect([await prepared.logsIn(old), await works(name)]).toEqual([false, true]);
});

it('says which roles are missing', async () => {
  const mount = 'teams/one/database';
  const { request } = adminOf(world);
  await request('POST', `sys/mounts/${joinPath(world.namespace, mount)}`, { type: 'database' });
  await prepared.makeRoles('missing');
  await first('missing', { mount });
  expect(told('missing').at(-1)).toMatchObject({ step: 'create', code: 'static_role_unknown' });
  expect(faults.map(String).join()).toContain(`missing-a, missing-b at ${mount}`);
});
