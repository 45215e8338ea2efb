import { testPostgresLogin } from '../../lib/rotation/probes/postgres.ts';
import { publishedAt } from '../../lib/rotation/published-path.ts';
import { generationOf } from '../../lib/vault/published-generation.ts';
import type { World } from '../support/world.ts';

export interface Consumed {
  readonly queries: number;
  /** One line for each query that failed. */
  readonly failures: readonly string[];
  /** How many generations it has used. */
  readonly generations: number;
}

/**
 * A service with a database: reads the published generation, keeps it for `cacheMs` milliseconds, and logs in with it all the time, until
 * `work` is done.
 */
export async function consumeWhile(
  world: World,
  publish: string,
  cacheMs: number,
  work: () => Promise<void>,
): Promise<Consumed> {
  let done = false;
  const consuming = consume(world, publish, cacheMs, () => done);
  await work().finally(() => {
    done = true;
  });
  return consuming;
}

async function consume(
  world: World,
  publish: string,
  cacheMs: number,
  stopped: () => boolean,
): Promise<Consumed> {
  const { store, path } = await publishedAt(world.rotate, publish);
  const seen = new Set<number>();
  const failures: string[] = [];
  let queries = 0;
  while (!stopped()) {
    const { entry } = await store.read(path);
    const generation = generationOf(entry?.customMetadata ?? {}, entry?.version ?? 0);
    if (generation !== undefined) seen.add(generation);
    const until = Date.now() + cacheMs;
    while (Date.now() < until && !stopped()) {
      const result = await testPostgresLogin({ ...world.postgres, tls: false }, entry?.data ?? {});
      queries += 1;
      if (!result.ok) failures.push(`generation ${generation}: ${result.code}`);
    }
  }
  return { queries, failures, generations: seen.size };
}
