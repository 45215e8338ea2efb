import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { isVaultError } from '../../../lib/vault/errors.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { Leases } from '../../../lib/vault/leases.ts';
import { Mounts } from '../../../lib/vault/mounts.ts';
import { issueDynamic, readStatic } from '../../../lib/vault/secrets.ts';
import { lookupSelf, Tokens } from '../../../lib/vault/tokens.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { wrap } from '../../../lib/vault/wrapping.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const { request, read } = admin(inject);
const code = (expected: string) => ({ code: expected });
let world: World;

beforeAll(async () => {
  world = openWorld(await createWorld());
});
afterAll(() => world.close());

describe('KV v2', () => {
  const key = () => uniqueName('key');

  it('writes by check-and-set only, and says which version it made', async () => {
    const path = key();
    expect(await world.store.read(path)).toMatchObject({ entry: undefined, version: 0 });
    expect(await world.store.write(path, { word: 'one' }, 0)).toBe(1);
    await expect(world.store.write(path, { word: 'again' }, 0)).rejects.toMatchObject(
      code('vault_cas_mismatch'),
    );
    expect(await world.store.write(path, { word: 'two' }, 1)).toBe(2);
    const { entry, version } = await world.store.read(path);
    expect(entry).toMatchObject({ data: { word: 'two' }, version: 2, customMetadata: {} });
    expect([version, await world.store.version(path), await world.store.version(key())]).toEqual([2, 2, 0]);
  });

  it('lets one of 50 create a key', async () => {
    const path = key();
    const tries = Array.from({ length: 50 }, (_, n) => world.store.write(path, { n }, 0));
    const settled = await Promise.allSettled(tries);
    expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of settled) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject(code('vault_cas_mismatch'));
    }
  });

  it('goes on counting after a version was deleted, and begins again after the metadata was', async () => {
    const path = key();
    await world.store.write(path, { word: 'one' }, 0);
    await request('DELETE', `${world.stateMount}/data/${path}`);
    expect(await world.store.read(path)).toMatchObject({ entry: undefined, version: 1 });
    expect(await world.store.write(path, { word: 'two' }, 1)).toBe(2);
    await world.store.deleteMetadata(path);
    expect(await world.store.read(path)).toMatchObject({ entry: undefined, version: 0 });
    await world.store.deleteMetadata(path);
  });

  it('sets keys of the metadata and leaves the others', async () => {
    const path = key();
    await world.store.write(path, { word: 'one' }, 0);
    await world.store.patchMetadata(path, { generation: '1', owner: 'us' });
    await world.store.patchMetadata(path, { generation: '2' });
    const { entry } = await world.store.read(path);
    expect(entry?.customMetadata).toEqual({ generation: '2', owner: 'us' });
    await expect(world.store.patchMetadata(key(), { a: 'b' })).rejects.toMatchObject(code('vault_not_found'));
  });

  it('lists names and folders; nothing is an empty list', async () => {
    const folder = key();
    await world.store.write(`${folder}/a`, {}, 0);
    await world.store.write(`${folder}/b/c`, {}, 0);
    expect(await world.store.list(folder)).toEqual(['a', 'b/']);
    expect(await world.store.list(key())).toEqual([]);
  });

  it('refuses what Vault could not store, and says so', async () => {
    const large = { packed: 'x'.repeat(1_060_000) };
    await expect(world.store.write(key(), large, 0)).rejects.toMatchObject({
      code: 'vault_entry_too_large',
      processed: 'no',
    });
  });

  it('waits while a mount that was just made is not ready', async () => {
    for (let n = 0; n < 3; n += 1) {
      const mount = uniqueName('new');
      await world.vault.request({
        method: 'POST',
        path: `sys/mounts/${mount}`,
        body: { type: 'kv', options: { version: '2' } },
        repeatable: false,
      });
      expect(await new KvStore(world.vault, mount).write('a', {}, 0)).toBe(1);
    }
  });
});

