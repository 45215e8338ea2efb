import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { adminOf } from '../../support/admin.ts';
import { createWorld, type WorldDescription } from '../../support/world.ts';
import { type Care, openCare } from './care.ts';

const MINUTE = 60_000;
/** Looks further ahead than a claim lasts, as for leases of a few minutes. */
const POLICY = { scanIntervalMs: 2 * MINUTE, lookAheadMs: 3 * MINUTE };
const lookupSchema = z.object({ data: z.object({ last_renewal: z.string().nullable() }) });
const tokenSchema = z.object({ data: z.object({ last_renewal: z.string().optional() }) });

let described: WorldDescription;
const opened: Care[] = [];

async function newCare(): Promise<Care> {
  const world = await createWorld({ shards: 1 });
  const care = openCare(world, { policy: POLICY });
  opened.push(care);
  return care;
}

async function lastRenewal(id: string): Promise<string | null> {
  const body = { lease_id: id };
  return (await adminOf(described).read(lookupSchema, 'PUT', 'sys/leases/lookup', body)).data.last_renewal;
}

beforeAll(async () => {
  described = await createWorld({ shards: 1 });
});
afterAll(() => Promise.all(opened.map(({ world }) => world.close())));

describe('a renewal', () => {
  it('is by lease id for a lease and by accessor for a token, soonest to end first', async () => {
    const care = await newCare();
    const later = await care.issue('app');
    const sooner = await care.issue('app', { expire: care.clock.now + 10 * MINUTE });
    const token = await care.token();
    const report = await care.visit(0);
    expect(report).toMatchObject({ failed: 0, lost: 0, told: 0, left: 0 });
    expect(report.renewed.map(({ id }) => id)).toEqual([sooner.id, later.id]);
    for (const { id } of [later, sooner]) expect(await lastRenewal(id)).not.toBeNull();
    const { data } = await adminOf(described).read(tokenSchema, 'POST', 'auth/token/lookup-accessor', {
      accessor: token.accessor,
    });
    expect(data.last_renewal).toBeDefined();
    for (const id of [later.id, sooner.id, token.id]) {
      const entry = await care.entry(id);
      expect(entry?.claim).toBeUndefined();
      expect(entry?.due).toBeGreaterThan(care.clock.now + 35 * MINUTE);
      expect(entry?.expire).toBe(care.clock.now + 60 * MINUTE);
    }
    expect(care.told()).toEqual([]);
  });

  it('is made once for each lease by ten workers that race', async () => {
    const care = await newCare();
    await Promise.all(
      Array.from({ length: 20 }, () => care.issue('app', { expire: care.clock.now + 8 * MINUTE })),
    );
    const workers = Array.from({ length: 10 }, () =>
      openCare(care.world, { policy: POLICY, clock: care.clock }),
    );
    opened.push(...workers);
    const reports = await Promise.all(workers.map((worker) => worker.visit(0)));
    expect(workers.reduce((sum, worker) => sum + worker.count('sys/leases/renew'), 0)).toBe(20);
    expect(reports.reduce((sum, { renewed }) => sum + renewed.length, 0)).toBe(20);
    const [shard] = await care.world.leases.scan();
    expect(shard?.entries.filter(({ claim }) => claim !== undefined)).toEqual([]);
    expect(shard?.fresh).toBe(false);
  });

  it('takes the neighbours of what is due along, and leaves the others', async () => {
    const care = await newCare();
    await care.issue('app');
    await care.issue('app', { due: care.clock.now + POLICY.lookAheadMs + 2 * MINUTE });
    await care.issue('app', { due: care.clock.now + POLICY.lookAheadMs + 4 * MINUTE });
    await care.visit(0);
    expect(care.count('sys/leases/renew')).toBe(2);
    await care.visit(0);
    expect(care.count('sys/leases/renew')).toBe(2);
  });

  it('is made again by another worker once the claim of one that died has run out', async () => {
    const care = await newCare();
    const { id } = await care.issue('app', {
      claim: 'a worker that died',
      due: care.clock.now + 2 * MINUTE,
    });
    await care.scanAndVisit();
    expect(care.count('sys/leases/renew')).toBe(0);
    care.clock.now += 2 * MINUTE;
    await care.scanAndVisit();
    expect(care.count('sys/leases/renew')).toBe(1);
    expect((await care.entry(id))?.claim).toBeUndefined();
  });
});

