import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'pg';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { CredentialPool, type DynamicSecret, type SecretsManagerOptions } from '../../../lib/index.ts';
import { admin } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import { type GroundOptions, liveRoles, prepareGround } from './ground.ts';
import { listening } from './listening.ts';

const PATH = 'database/creds/strict';

const open = async ({ data }: DynamicSecret) => {
  const { host, port, database } = inject('postgres');
  const login = { user: data.get('username'), password: data.get('password') };
  const pool = new Pool({ host, port, database, ...login, max: 4 });
  pool.on('error', () => {});
  await pool.query('SELECT 1');
  return pool;
};

/** A database whose revocation ends the sessions of whoever still uses the old credential. */
async function prepare(options: GroundOptions = {}, more: SecretsManagerOptions = {}) {
  const ground = await prepareGround({ ...options, mayRevoke: true });
  await admin(inject).request('POST', `${ground.namespace}/database/roles/strict`, {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
    revocation_statements: `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'; DROP ROLE IF EXISTS "{{name}}"`,
    default_ttl: options.leaseTtl ?? '1h',
    max_ttl: options.leaseMaxTtl ?? '1h',
  });
  const manager = ground.manager(more);
  onTestFinished(() => manager.cleanup());
  return { ground, manager };
}

describe('CredentialPool', () => {
  it('changes its credential under load, with no query dropped, though every old session is ended', async () => {
    const { ground, manager } = await prepare({ leaseTtl: '8s', leaseMaxTtl: '9s' }, { overlapMs: 900 });
    const told = listening(manager);
    const closedPools: Pool[] = [];
    const pool = new CredentialPool(manager, {
      path: PATH,
      open,
      close: (old) => {
        closedPools.push(old);
        return old.end();
      },
    });
    const users = new Set<string>();
    const failures: unknown[] = [];
    let queries = 0;
    let stopped = false;
    const client = async (seconds: number) => {
      while (!stopped) {
        await pool
          .use((db) => db.query<{ name: string }>('SELECT current_user AS name, pg_sleep($1)', [seconds]))
          .then(({ rows }) => {
            queries += 1;
            users.add(rows[0]?.name ?? '');
          })
          .catch((error: unknown) => failures.push(error));
        await sleep(5);
      }
    };
    const clients = [0, 0, 0.01, 0.05, 0.2, 0.4].map(client);
    // It is told of before the pool has opened the new one, so some query by it is waited for.
    await until(() => told.rotated.length >= 2 && users.size >= 3, 40_000);
    stopped = true;
    await Promise.all(clients);
    expect(failures).toEqual([]);
    expect(users.size).toBeGreaterThanOrEqual(3);
    expect(closedPools.length).toBeGreaterThanOrEqual(2);
    await pool.close();
    expect(closedPools.every((one) => one.totalCount === 0)).toBe(true);
    await manager.cleanup();
    await until(async () => (await liveRoles(ground)).length === 0);
    console.log(`${queries} queries by ${users.size} users, ${failures.length} failed`);
  }, 60_000);

  it('opens one pool for all who ask at once, and asks Vault for nothing more', async () => {
    const { ground, manager } = await prepare();
    let opened = 0;
    const pool = new CredentialPool(manager, {
      path: PATH,
      open: (secret) => {
        opened += 1;
        return open(secret);
      },
      close: (old) => old.end(),
    });
    onTestFinished(() => pool.close());
    await Promise.all(Array.from({ length: 50 }, () => pool.use((db) => db.query('SELECT 1'))));
    expect(opened).toBe(1);
    expect(ground.requests).toHaveLength(3);
  });

  it('keeps the old pool while the new credential cannot be opened, and takes the new one as soon as it can', async () => {
    let later = 0;
    const { manager } = await prepare(
      { leaseTtl: '1h', leaseMaxTtl: '1h' },
      { now: () => Date.now() + later },
    );
    let broken = false;
    const names: string[] = [];
    const pool = new CredentialPool(
      manager,
      {
        path: PATH,
        open: (secret) => {
          if (broken) throw new Error('not yet');
          names.push(secret.data.get('username'));
          return open(secret);
        },
        close: (old) => old.end(),
      },
      () => Date.now() + later,
    );
    onTestFinished(() => pool.close());
    const whoAmI = () =>
      pool.use(async (db) => (await db.query<{ name: string }>('SELECT current_user AS name')).rows[0]?.name);
    expect(await whoAmI()).toBe(names[0]);
    broken = true;
    later = 3_500_000;
    expect(await whoAmI()).toBe(names[0]);
    broken = false;
    later += 1_000;
    const now = await whoAmI();
    expect(now).toBe(names[1]);
    expect(now).not.toBe(names[0]);
  });

  it('closes the old pool after its last user, and the old credential is kept until then', async () => {
    let later = 0;
    const { manager } = await prepare({}, { now: () => Date.now() + later, background: false });
    const closed: string[] = [];
    const pool = new CredentialPool(manager, {
      path: PATH,
      open: ({ data }) => data.get('username'),
      close: (user) => closed.push(user),
    });
    onTestFinished(() => pool.close());
    const { promise: work, resolve: finish } = Promise.withResolvers<void>();
    let first = '';
    const long = pool.use(async (user) => {
      first = user;
      await work;
    });
    await expect.poll(() => first).not.toBe('');
    later = 3_500_000;
    expect(await pool.use(async (user) => user)).not.toBe(first);
    let settled = false;
    const settling = manager.settle().then(() => {
      settled = true;
    });
    await sleep(100);
    expect({ closed, settled }).toEqual({ closed: [], settled: false });
    finish();
    await Promise.all([long, settling]);
    expect(closed).toEqual([first]);
  });

  it('a first credential that cannot be opened is the caller’s error; a closed pool takes no more work', async () => {
    const { manager } = await prepare();
    const pool = new CredentialPool(manager, {
      path: PATH,
      open: () => Promise.reject(new Error('no route')),
      close: () => {},
    });
    await expect(pool.use(() => Promise.resolve())).rejects.toThrow('no route');
    await pool.close();
    await expect(pool.use(() => Promise.resolve())).rejects.toMatchObject({ code: 'credential_pool_closed' });
  });
});
