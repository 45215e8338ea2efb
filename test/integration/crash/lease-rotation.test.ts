import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pLimit from 'p-limit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { outcomeSchema } from '../../../lib/bus/events.ts';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { testPostgresLogin } from '../../../lib/rotation/probes/postgres.ts';
import { demanded } from '../../../lib/rotation/upkeep.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { generationOf } from '../../../lib/vault/published-generation.ts';
import type { KillPoint } from '../../crash/kill-switch.ts';
import { runJob } from '../../crash/run-job.ts';
import { until } from '../../support/until.ts';
import {
  createWorld,
  leaseSpecification,
  liveRoles,
  openWorld,
  type World,
  type WorldDescription,
} from '../../support/world.ts';

/** Longer than a step may take here, short enough to wait for. */
const ATTEMPT_TTL = '4s';
const PROCESSES = 3;

let described: WorldDescription;
let world: World;
let folder: string;
/** Added to the clock of whoever comes after a crash: past every claim and backoff. */
let later = 0;

beforeAll(async () => {
  described = await createWorld();
  world = openWorld(described, { now: () => Date.now() + later });
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-crash-'));
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

const eventsFile = (name: string) => path.join(folder, `${name}.jsonl`);

/** A secret at generation 1, of which a rotation was asked; without a grace, so that one run also retires. */
async function prepare(name: string): Promise<void> {
  const spec = leaseSpecification(described, {
    name,
    publish: `app/${name}`,
    grace: '0s',
    deadline: '0s',
    attempt_ttl: ATTEMPT_TTL,
  });
  await world.secrets.apply(spec);
  await rotateSecret(world.rotate, name);
  await world.secrets.change(name, (state) => demanded(state, { reason: 'demand' }, world.now()));
}

async function killedAt(point: KillPoint): Promise<{ name: string; killed: boolean }> {
  const name = `s-${point.call}-${point.when}`;
  await prepare(name);
  const end = await runJob({
    world: described,
    job: { kind: 'rotate', name },
    kill: point,
    events: eventsFile(name),
  });
  return { name, killed: end.killed };
}

/** What comes after a crash: other workers, as the agenda sends them, until the document rests. */
async function recover(name: string): Promise<void> {
  for (let round = 0; round < 6; round += 1) {
    const report = await rotateSecret(world.rotate, name);
    const due = report?.due;
    if (due === undefined || due > world.now() + 86_400_000) return;
    later += 130_000;
  }
}

async function eventsOf(name: string) {
  const text = await readFile(eventsFile(name), 'utf8').catch(() => '');
  const fromTheDead = text
    .split('\n')
    .filter(Boolean)
    .map((line) => outcomeSchema.parse(JSON.parse(line)));
  const all = [...fromTheDead, ...world.published].filter(
    (event) => 'name' in event.data && event.data.name === name,
  );
  const kinds = new Map(
    all.map((event) => [
      event.id,
      `${event.type} g${'generation' in event.data ? event.data.generation : ''}`,
    ]),
  );
  return [...kinds.values()].sort();
}

it('survives SIGKILL before and after every outgoing call of a rotation', async () => {
  await prepare('s-0-none');
  const whole = await runJob({
    world: described,
    job: { kind: 'rotate', name: 's-0-none' },
    events: eventsFile('s-0-none'),
  });
  if (whole.killed) throw new Error('nothing was to be killed');
  const points = whole.labels.flatMap((_, index): KillPoint[] => [
    { call: index + 1, when: 'before' },
    { call: index + 1, when: 'after' },
  ]);
  const limit = pLimit(PROCESSES);
  const killed = await Promise.all(points.map((point) => limit(() => killedAt(point))));
  expect(killed.filter((one) => !one.killed)).toEqual([]);

  later = 130_000;
  const names = ['s-0-none', ...killed.map(({ name }) => name)];
  for (const name of names) await recover(name);

  const results = await Promise.all(names.map((name) => inspect(name)));
  // Attempts that were never recorded end with their tokens, by themselves.
  await until(async () => (await liveRoles(described)).length <= names.length, 30_000);
  expect(await liveRoles(described)).toEqual(results.map(({ username }) => username).sort());
  expect(results.filter(({ works }) => !works)).toEqual([]);
  const failures = results.filter(({ failed }) => failed);
  console.log(
    `kind lease: ${whole.labels.length} calls, killed before and after each: ${points.length} kills, ` +
      `${results.length} secrets whole, ${failures.length} attempts given up and made again`,
  );
  console.table(whole.labels.map((label, index) => ({ call: index + 1, label })));
}, 240_000);

async function inspect(name: string) {
  const secret = await world.secrets.read(name);
  const { path: mount } = await world.mounts.find(`${described.namespace}/app/${name}`);
  const published = (await new KvStore(world.vault, mount).read(name)).entry;
  const events = await eventsOf(name);
  const generation = secret?.state.cur?.g ?? 0;
  expect({
    name,
    phase: secret?.state.phase,
    retiring: secret?.state.retiring,
    outbox: secret?.state.outbox,
  }).toEqual({
    name,
    phase: 'idle',
    retiring: [],
    outbox: {},
  });
  expect(generation).toBe(2);
  expect(published?.version).toBe(secret?.state.cur?.published?.version);
  expect(generationOf(published?.customMetadata ?? {}, published?.version ?? 0)).toBe(2);
  const failed = events.filter((event) => event.startsWith('secret.rotation_failed'));
  expect(events.filter((event) => !failed.includes(event))).toEqual([
    'secret.retired g1',
    'secret.rotated g1',
    'secret.rotated g2',
  ]);
  expect(await world.store.list(`pending/${name}`)).toEqual([]);
  const login = await testPostgresLogin({ ...described.postgres, tls: false }, published?.data ?? {});
  return { name, works: login.ok, username: String(published?.data.username), failed: failed.length > 0 };
}
