import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { consumeWhile } from '../../kinds/busy-consumer.ts';
import { type PreparedStatic, prepareStatic } from '../../kinds/database-static.ts';
import { documentOf, firstGeneration, rotateOnce } from '../../kinds/rotating.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const ROTATIONS = 30;
/** A consumer may use what it last read for this long: as long as its cache keeps it. */
const CONSUMER_CACHE_MS = 150;
const NAME = 'app-database';

let world: World;
let prepared: PreparedStatic;

beforeAll(async () => {
  world = openWorld(await createWorld());
  prepared = await prepareStatic(world);
  await firstGeneration(world, prepared, NAME, { grace: '900ms', deadline: '900ms' });
});
afterAll(async () => {
  await prepared.close();
  await world.close();
});

/** Rotates as often as two roles allow: the grace of the last but one is over, and its password has ended. */
async function rotateManyTimes(): Promise<void> {
  for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
    const report = await rotateOnce(world, prepared, NAME);
    const deadlines = report?.state.retiring.map(({ deadline }) => deadline) ?? [];
    await sleep(Math.max(0, ...deadlines.map((deadline) => deadline - world.now())) + 10);
    await rotateSecret(world.rotate, NAME);
  }
}

it(`a consumer queries all the time through ${ROTATIONS} rotations of two roles without one failure`, async () => {
  const { queries, failures, generations } = await consumeWhile(
    world,
    `app/${NAME}`,
    CONSUMER_CACHE_MS,
    rotateManyTimes,
  );
  expect(failures).toEqual([]);
  const { state } = await documentOf(world, NAME);
  expect(state).toMatchObject({ cur: { g: ROTATIONS + 1 }, retiring: [] });
  console.log(
    `${ROTATIONS} rotations of two static roles, ${queries} queries with ${generations} of the generations seen, 0 failed`,
  );
}, 120_000);
