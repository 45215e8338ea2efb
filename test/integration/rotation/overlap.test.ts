import { afterAll, beforeAll, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { testPostgresLogin } from '../../../lib/rotation/probes/postgres.ts';
import { demanded } from '../../../lib/rotation/upkeep.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { generationOf } from '../../../lib/vault/published-generation.ts';
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

/** Reads the published generation, keeps it for a while, and logs in with it all the time. */
async function consume(stopped: () => boolean) {
  const { path } = await world.mounts.find(`${described.namespace}/app/database`);
  const store = new KvStore(world.vault, path);
  const seen = new Set<number>();
  const failures: string[] = [];
  let queries = 0;
  while (!stopped()) {
    const entry = (await store.read('database')).entry;
    const generation = generationOf(entry?.customMetadata ?? {}, entry?.version ?? 0);
    seen.add(generation ?? 0);
    const until = Date.now() + CONSUMER_CACHE_MS;
    while (Date.now() < until && !stopped()) {
      const result = await testPostgresLogin({ ...described.postgres, tls: false }, entry?.data ?? {});
      queries += 1;
      if (!result.ok) failures.push(`generation ${generation}: ${result.code}`);
    }
  }
  return { queries, failures, generations: seen.size };
}

/** Rotates as fast as the machine can, retiring what may be retired on the way. */
async function rotateManyTimes(): Promise<void> {
  for (let rotation = 0; rotation < ROTATIONS; rotation += 1) {
    await world.secrets.change('app-database', (state) => demanded(state, { reason: 'demand' }, world.now()));
    await rotateSecret(world.rotate, 'app-database');
  }
}

it(`a consumer queries all the time through ${ROTATIONS} rotations without one failure`, async () => {
  let done = false;
  const consuming = consume(() => done);
  await rotateManyTimes();
  done = true;
  const { queries, failures, generations } = await consuming;
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