describe('a worker that is too slow', () => {
  it('does not undo what another did after its claim ran out', async () => {
    const care = await newCare();
    const { id } = await care.issue('app');
    const late = { now: care.clock.now };
    const slow = openCare(care.world, {
      policy: POLICY,
      clock: late,
      transport: (real) => ({
        ...real,
        exchange: async (request) => {
          if (request.path.endsWith('sys/leases/renew')) {
            care.clock.now += 3 * MINUTE;
            await care.visit(0);
          }
          return real.exchange(request);
        },
      }),
    });
    opened.push(slow);
    await slow.visit(0);
    expect(await care.lease(id)).toMatchObject({ expire: care.clock.now + 60 * MINUTE });
    expect((await care.lease(id))?.claim).toBeUndefined();
  });
});

describe('a lease that ends', () => {
  it('at its max TTL is told as expiring, once, in its handover; then it is forgotten', async () => {
    const care = await newCare();
    await adminOf(care.world).request('POST', `${care.world.namespace}/database/roles/short`, {
      db_name: 'pg',
      creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
      revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
      default_ttl: '30m',
      max_ttl: '30m',
    });
    const { id } = await care.issue('short', { ttl: 3_600 });
    await care.scanAndVisit();
    const final = await care.lease(id);
    expect(final?.final).toBe(true);
    expect(final?.expire).toBeLessThanOrEqual(care.clock.now + 30 * MINUTE);
    expect(final?.expire).toBeGreaterThan(care.clock.now + 25 * MINUTE);
    await care.scanAndVisit();
    expect(care.told()).toEqual([]);
    care.clock.now += 20 * MINUTE;
    for (let scans = 0; scans < 4; scans += 1) await care.scanAndVisit();
    expect(care.told()).toEqual(['lease.expiring']);
    expect(care.world.published[0]).toMatchObject({ data: { lease_id: id, consumer: 'api-gateway' } });
    expect(care.count('sys/leases/renew')).toBe(1);
    care.clock.now += 11 * MINUTE;
    await care.scanAndVisit();
    expect(await care.entry(id)).toBeUndefined();
    expect(care.told()).toEqual(['lease.expiring']);
    // Nobody but the caller ever had Vault make a credential.
    expect(care.count('database/creds/short')).toBe(1);
  });

  it('by being revoked behind our back is told as lost, once, and does not come back', async () => {
    const care = await newCare();
    const entry = await care.issue('app');
    await adminOf(described).request('PUT', 'sys/leases/revoke', { lease_id: entry.id });
    expect(await care.visit(0)).toMatchObject({ lost: 1, told: 1, renewed: [] });
    expect(care.told()).toEqual(['lease.lost']);
    await care.world.leases.add(entry);
    await care.scanAndVisit();
    expect(care.told()).toEqual(['lease.lost']);
    expect(await care.entry(entry.id)).toBeUndefined();
    expect(care.count('database/creds/app')).toBe(1);
  });

  it('by being revoked on purpose while a worker is about to renew it is not told', async () => {
    const care = await newCare();
    const { id } = await care.issue('app');
    const worker = openCare(care.world, {
      policy: POLICY,
      clock: care.clock,
      transport: (real) => ({
        ...real,
        exchange: async (request) => {
          if (request.path.endsWith('sys/leases/renew')) {
            await care.world.leases.remove(id);
            await adminOf(described).request('PUT', 'sys/leases/revoke', { lease_id: id });
          }
          return real.exchange(request);
        },
      }),
    });
    opened.push(worker);
    expect(await worker.visit(0)).toMatchObject({ lost: 1, told: 0 });
    expect(worker.told()).toEqual([]);
    expect(await care.entry(id)).toBeUndefined();
  });

  it('keeps what it has to tell until the bus has taken it, under the same id', async () => {
    const care = await newCare();
    const { id } = await care.issue('app');
    await adminOf(described).request('PUT', 'sys/leases/revoke', { lease_id: id });
    const ids: string[] = [];
    care.publish = async (events) => {
      ids.push(...events.map((event) => event.id));
      if (ids.length === 1) throw new Error('The bus is down.');
      return new Set(ids.length === 2 ? [] : ids);
    };
    await expect(care.visit(0)).rejects.toThrow('The bus is down.');
    expect(await care.lease(id)).toMatchObject({ unpublished: ['lost'] });
    care.clock.now += 3 * MINUTE;
    await care.scanAndVisit();
    expect(await care.lease(id)).toMatchObject({ unpublished: ['lost'] });
    care.clock.now += 3 * MINUTE;
    await care.scanAndVisit();
    expect(await care.entry(id)).toBeUndefined();
    expect(new Set(ids).size).toBe(1);
    expect(care.count('sys/leases/renew')).toBe(1);
  });
});