describe('a static secret', () => {
  it('is read from KV v1 and v2; which it is is found out, once', async () => {
    const mounts = new Mounts(world.vault);
    const v1 = uniqueName('v1');
    await request('POST', `sys/mounts/${world.namespace}/${v1}`, { type: 'kv', options: { version: '1' } });
    await request('POST', `${world.namespace}/${v1}/deep/key`, { word: 'hush' });
    await new KvStore(world.vault, `${world.namespace}/app`).write('deep/key', { word: 'hush' }, 0);
    const before = world.exchanges.length;
    for (let n = 0; n < 2; n += 1) {
      expect(await readStatic(world.vault, mounts, `${world.namespace}/${v1}/deep/key`)).toMatchObject({
        data: { word: 'hush' },
        version: 0,
      });
      expect(await readStatic(world.vault, mounts, `${world.namespace}/app/deep/key`)).toMatchObject({
        data: { word: 'hush' },
        version: 1,
      });
    }
    const asked = world.exchanges
      .slice(before)
      .filter(({ path }) => path.startsWith('sys/internal/ui/mounts'));
    expect(asked).toHaveLength(2);
  });

  it.each([
    ['a missing key', 'app/none', 'vault_not_found'],
    ['a dynamic path', 'database/creds/app', 'vault_bad_request'],
  ])('%s is a clear error', async (_, path, expected) => {
    const read = readStatic(world.vault, world.mounts, `${world.namespace}/${path}`);
    await expect(read).rejects.toMatchObject(code(expected));
  });

  it('that was deleted is not found', async () => {
    const path = uniqueName('gone');
    await new KvStore(world.vault, `${world.namespace}/app`).write(path, { word: 'hush' }, 0);
    await request('DELETE', `${world.namespace}/app/data/${path}`);
    const read = readStatic(world.vault, world.mounts, `${world.namespace}/app/${path}`);
    await expect(read).rejects.toMatchObject(code('vault_not_found'));
  });
});

describe('leases', () => {
  const leases = () => new Leases(world.vault, '');
  const role = async (name: string, changes: object) => {
    await request('POST', `${world.namespace}/database/roles/${name}`, {
      db_name: 'pg',
      creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
      revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
      default_ttl: '30m',
      max_ttl: '1h',
      ...changes,
    });
    return `${world.namespace}/database/creds/${name}`;
  };

  it('are issued with their id, renewed up to their max TTL, and revoked as often as one likes', async () => {
    const issued = await issueDynamic(world.vault, await role('capped', {}));
    expect(issued).toMatchObject({ renewable: true, leaseDurationSeconds: 1_800 });
    expect(issued.data).toHaveProperty('password');
    expect(issued.requestId).not.toBe('');
    const beyond = await leases().renew(issued.leaseId, 10_000);
    expect(beyond.renewable).toBe(true);
    expect(beyond.leaseDurationSeconds).toBeLessThanOrEqual(3_600);
    expect(beyond.leaseDurationSeconds).toBeGreaterThan(3_500);
    const looked = await leases().lookup(issued.leaseId);
    expect(looked).toMatchObject({ renewable: true });
    expect(looked.expireTime - looked.issueTime).toBeLessThanOrEqual(3_601_000);
    await leases().revoke(issued.leaseId);
    await leases().revoke(issued.leaseId);
    await expect(leases().lookup(issued.leaseId)).rejects.toMatchObject(code('vault_lease_not_found'));
    await expect(leases().renew(issued.leaseId, 60)).rejects.toMatchObject(code('vault_lease_not_found'));
  });

  it('that cannot be renewed say so, and live on', async () => {
    const mount = uniqueName('ssh');
    await request('POST', `sys/mounts/${mount}`, { type: 'ssh' });
    const otp = { key_type: 'otp', default_user: 'app', cidr_list: '0.0.0.0/0' };
    await request('POST', `${mount}/roles/otp`, otp);
    const issued = await issueDynamic(world.vault, `${mount}/creds/otp`, { ip: '192.0.2.1' });
    expect(issued.renewable).toBe(false);
    await expect(leases().renew(issued.leaseId, 60)).rejects.toMatchObject(code('vault_lease_not_renewable'));
    expect((await leases().lookup(issued.leaseId)).ttlSeconds).toBeGreaterThan(500);
  });

  it('whose engine fails are told from leases that are gone', async () => {
    const path = await role('dropped', {});
    const { leaseId } = await issueDynamic(world.vault, path);
    await request('DELETE', `${world.namespace}/database/roles/dropped`);
    await expect(leases().renew(leaseId, 60)).rejects.toMatchObject(code('vault_renew_failed'));
    expect((await leases().lookup(leaseId)).ttlSeconds).toBeGreaterThan(0);
  });

  it('whose engine cannot revoke are still alive', async () => {
    const { leaseId } = await issueDynamic(
      world.vault,
      await role('stuck', { revocation_statements: 'SELECT 1 / 0' }),
    );
    await expect(leases().revoke(leaseId)).rejects.toMatchObject(code('vault_revoke_failed'));
    expect((await leases().lookup(leaseId)).ttlSeconds).toBeGreaterThan(0);
    await request('PUT', `sys/leases/revoke-force/${world.namespace}/database/creds/stuck`);
  });

  it('are listed by prefix, without the wrapping tokens that stand among them', async () => {
    const path = await role('listed', {});
    expect(await leases().list(`${path}/`)).toEqual([]);
    const issued = await issueDynamic(world.vault, path);
    await world.vault.request({ method: 'GET', path, wrapTtlSeconds: 60, repeatable: false });
    const schema = z.object({ data: z.object({ keys: z.array(z.string()) }) });
    const { data } = await read(schema, 'LIST', `sys/leases/lookup/${path}/`);
    const listed = await leases().list(`${path}/`);
    expect(listed).toContain(issued.leaseId);
    expect(data.keys.some((key) => /^h[0-9a-f]{64}$/.test(key))).toBe(true);
    expect(listed).toHaveLength(2);
  });
});

