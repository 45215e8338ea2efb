import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testPostgresLogin } from '../../../lib/rotation/probes/postgres.ts';
import { demandRotation, rotateShard } from '../../../lib/rotation/rotate.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { generationOf } from '../../../lib/vault/published-generation.ts';
import { createWorld, leaseSpecification, liveRoles, openWorld, type World } from '../../support/world.ts';

describe.each(['prefix', 'namespace'] as const)('rotation of kind lease, layout %s', (layout) => {
  let world: World;
  let clock = 0;

  beforeAll(async () => {
    const described = await createWorld({ layout });
    world = openWorld(described, { now: () => Date.now() + clock });
    await world.secrets.apply(leaseSpecification(described));
  });
  afterAll(() => world.close());

  const published = async () => {
    const { path } = await world.mounts.find(`${world.namespace}/app/database`);
    return (await new KvStore(world.vault, path).read('database')).entry;
  };
  const works = async (value: Readonly<Record<string, unknown>> | undefined) =>
    (await testPostgresLogin({ ...world.postgres, tls: false }, value ?? {})).ok;

  it('makes, tests and publishes the first generation', async () => {
    const [report] = await rotateShard(world.rotate, { shard: 0 });
    expect(report?.steps).toEqual(['begin', 'create', 'keep', 'test', 'promote']);
    const value = await published();
    expect(value?.customMetadata).toEqual({
      'managed-by': 'leasekeeper',
      name: 'app-database',
      'generation-of-version-1': '1',
    });
    expect(await works(value?.data)).toBe(true);
    expect(world.published.map(({ type }) => type)).toEqual(['secret.rotated']);
    expect(await world.store.list('pending/app-database')).toEqual([]);
  });

  it('keeps both generations working during the grace, then retires the old one', async () => {
    const old = (await published())?.data;
    await demandRotation(world.rotate, 'app-database', 'demand');
    await rotateShard(world.rotate, { shard: 0 });
    const fresh = await published();
    expect(generationOf(fresh?.customMetadata ?? {}, fresh?.version ?? 0)).toBe(2);
    expect([await works(old), await works(fresh?.data)]).toEqual([true, true]);
    clock += 9_000;
    await rotateShard(world.rotate, { shard: 0 });
    expect(await works(old)).toBe(true);
    clock += 2_000;
    await rotateShard(world.rotate, { shard: 0 });
    expect([await works(old), await works(fresh?.data)]).toEqual([false, true]);
    expect(await liveRoles(world)).toHaveLength(1);
    expect(world.published.at(-1)).toMatchObject({
      type: 'secret.retired',
      data: { generation: 1, reason: 'grace' },
    });
  });
});
