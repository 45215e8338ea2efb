import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { renewShard } from '../../../lib/leases/renew.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import { Leases } from '../../../lib/vault/leases.ts';
import { type KillPoint, killPoints } from '../../crash/kill-switch.ts';
import { bundleWorker, type RunJob } from '../../crash/run-job.ts';
import type { CrashJob } from '../../crash/worker.ts';
import { admin } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import { createWorld, liveRoles, openWorld, type World, type WorldDescription } from '../../support/world.ts';

/** Long enough that a busy machine is not late for a renewal. */
const LEASE_TTL_SECONDS = 15;
const POLICY = { scanIntervalMs: 1_000, lookAheadMs: 2_000 };
const created = z.object({ auth: z.object({ client_token: z.string(), accessor: z.string() }) });

interface Place {
  readonly described: WorldDescription;
  readonly world: World;
}

let here: Place;
let described: WorldDescription;
let world: World;
let folder: string;
let runJob: RunJob;

beforeAll(async () => {
  described = await createWorld({ leaseTtl: `${LEASE_TTL_SECONDS}s`, leaseMaxTtl: '10m' });
  world = openWorld(described);
  here = { described, world };
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-crash-'));
  runJob = await bundleWorker(folder);
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

async function tokenOfItsOwn() {
  const body = { policies: ['root'], ttl: '1h' };
  return (await admin(inject).read(created, 'POST', 'auth/token/create', body)).auth;
}

function run(at: Place, job: CrashJob['job'], kill?: KillPoint) {
  const events = path.join(folder, 'none.jsonl');
  return runJob({ world: at.described, job, events, ...(kill === undefined ? {} : { kill }) });
}

const issue = async (kill?: KillPoint) =>
  run(here, { kind: 'issue', token: (await tokenOfItsOwn()).client_token }, kill);

/** A lease that a caller has, under care. */
async function issued(at: Place) {
  const { client_token: token, accessor } = await tokenOfItsOwn();
  await run(at, { kind: 'issue', token });
  const found = async () => {
    const entries = (await at.world.leases.scan()).flatMap((shard) => shard.entries);
    return entries.find((entry) => entry.kind === 'lease' && entry.parent === accessor)?.id;
  };
  // In the inbox it is found by its id only: a worker merges it soon.
  await until(async () => (await found()) !== undefined, 20_000);
  return { token, leaseId: (await found()) ?? '' };
}

/** Visits every shard, as the scan would have it, until it is stopped. */
async function keepLeases({ world }: Place, stopped: AbortSignal): Promise<void> {
  const deps = { ...world.rotate, book: world.leases, metrics: noMetrics, policy: POLICY, authNamespace: '' };
  while (!stopped.aborted) {
    for (const { shard } of await world.leases.scan()) {
      await renewShard(deps, { shard, idle_parents: [], ending_parents: {}, scanned_at: world.now() });
    }
    await sleep(250);
  }
}

it('leaves no lease that lives on unknown, killed between any two and during every outgoing call of POST /v1/leases', async () => {
  const whole = await issue();
  if (whole.killed) throw new Error('nothing was to be killed');
  const points = killPoints(whole.labels.length);
  const limit = pLimit(3);
  const stop = new AbortController();
  const keeping = keepLeases(here, stop.signal);
  const ends = await Promise.all(points.map((point) => limit(() => issue(point))));
  expect(ends.filter(({ killed }) => !killed)).toEqual([]);

  // Longer than a lease lives that nobody renews.
  await sleep((LEASE_TTL_SECONDS + 2) * 1_000);
  const prefix = `${described.namespace}/database/creds/app/`;
  const underCare = async () =>
    (await world.leases.scan())
      .flatMap(({ entries }) => entries.filter(({ kind }) => kind === 'lease').map(({ id }) => id))
      .sort();
  const alive = async () => [...(await new Leases(world.vault, '').list(prefix))].sort();
  // An expired lease is revoked by Vault a moment after its end; a revocation that failed is tried again only after a while.
  await until(async () => (await alive()).join() === (await underCare()).join(), 90_000);
  const known = await underCare();
  expect(await liveRoles(described)).toHaveLength(known.length);
  // What was recorded before the kill is kept; all the rest has ended.
  expect(known.length).toBeGreaterThanOrEqual(2);
  stop.abort();
  await keeping;
  console.log(
    `POST /v1/leases: ${whole.labels.length} calls, ${points.length} kills; ${known.length} leases alive, all of them under care`,
  );
  console.table(whole.labels.map((label, index) => ({ call: index + 1, label })));
}, 180_000);

it('a revocation that was asked for is made, killed between any two and during every outgoing call, and nothing is lost', async () => {
  // Leases that do not end by themselves while this runs: gone is only what was revoked.
  const described = await createWorld({ leaseTtl: '10m', leaseMaxTtl: '20m' });
  const there: Place = { described, world: openWorld(described) };
  const { world } = there;
  const stop = new AbortController();
  const keeping = keepLeases(there, stop.signal);
  const first = await issued(there);
  const whole = await run(there, { kind: 'revoke', ...first });
  if (whole.killed) throw new Error('nothing was to be killed');
  const asked = whole.labels.findIndex((label) => label.startsWith('PUT') && label.includes('/inbox/')) + 1;
  const points = killPoints(whole.labels.length);
  const limit = pLimit(3);
  const leases = await Promise.all(
    points.map((point) =>
      limit(async () => {
        const lease = await issued(there);
        const end = await run(there, { kind: 'revoke', ...lease }, point);
        return { ...lease, ...point, ...end };
      }),
    ),
  );
  expect(leases.filter(({ killed }) => !killed)).toEqual([]);
  const alive = async () =>
    new Set(await new Leases(world.vault, '').list(`${described.namespace}/database/creds/app/`));
  const isAsked = ({ call, when }: KillPoint) => call > asked || (call === asked && when === 'after');
  const ended = [first, ...leases.filter(isAsked)];
  expect(ended.length).toBeGreaterThanOrEqual(4);
  await until(async () => {
    const living = await alive();
    return ended.every(({ leaseId }) => !living.has(leaseId));
  }, 90_000);
  // What was not asked for yet is under care as before.
  const kept = leases.filter(({ call }) => call < asked);
  const living = await alive();
  expect(kept.filter(({ leaseId }) => !living.has(leaseId))).toEqual([]);
  await until(async () => {
    const entries = (await world.leases.scan()).flatMap((shard) => shard.entries.map(({ id }) => id));
    return ended.every(({ leaseId }) => !entries.includes(leaseId));
  }, 20_000);
  stop.abort();
  await keeping;
  await world.close();
  expect(world.published.filter(({ type }) => type === 'lease.lost')).toEqual([]);
  console.log(
    `a revocation: ${whole.labels.length} calls, ${points.length} kills; ${ended.length} leases ended, ${kept.length} kept`,
  );
  console.table(whole.labels.map((label, index) => ({ call: index + 1, label })));
}, 180_000);
