import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { issueSecret } from '../../lib/access/issue.ts';
import { packShard, SHARD_CAP_BYTES } from '../../lib/agenda/shard.ts';
import { shardOf } from '../../lib/agenda/shard-of.ts';
import { leaseEntryOf } from '../../lib/leases/adopt.ts';
import type { CareEntry } from '../../lib/leases/entry.ts';
import { NoticeStore } from '../../lib/notices/notice-store.ts';
import { openNotify } from '../../lib/notices/notify.ts';
import { createSender } from '../../lib/notices/sender.ts';
import { createSigningSecret } from '../../lib/notices/signature.ts';
import { demandRotation, rotateShard } from '../../lib/rotation/rotate.ts';
import { Secret } from '../../lib/telemetry/secret.ts';
import { tokenAuth } from '../../lib/vault/auth/token.ts';
import type { VaultExchange } from '../../lib/vault/client.ts';
import { VaultSession } from '../../lib/vault/session.ts';
import { receiveHttp } from '../notices/receiver.ts';
import { adminOf } from '../support/admin.ts';
import { createWorld, leaseSpecification, type WorldOptions } from '../support/world.ts';
import { type Care, openCare } from './leases/care.ts';

const MINUTE = 60_000;
const authSchema = z.object({ auth: z.object({ client_token: z.string() }) });
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

/** One thing done in a book of that size, from nothing to done. */
async function costsAt(entries: number): Promise<readonly Cost[]> {
  const care = await newCare({ shards: 32 });
  const { world } = care;
  const named = (of: string) => `${of}, ${entries.toLocaleString('en')} leases`;
  expect(await fillBook(care, entries, 32)).toBeLessThan(SHARD_CAP_BYTES);
  // `about` of each book is read by the first use of it.
  await Promise.all([world.rotations.scan(), world.deliveries.scan(), world.leases.shardOf('')]);
  const scan = await measured(
    named('scan, 10 due'),
    care,
    () => false,
    async () => {
      expect(await care.scan([])).toMatchObject({ entries, due: 10 });
    },
  );
  await putOff(care);
  const lease = await care.issue('app', { due: 0 });
  const shard = await world.leases.shardOf(lease.id);
  await world.leases.visit(shard, () => ({}));
  const renewal = await measured(named('renewal of one lease'), care, isRenewal, async () => {
    expect((await care.visit(shard)).renewed).toHaveLength(1);
  });
  await world.secrets.apply(leaseSpecification(world));
  await rotateShard(world.rotate, { shard: 0 });
  const isWork = ({ path }: VaultExchange) => !path.startsWith(world.stateMount);
  const rotation = await measured(named('rotation'), care, isWork, async () => {
    await demandRotation(world.rotate, 'app-database', 'demand');
    await rotateShard(world.rotate, { shard: 0 });
  });
  const retiring = await measured(named('retiring the old generation'), care, isWork, async () => {
    care.clock.now += 11_000;
    await rotateShard(world.rotate, { shard: 0 });
  });
  const fetched = await measured(named('POST /v1/leases, caller known'), care, isWork, await fetching(care));
  const noticed = await measured(named('notice, delivered at once'), care, () => false, await noticing(care));
  return [scan, renewal, rotation, retiring, fetched, noticed];
}

/** Nothing of the filled book is due any more: its leases are not real ones. */
async function putOff(care: Care): Promise<void> {
  for (const { shard } of await care.world.leases.scan()) {
    await care.world.leases.visit(shard, ({ entries }) => ({
      set: [...entries.values()]
        .filter(({ due }) => due <= care.clock.now + POLICY.lookAheadMs * 4)
        .map((entry) => ({
          ...entry,
          due: entry.due + 60 * MINUTE,
        })),
    }));
  }
}

/** What `fetch` does for a caller whose login it has. */
async function fetching(care: Care): Promise<() => Promise<unknown>> {
  const { world } = care;
  const body = { policies: ['root'], ttl: '1h' };
  const { auth } = await adminOf(world).read(authSchema, 'POST', 'auth/token/create', body);
  const method = tokenAuth(new Secret(auth.client_token));
  const vault = new VaultSession({ client: world.client, method });
  await vault.held();
  const deps = {
    vault: world.vault,
    book: world.leases,
    policy: POLICY,
    namespace: world.namespace,
    authNamespace: '',
    replaceGraceMs: 10_000,
    now: world.now,
  };
  return () => issueSecret(deps, { vault, name: 'costs', who: {} }, { path: 'database/creds/app' });
}

/** What `notify` does with one outcome and one subscription, the receiver being well. */
async function noticing(care: Care): Promise<() => Promise<unknown>> {
  const { world } = care;
  const receiver = await receiveHttp((_request, response) => response.writeHead(204).end());
  const notices = new NoticeStore(world.store);
  const secrets = [{ secret: createSigningSecret(randomBytes) }];
  const subscription = {
    id: '_all:costs',
    url: `http://127.0.0.1:${receiver.port}/`,
    types: ['*'],
    names: ['*'],
    secrets,
  };
  await notices.saveSubscription(subscription, 0);
  const sender = createSender({ allow: ['http://127.0.0.1'] });
  const { bus, metrics, now, random, onError } = world.rotate;
  const { recorder } = openNotify({
    bus,
    metrics,
    now,
    random,
    onError,
    notices,
    sender,
    book: world.deliveries,
    sleep: () => Promise.resolve(),
  });
  const event = world.published.find((one) => one.type === 'secret.rotated');
  if (event?.type !== 'secret.rotated') throw new Error('nothing was published');
  return async () => {
    await (await recorder.record(event)).delivered;
    expect(world.deliveries).toBeDefined();
    await sender.close();
  };
}

describe('what one thing costs', () => {
  it('is the same few requests with 100 leases and with 100,000', async () => {
    const [few, many] = [await costsAt(100), await costsAt(100_000)];
    expect(many.map(({ requests }) => requests)).toEqual(few.map(({ requests }) => requests));
    const [scan, renewal, rotation, retiring, fetched, noticed] = few.map(({ requests }) => requests);
    // One for each shard and one for the inbox; the two other books have one shard each.
    expect(scan).toBe(32 + 1 + 2 * (1 + 1));
    expect(renewal).toBeLessThanOrEqual(5);
    expect(rotation).toBeLessThanOrEqual(40);
    expect(retiring).toBeLessThanOrEqual(20);
    expect(fetched).toBe(3);
    expect(noticed).toBeLessThanOrEqual(16);
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
