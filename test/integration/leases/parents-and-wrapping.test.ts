import { afterAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { LeasekeeperEvent } from '../../../lib/bus/events.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { wrap } from '../../../lib/vault/wrapping.ts';
import { adminOf, uniqueName } from '../../support/admin.ts';
import { createWorld, type WorldOptions } from '../../support/world.ts';
import { type Care, openCare } from './care.ts';

const MINUTE = 60_000;
const POLICY = { scanIntervalMs: MINUTE, lookAheadMs: 70_000 };
const opened: Care[] = [];

async function newCare(options: WorldOptions = { shards: 1 }): Promise<Care> {
  const care = openCare(await createWorld(options), { policy: POLICY });
  opened.push(care);
  return care;
}

afterAll(() => Promise.all(opened.map(({ world }) => world.close())));

describe('a parent token', () => {
  it('that ends before its leases makes them end with it, and their consumer is told in time', async () => {
    // Two shards: the token and its lease need not be neighbours.
    const care = await newCare({ shards: 2 });
    const end = care.clock.now + 20 * MINUTE;
    const parent = await care.token({ final: true, expire: end, due: end });
    const held = await care.issue('app', { parent: parent.accessor, due: care.clock.now + 30 * MINUTE });
    const other = await care.issue('app', { parent: 'another', due: care.clock.now + 30 * MINUTE });
    await care.scanAndVisit();
    await care.scanAndVisit();
    expect(care.told()).toEqual([]);
    care.clock.now += 8 * MINUTE;
    for (let scans = 0; scans < 3; scans += 1) await care.scanAndVisit();
    expect(care.told()).toEqual(['lease.expiring']);
    expect(care.world.published[0]).toMatchObject({
      data: { lease_id: held.id, expires_at: new Date(end).toISOString() },
    });
    expect(await care.lease(held.id)).toMatchObject({ final: true, expire: end, due: end });
    expect(await care.lease(other.id)).not.toHaveProperty('final');
    care.clock.now = end;
    await care.scanAndVisit();
    expect(await care.entry(held.id)).toBeUndefined();
    expect(care.count('sys/leases/renew')).toBe(0);
  });

  it('is kept while a lease hangs on it, and forgotten without a renewal when none has for five minutes', async () => {
    const care = await newCare();
    const long = care.clock.now - 10 * MINUTE;
    const inUse = await care.token({ used: long });
    const idle = await care.token({ used: long });
    const young = await care.token({ used: care.clock.now - 4 * MINUTE });
    await care.issue('app', { parent: inUse.accessor, due: care.clock.now + 50 * MINUTE });
    // The first visit takes the messages in; only then does a scan know which tokens have leases.
    await care.world.leases.visit(0, () => ({}));
    await care.scanAndVisit();
    expect(await care.entry(idle.id)).toBeUndefined();
    expect(await care.tokenOf(inUse.accessor)).toMatchObject({ expire: care.clock.now + 60 * MINUTE });
    expect(await care.tokenOf(young.accessor)).toMatchObject({ expire: care.clock.now + 60 * MINUTE });
    expect(care.count('auth/token/renew-accessor')).toBe(2);
  });

  it('that was given a lease after the scan is not forgotten by it', async () => {
    const care = await newCare();
    const idle = await care.token({ used: care.clock.now - 10 * MINUTE });
    await care.world.leases.visit(0, () => ({}));
    const commands: LeasekeeperEvent[] = [];
    await care.scan(commands);
    await care.world.leases.add({ ...idle, used: care.clock.now });
    for (const { type, data } of commands) {
      if (type === 'leases.due') await care.visit(data.shard, { command: data });
    }
    expect(await care.tokenOf(idle.accessor)).toMatchObject({ used: care.clock.now });
  });

  it('that is gone is let go without a word', async () => {
    const care = await newCare();
    const { accessor } = await care.token();
    await adminOf(care.world).request('POST', 'auth/token/revoke-accessor', { accessor });
    expect(await care.visit(0)).toMatchObject({ lost: 1, told: 0 });
    expect(await care.tokenOf(accessor)).toBeUndefined();
  });
});

describe('a wrapped lease', () => {
  async function wrappedLease(care: Care, final = false) {
    const wrapped = await wrap(care.world.vault, '', { word: 'hush' }, 3_600);
    const expire = care.clock.now + 5 * MINUTE;
    const lease = await care.issue('app', {
      wrap: { accessor: wrapped.accessor, expire },
      due: expire,
      ...(final && { final }),
    });
    const open = () => adminOf(care.world).request('POST', 'sys/wrapping/unwrap', undefined, wrapped.token);
    return { lease, open, expire };
  }

  it('is renewed once it was opened', async () => {
    const care = await newCare();
    const { lease, open, expire } = await wrappedLease(care);
    await care.scanAndVisit();
    expect(care.count('sys/leases/renew')).toBe(0);
    await open();
    care.clock.now = expire;
    await care.scanAndVisit();
    expect(care.count('sys/leases/renew')).toBe(1);
    expect((await care.lease(lease.id))?.wrap).toBeUndefined();
  });

  it('that cannot be renewed is not tried to be, and its end is told once it was opened', async () => {
    const care = await newCare();
    const { lease, open, expire } = await wrappedLease(care, true);
    await open();
    care.clock.now = expire;
    await care.scanAndVisit();
    expect(await care.lease(lease.id)).toMatchObject({ final: true, due: lease.expire - 12 * MINUTE });
    expect(care.count('sys/leases/renew')).toBe(0);
  });

  it('that was never opened is not renewed, and ends by itself', async () => {
    const care = await newCare();
    const { lease, expire } = await wrappedLease(care);
    care.clock.now = expire - MINUTE;
    await care.scanAndVisit();
    expect(await care.lease(lease.id)).toMatchObject({ due: expire });
    care.clock.now = expire;
    await care.scanAndVisit();
    expect(await care.entry(lease.id)).toBeUndefined();
    expect(care.count('sys/leases/renew')).toBe(0);
    expect(care.told()).toEqual([]);
  });

  it('whose wrapping may not be looked up keeps no other lease from being renewed', async () => {
    const care = await newCare();
    const policy = uniqueName('no-lookup');
    const rules = ['sys/leases/renew', `${care.world.stateMount}/*`].map(
      (path) => `path "${path}" { capabilities = ["create", "read", "update", "delete", "list"] }`,
    );
    const admin = adminOf(care.world);
    await admin.request('PUT', `sys/policies/acl/${policy}`, { policy: rules.join('\n') });
    const schema = z.object({ auth: z.object({ client_token: z.string() }) });
    const { auth } = await admin.read(schema, 'POST', 'auth/token/create', { policies: [policy] });
    const { lease, expire } = await wrappedLease(care);
    care.clock.now = expire;
    for (let n = 0; n < 12; n += 1) await care.issue('app', { expire: lease.expire + MINUTE });
    const vault = actingWith(care.world.client, new Secret(auth.client_token));
    const report = await care.visit(0, { vault });
    expect(report).toMatchObject({ failed: 1, left: 0 });
    expect(report.renewed).toHaveLength(12);
  });
});

describe('a scan', () => {
  it('publishes nothing when nothing is due, and changes nothing', async () => {
    const care = await newCare({ shards: 4 });
    await care.issue('app', { due: care.clock.now + 50 * MINUTE });
    await care.scanAndVisit();
    const before = care.world.exchanges.length;
    const { scan } = await care.scanAndVisit();
    expect(scan).toMatchObject({ entries: 1, due: 0, published: 0 });
    const methods = care.world.exchanges.slice(before).map(({ method }) => method);
    expect(new Set(methods)).toEqual(new Set(['LIST', 'GET']));
  });

  it('sends workers to what ends soonest, when there is more than one scan may put to work', async () => {
    const care = await newCare({ shards: 8 });
    for (let n = 0; n < 16; n += 1) await care.issue('app', { expire: care.clock.now + (60 - n) * MINUTE });
    const soonest = await care.issue('app', { expire: care.clock.now + 5 * MINUTE });
    for (let shard = 0; shard < 8; shard += 1) await care.world.leases.visit(shard, () => ({}));
    const commands: LeasekeeperEvent[] = [];
    care.clock.now += MINUTE;
    const report = await care.scan(commands, 1);
    expect(report).toMatchObject({ entries: 17, due: 17, oldestOverdueMs: MINUTE, published: 1 });
    expect(commands).toHaveLength(1);
    expect(commands[0]).toMatchObject({ data: { shard: await care.world.leases.shardOf(soonest.id) } });
  });
});
