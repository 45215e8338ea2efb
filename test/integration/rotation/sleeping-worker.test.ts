import pLimit from 'p-limit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { testPostgresLogin } from '../../../lib/rotation/probes/postgres.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { generationOf } from '../../../lib/vault/published-generation.ts';
import { Interruption } from '../../kinds/interrupted-worker.ts';
import { leaseCase } from '../../kinds/lease.ts';
import { ask, firstGeneration } from '../../kinds/rotating.ts';
import { until } from '../../support/until.ts';
import { createWorld, liveRoles, openWorld, type World, type WorldDescription } from '../../support/world.ts';

const HOUR_MS = 3_600_000;
const AT_ONCE = 4;

interface Scene {
  readonly name: string;
  readonly clock: { ahead: number };
  readonly others: World;
}

let described: WorldDescription;
const opened: World[] = [];

beforeAll(async () => {
  described = await createWorld();
});
afterAll(() => Promise.all(opened.map((world) => world.close())));

function open(clock: { readonly ahead: number }, sleep?: Interruption): World {
  const world = openWorld(described, { now: () => Date.now() + clock.ahead, ...sleep?.options });
  opened.push(world);
  return world;
}

async function scene(name: string): Promise<Scene> {
  const clock = { ahead: 0 };
  const others = open(clock);
  await firstGeneration(others, await leaseCase.prepare(others), name);
  await ask(others, name, { reason: 'demand' });
  return { name, clock, others };
}

/** Whoever comes by the agenda meanwhile: past every claim and backoff, and once more a rotation that somebody asks for. */
async function meanwhile({ name, clock, others }: Scene): Promise<void> {
  clock.ahead += HOUR_MS;
  await rotateSecret(others.rotate, name);
  clock.ahead += HOUR_MS;
  await ask(others, name, { reason: 'demand' });
  await rotateSecret(others.rotate, name);
}

async function sleepsBefore(call: number): Promise<'slept' | 'was-done'> {
  const { name, clock, others } = await scene(`s-${call}`);
  const sleep = new Interruption({ call, when: 'before' });
  const working = rotateSecret(open(clock, sleep).rotate, name).catch(() => undefined);
  const slept = await Promise.race([sleep.stopped.then(() => true), working.then(() => false)]);
  if (!slept) return 'was-done';
  await meanwhile({ name, clock, others });
  const before = await published(others, name);
  sleep.wake();
  await working;

  const after = await published(others, name);
  expect({ call, generation: after.generation }).toEqual({ call, generation: before.generation });
  expect({ call, works: await works(after.data) }).toEqual({ call, works: true });
  clock.ahead += HOUR_MS;
  await rotateSecret(others.rotate, name);
  const state = (await others.secrets.read(name))?.state;
  expect({ call, phase: state?.phase, retiring: state?.retiring }).toEqual({
    call,
    phase: 'idle',
    retiring: [],
  });
  expect({ call, works: await works((await published(others, name)).data) }).toEqual({ call, works: true });
  return 'slept';
}

async function published(world: World, name: string) {
  const { path } = await world.mounts.find(`${described.namespace}/app/${name}`);
  const entry = (await new KvStore(world.vault, path).read(name)).entry;
  return {
    data: entry?.data ?? {},
    generation: generationOf(entry?.customMetadata ?? {}, entry?.version ?? 0),
  };
}

async function works(value: Readonly<Record<string, unknown>>): Promise<boolean> {
  return (await testPostgresLogin({ ...described.postgres, tls: false }, value)).ok;
}

it('who slept for hours before any call publishes nothing old, and revokes nothing current', async () => {
  const limit = pLimit(AT_ONCE);
  let slept = 0;
  // More than a rotation has; those beyond its end find it done.
  const ends = await Promise.all(
    Array.from({ length: 36 }, (_, call) => limit(() => sleepsBefore(call + 1))),
  );
  slept = ends.filter((end) => end === 'slept').length;
  expect(slept).toBeGreaterThan(25);
  // What a sleeper has made and never recorded ends with its attempt's token.
  await until(async () => (await liveRoles(described)).length === ends.length, 30_000);
  console.log(
    `a worker asleep before each of ${slept} calls: nothing old published, nothing current revoked`,
  );
}, 180_000);
