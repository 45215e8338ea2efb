import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packShard, SHARD_CAP_BYTES } from '../../lib/agenda/shard.ts';
import { shardOf } from '../../lib/agenda/shard-of.ts';
import { leaseEntryOf } from '../../lib/leases/adopt.ts';
import type { CareEntry } from '../../lib/leases/entry.ts';
import { demandRotation, rotateShard } from '../../lib/rotation/rotate.ts';
import type { VaultExchange } from '../../lib/vault/client.ts';
import { createWorld, leaseSpecification, type WorldOptions } from '../support/world.ts';
import { type Care, openCare } from './leases/care.ts';

const MINUTE = 60_000;
const POLICY = { scanIntervalMs: MINUTE, lookAheadMs: 70_000 };

interface Cost {
  readonly of: string;
  readonly requests: number;
  /** Requests that are not the work itself: what the system needs to keep its books. */
  readonly bookkeeping: number;
  readonly kilobytesSent: number;
  readonly kilobytesReceived: number;
}

/** One line for each thing that was measured; further suites of costs add theirs here. */
const table: Cost[] = [];
const opened: Care[] = [];

async function newCare(options: WorldOptions): Promise<Care> {
  const care = openCare(await createWorld(options), { policy: POLICY });
  opened.push(care);
  return care;
}

/** Counts what `work` sends, and enters it in the table. */
async function measured(
  of: string,
  care: Care,
  isWork: (exchange: VaultExchange) => boolean,
  work: () => Promise<unknown>,
): Promise<Cost> {
  const before = care.world.exchanges.length;
  await work();
  const exchanges = care.world.exchanges.slice(before);
  const sum = (of: (exchange: VaultExchange) => number) =>
    Math.round(exchanges.reduce((total, exchange) => total + of(exchange), 0) / 1_024);
  const cost = {
    of,
    requests: exchanges.length,
    bookkeeping: exchanges.filter((exchange) => !isWork(exchange)).length,
    kilobytesSent: sum(({ bytesSent }) => bytesSent),
    kilobytesReceived: sum(({ bytesReceived }) => bytesReceived),
  };
  table.push(cost);
  return cost;
}

const isRenewal = ({ path }: VaultExchange) => /sys\/leases\/renew$|renew-accessor$/.test(path);

/** Writes a book of that many leases, ten of them due, straight into its shards. */
async function fillBook(care: Care, entries: number, shards: number): Promise<number> {
  const states = Array.from({ length: shards }, () => new Map<string, CareEntry>());
  for (let n = 0; n < entries; n += 1) {
    const leaseId = `team/database/creds/service-${n % 40}/${randomBytes(18).toString('base64url')}`;
    const issued = {
      leaseId,
      namespace: 'team',
      path: `database/creds/service-${n % 40}`,
      consumer: `service-${n % 40}`,
    };
    const parent = `accessor-of-service-${n % 40}`;
    const entry = leaseEntryOf(
      { ...issued, parent, ttlSeconds: 3_600, renewable: true },
      care.clock.now - ((n * 7_919) % (20 * MINUTE)),
      POLICY,
    );
    const due = n < 10 ? care.clock.now : entry.due;
    states[shardOf(leaseId, shards)]?.set(leaseId, { ...entry, due });
  }
  const sizes = await Promise.all(
    states.map(async (state, shard) => {
      const packed = await packShard({ entries: state, tombstones: new Map() });
      await care.world.store.write(`agenda/leases/shards/${shard}`, packed, 0);
      return packed.packed.length;
    }),
  );
  return Math.max(...sizes);
}

beforeAll(() => {
  table.length = 0;
});
afterAll(async () => {
  console.log(asText(table));
  await Promise.all(opened.map(({ world }) => world.close()));
});

describe('what a scan costs', () => {
  it('is the same few requests with 100 leases and with 100,000', async () => {
    const costs: Cost[] = [];
    for (const entries of [100, 100_000]) {
      const care = await newCare({ shards: 32 });
      expect(await fillBook(care, entries, 32)).toBeLessThan(SHARD_CAP_BYTES);
      // Once: `about` of each book is read by the first use of it.
      await Promise.all([
        care.world.rotations.scan(),
        care.world.deliveries.scan(),
        care.world.leases.shardOf(''),
      ]);
      const name = `scan, 10 due of ${entries.toLocaleString('en')} in 32 shards`;
      costs.push(
        await measured(
          name,
          care,
          () => false,
          async () => {
            const report = await care.scan([]);
            expect(report).toMatchObject({ entries, due: 10 });
          },
        ),
      );
    }
    // One for each shard and one for the inbox; the two other books have one shard each.
    for (const { requests } of costs) expect(requests).toBe(32 + 1 + 2 * (1 + 1));
  });
});

describe('what a visit costs beyond its renewals', () => {
  it.each([10, 100])('is a handful of requests for %i leases', async (count) => {
    const care = await newCare({ shards: 1 });
    // In batches: each makes a role in the database.
    for (let n = 0; n < count; n += 10) await Promise.all(Array.from({ length: 10 }, () => care.issue()));
    await care.world.leases.visit(0, () => ({}));
    const cost = await measured(`visit, ${count} renewed`, care, isRenewal, () => care.visit(0));
    expect(cost.requests - cost.bookkeeping).toBe(count);
    // Reads the shard and its inbox, writes the claims, writes the results.
    expect(cost.bookkeeping).toBeLessThanOrEqual(4);
  });

  it('is two requests more for each message in the inbox', async () => {
    const care = await newCare({ shards: 1 });
    for (let n = 0; n < 10; n += 1) await care.issue();
    const cost = await measured('visit, 10 renewed that were just posted', care, isRenewal, () =>
      care.visit(0),
    );
    expect(cost.bookkeeping).toBeLessThanOrEqual(4 + 2 * 10);
  });

  it('is two reads when another worker has done it all', async () => {
    const care = await newCare({ shards: 1 });
    await care.issue();
    await care.visit(0);
    const cost = await measured('visit, nothing left to do', care, isRenewal, () => care.visit(0));
    expect(cost.requests).toBeLessThanOrEqual(2);
  });
});

describe('what a rotation costs', () => {
  it('is bounded, from the demand to the retired generation', async () => {
    const care = await newCare({ shards: 1 });
    const { world } = care;
    await world.secrets.apply(leaseSpecification(world));
    await rotateShard(world.rotate, { shard: 0 });
    const isWork = ({ path }: VaultExchange) => !path.startsWith(world.stateMount);
    const rotated = await measured('rotation of kind lease', care, isWork, async () => {
      await demandRotation(world.rotate, 'app-database', 'demand');
      await rotateShard(world.rotate, { shard: 0 });
    });
    expect(rotated.bookkeeping).toBeLessThanOrEqual(50);
    const retired = await measured('retiring its old generation', care, isWork, async () => {
      care.clock.now += 11_000;
      await rotateShard(world.rotate, { shard: 0 });
    });
    expect(retired.bookkeeping).toBeLessThanOrEqual(20);
  });
});

function asText(costs: readonly Cost[]): string {
  const rows = [
    ['', 'requests', 'bookkeeping', 'kB sent', 'kB received'],
    ...costs.map(({ of, requests, bookkeeping, kilobytesSent, kilobytesReceived }) =>
      [of, requests, bookkeeping, kilobytesSent, kilobytesReceived].map(String),
    ),
  ];
  return rows
    .map(([of = '', ...numbers]) => [of.padEnd(50), ...numbers.map((one) => one.padStart(12))].join(''))
    .join('\n');
}