describe('tokens', () => {
  it('are made by a role, renewed, looked up and revoked by their accessor', async () => {
    const tokens = new Tokens(world.vault, '');
    const made = await tokens.create(`leasekeeper-${world.namespace}`, 60);
    expect(made).toMatchObject({ ttlSeconds: 60, renewable: true });
    expect(await tokens.renewAccessor(made.accessor, 7_200)).toEqual({ ttlSeconds: 7_200, renewable: true });
    const looked = await tokens.lookupAccessor(made.accessor);
    expect(looked.ttlSeconds).toBeGreaterThan(7_000);
    expect(looked.expireTime).toBeGreaterThan(Date.now() + 7_000_000);
    await tokens.revokeAccessor(made.accessor);
    await tokens.revokeAccessor(made.accessor);
    await expect(tokens.renewAccessor(made.accessor, 60)).rejects.toMatchObject(
      code('vault_unknown_accessor'),
    );
    await expect(tokens.lookupAccessor(made.accessor)).rejects.toMatchObject(code('vault_unknown_accessor'));
    await expect(tokens.create('no-such-role', 60)).rejects.toMatchObject(code('vault_bad_request'));
  });

  it('of a namespace are found from there, and take their leases with them', async () => {
    const inner = openWorld(await createWorld({ layout: 'namespace' }));
    const tokens = new Tokens(inner.vault, inner.namespace);
    const made = await tokens.create(`leasekeeper-${inner.namespace}`, 3_600);
    expect(await tokens.renewAccessor(made.accessor, 7_200)).toMatchObject({ ttlSeconds: 7_200 });
    const acting = actingWith(inner.client, new Secret(made.token));
    const { leaseId } = await issueDynamic(acting, `${inner.namespace}/database/creds/app`);
    const leases = new Leases(inner.vault, inner.namespace);
    expect((await leases.lookup(leaseId)).ttlSeconds).toBeGreaterThan(0);
    await tokens.revokeAccessor(made.accessor);
    // Vault answers first, and then revokes what hangs on the token.
    await until(() =>
      leases.lookup(leaseId).then(
        () => false,
        (error: unknown) => isVaultError(error, 'vault_lease_not_found'),
      ),
    );
    await inner.close();
  });

  it('without an end say so', async () => {
    expect(await lookupSelf(world.vault, '')).toMatchObject({ expireTime: undefined, ttlSeconds: 0 });
  });
});

describe('wrapping', () => {
  it('hands a value over once', async () => {
    const wrapped = await wrap(world.vault, '', { word: 'hush' }, 120);
    expect(wrapped.ttlSeconds).toBe(120);
    const opened = await request('POST', 'sys/wrapping/unwrap', undefined, wrapped.token);
    expect(opened).toMatchObject({ data: { word: 'hush' } });
    await expect(request('POST', 'sys/wrapping/unwrap', undefined, wrapped.token)).rejects.toMatchObject({
      status: 400,
    });
    // For a moment its accessor may still be found, without any life.
    const left = () =>
      new Tokens(world.vault, '').lookupAccessor(wrapped.accessor).then(
        ({ ttlSeconds }) => ttlSeconds,
        (error: unknown) => (isVaultError(error, 'vault_unknown_accessor') ? undefined : Number.NaN),
      );
    expect([0, undefined]).toContain(await left());
    await until(async () => (await left()) === undefined);
  });
});

describe('the client', () => {
  it('keeps the clock of Vault, not of the machine it runs on', async () => {
    const ahead = 3_600_000;
    const client = new VaultClient({
      transport: createTransport({ address: world.address }),
      now: () => Date.now() + ahead,
    });
    await client.request({ method: 'GET', path: 'sys/health', repeatable: true });
    expect(Math.abs(client.now() - Date.now())).toBeLessThan(2_000);
    await client.close();
  });
});
