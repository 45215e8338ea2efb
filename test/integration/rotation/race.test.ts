import { afterAll, beforeAll, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { leaseCase } from '../../kinds/lease.ts';
import { ask, documentOf, firstGeneration } from '../../kinds/rotating.ts';
import { until } from '../../support/until.ts';
import { createWorld, liveRoles, openWorld, type World, type WorldDescription } from '../../support/world.ts';

const ROUNDS = 200;
const WORKERS = 10;

let described: WorldDescription;
let world: World;
/** Each with connections, caches and a name of its own, as ten invocations of a function. */
let workers: readonly World[];

beforeAll(async () => {
  described = await createWorld();
  world = openWorld(described);
  workers = Array.from({ length: WORKERS }, () => openWorld(described));
});
afterAll(async () => {
  await Promise.all([world, ...workers].map((one) => one.close()));
});

it('ten workers race for one secret, 200 times: one rotation each time', async () => {
  await firstGeneration(world, await leaseCase.prepare(world), 'raced');
  let begun = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    await ask(world, 'raced', { reason: 'demand' });
    const reports = await Promise.all(workers.map((worker) => rotateSecret(worker.rotate, 'raced')));
    begun += reports.filter((report) => report?.steps.includes('create')).length;
    const { state } = await documentOf(world, 'raced');
    expect({ round, phase: state.phase, g: state.cur?.g }).toEqual({ round, phase: 'idle', g: round + 1 });
  }
  const rotated = new Set(
    workers.flatMap((worker) =>
      worker.published.filter(({ type }) => type === 'secret.rotated').map(({ id }) => id),
    ),
  );
  expect(rotated.size).toBe(ROUNDS);
  await until(async () => (await liveRoles(described)).length === 1, 20_000);
  console.log(
    `${ROUNDS} races of ${WORKERS} workers: ${rotated.size} rotations, ${begun} attempts, 1 role left`,
  );
  expect(begun).toBe(ROUNDS);
}, 240_000);
