import { afterAll, beforeAll, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { demanded } from '../../../lib/rotation/upkeep.ts';
import { consumeWhile } from '../../kinds/busy-consumer.ts';
import {
  createWorld,
  leaseSpecification,
  liveRoles,
  openWorld,
  type World,
  type WorldDescription,
} from '../../support/world.ts';

const ROTATIONS = 50;
/** A consumer may use what it last read for this long: as long as its cache keeps it. */
const CONSUMER_CACHE_MS = 200;

let described: WorldDescription;
let world: World;

beforeAll(async () => {
  described = await createWorld();
  world = openWorld(described);
  await world.secrets.apply(leaseSpecification(described, { grace: '1500ms', deadline: '1500ms' }));
  await rotateSecret(world.rotate, 'app-database');
});
afterAll(() => world.close());

/** Rotates as fast as the machine can, retiring what may be retired on the way. */
async function rotateManyTimes(): Promise<void> {
  for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
    await world.secrets.change('app-database', (state) => demanded(state, { reason: 'demand' }, world.now()));
    await rotateSecret(world.rotate, 'app-database');
  }
}

it(`a consumer queries all the time through ${ROTATIONS} rotations without one failure`, async () => {
  const { queries, failures, generations } = await consumeWhile(
    world,
    'app/database',
    CONSUMER_CACHE_MS,
    rotateManyTimes,
  );
  expect(failures).toEqual([]);

  const secret = await world.secrets.read('app-database');
  expect(secret?.state.cur?.g).toBe(ROTATIONS + 1);
  const last = Math.max(0, ...(secret?.state.retiring.map(({ deadline }) => deadline) ?? []));
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, last - world.now()) + 50));
  await rotateSecret(world.rotate, 'app-database');
  expect(await liveRoles(described)).toHaveLength(1);
  console.log(
    `${ROTATIONS} rotations, ${queries} queries with ${generations} of the generations seen, 0 failed; 1 role left, the current one`,
  );
}, 120_000);