describe('a lease that cannot be renewed for now', () => {
  it('is told as failing once, retried, and told again only after it worked in between', async () => {
    const care = await newCare();
    const role = `${care.world.namespace}/database/roles/app`;
    const before = z.object({ data: z.record(z.string(), z.unknown()) });
    const { data } = await adminOf(described).read(before, 'GET', role);
    const { id } = await care.issue('app');
    await adminOf(described).request('DELETE', role);
    expect(await care.visit(0)).toMatchObject({ failed: 1, lost: 0, told: 1 });
    const failing = await care.lease(id);
    expect(failing).toMatchObject({ failures: 1, unpublished: [] });
    expect(failing?.due).toBeLessThanOrEqual(care.clock.now + 5.5 * MINUTE);
    for (let tries = 0; tries < 3; tries += 1) {
      care.clock.now += 6 * MINUTE;
      await care.scanAndVisit();
    }
    expect(await care.lease(id)).toMatchObject({ failures: 4 });
    expect(care.told()).toEqual(['lease.renewal_failing']);
    await adminOf(described).request('POST', role, data);
    care.clock.now += 6 * MINUTE;
    await care.scanAndVisit();
    expect(await care.lease(id)).toMatchObject({ failures: 0, told: [] });
    await adminOf(described).request('DELETE', role);
    care.clock.now += 50 * MINUTE;
    await care.scanAndVisit();
    expect(care.told()).toEqual(['lease.renewal_failing', 'lease.renewal_failing']);
    expect(new Set(care.world.published.map((event) => event.id)).size).toBe(2);
    // A failed renewal never mints.
    expect(care.count('database/creds/app')).toBe(1);
  });

  it('is still renewed when its failure cannot be told', async () => {
    const care = await newCare();
    const { id } = await care.issue('app', {
      unpublished: ['renewal_failing'],
      told: ['renewal_failing'],
      failures: 1,
    });
    care.publish = () => Promise.reject(new Error('The bus is down.'));
    await care.visit(0);
    expect(await care.lease(id)).toMatchObject({ failures: 0, unpublished: [] });
    expect(care.count('sys/leases/renew')).toBe(1);
  });
});

describe('a lease that was replaced', () => {
  it('is revoked when its grace is over, not before, however far a scan looks ahead', async () => {
    const care = await newCare();
    const entry = await care.issue('app', { due: care.clock.now + 30 * MINUTE });
    const retireAt = care.clock.now + 2 * MINUTE;
    await care.world.leases.add({ ...entry, retire_at: retireAt, due: retireAt });
    await care.scanAndVisit();
    await care.scanAndVisit();
    expect(await care.lease(entry.id)).toMatchObject({ retire_at: retireAt, due: retireAt });
    expect(await lastRenewal(entry.id)).toBeNull();
    care.clock.now = retireAt;
    await care.scanAndVisit();
    expect(await care.entry(entry.id)).toBeUndefined();
    await expect(lastRenewal(entry.id)).rejects.toMatchObject({ status: 400 });
    expect(care.told()).toEqual([]);
  });

  it('is retired also when the message comes in the middle of its renewal', async () => {
    const care = await newCare();
    const entry = await care.issue('app');
    const retireAt = care.clock.now + 5 * MINUTE;
    const worker = openCare(care.world, {
      policy: POLICY,
      clock: care.clock,
      transport: (real) => ({
        ...real,
        exchange: async (request) => {
          if (request.path.endsWith('sys/leases/renew')) {
            await care.world.leases.add({ ...entry, retire_at: retireAt, due: retireAt });
            await care.visit(0);
          }
          return real.exchange(request);
        },
      }),
    });
    opened.push(worker);
    await worker.visit(0);
    expect(await care.lease(entry.id)).toMatchObject({ retire_at: retireAt, due: retireAt });
  });
});
