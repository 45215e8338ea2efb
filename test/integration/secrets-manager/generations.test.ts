import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { SecretsManagerOptions, StaticSecret } from '../../../lib/index.ts';
import { type Ground, prepareGround } from './ground.ts';
import { publishedAt } from './publish.ts';

let ground: Ground;
beforeAll(async () => {
  ground = await prepareGround();
});

const open = (options: SecretsManagerOptions = {}) => {
  const manager = ground.manager(options);
  onTestFinished(() => manager.cleanup());
  return manager;
};
const key = ({ data }: StaticSecret) => data.get('key');
/** Requests for the value of a secret since the last call. */
const reads = (name: string) =>
  ground.requests.splice(0).filter(({ path }) => path.includes(`inference-service/data/${name}`)).length;

describe('a generation', () => {
  test('is read by number, or as the current or previous one, and kept', async () => {
    const at = publishedAt(ground, 'kept');
    await at.publish(1);
    await at.write({ key: 'by hand' });
    await at.publish(2);
    const manager = open();
    reads('kept');

    for (const _twice of [1, 2]) {
      expect(key(await manager.getSecret(at.path, { generation: 1 }))).toBe('g1');
      expect(key(await manager.getSecret(at.path, { generation: 'previous' }))).toBe('g1');
      expect(await manager.getSecret(at.path, { generation: 'current' })).toMatchObject({
        version: 3,
        generation: 2,
      });
      expect((await manager.getSecret(at.path, { generation: 2, field: 'key' })).expose()).toBe('g2');
    }
    expect(reads('kept')).toBe(2);
  });

  test('that was published since is found, whatever the cache has', async () => {
    const at = publishedAt(ground, 'since');
    await at.publish(1);
    const manager = open();
    await manager.getSecret(at.path);
    await at.publish(2);

    expect(await manager.getSecret(at.path)).toMatchObject({ generation: 1 });
    expect(await manager.getSecret(at.path, { generation: 2 })).toMatchObject({ version: 2, generation: 2 });
    expect(await manager.getSecret(at.path)).toMatchObject({ generation: 2 });
  });

  test('that is not there, or no longer, is unknown', async () => {
    const at = publishedAt(ground, 'unknown');
    await at.publish(1);
    await at.publish(2);
    await at.destroy(1);
    const manager = open();
    const unknown = { code: 'generation_unknown', hint: expect.any(String) };

    await expect(manager.getSecret(at.path, { generation: 3 })).rejects.toMatchObject(unknown);
    await expect(manager.getSecret(at.path, { generation: 1 })).rejects.toMatchObject(unknown);
    await expect(manager.getSecret(at.path, { generation: 'previous' })).rejects.toMatchObject(unknown);
    await expect(
      manager.getSecret('inference-service/never', { generation: 'current' }),
    ).rejects.toMatchObject({ code: 'vault_not_found' });
    await expect(manager.getSecret(at.path, { generation: 2, version: 2 })).rejects.toMatchObject({
      code: 'secret_version_ambiguous',
    });
  });
});

describe('both generations that readers accept', () => {
  test('are given together and kept for a moment', async () => {
    const at = publishedAt(ground, 'both');
    await at.publish(1);
    const manager = open({ refreshMs: 60_000 });
    expect(await manager.getGenerations(at.path)).toMatchObject({
      current: { generation: 1 },
      previous: undefined,
    });
    manager.invalidate(at.path);
    await at.publish(2);
    reads('both');

    for (const _twice of [1, 2]) {
      const { current, previous } = await manager.getGenerations(at.path);
      expect([key(current), current.generation]).toEqual(['g2', 2]);
      expect([previous && key(previous), previous?.generation]).toEqual(['g1', 1]);
    }
    expect(reads('both')).toBe(2);
  });

  test('are right between the two writes of a publication, and after a value by hand', async () => {
    const at = publishedAt(ground, 'between');
    await at.publish(1);
    await at.publish(2);
    const version = await at.write({ key: 'g3' });
    const manager = open({ refreshMs: 0 });

    const between = await manager.getGenerations(at.path);
    expect([key(between.current), between.current.generation]).toEqual(['g3', undefined]);
    expect(between.previous?.generation).toBe(2);
    await at.stamp(3, version);
    expect(await manager.getGenerations(at.path)).toMatchObject({
      current: { generation: 3 },
      previous: { generation: 2 },
    });
  });

  test('a previous one that was destroyed is not given', async () => {
    const at = publishedAt(ground, 'destroyed');
    await at.publish(1);
    await at.publish(2);
    const manager = open({ refreshMs: 0 });
    expect((await manager.getGenerations(at.path)).previous?.generation).toBe(1);
    await at.destroy(1);

    expect(await manager.getGenerations(at.path)).toMatchObject({
      current: { generation: 2 },
      previous: undefined,
    });
  });

  test('of a path that nobody manages is only what stands there', async () => {
    const at = publishedAt(ground, 'unmanaged');
    await at.write({ key: 'one' });
    await at.write({ key: 'two' });

    const { current, previous } = await open().getGenerations(at.path);

    expect([key(current), current.generation, previous]).toEqual(['two', undefined, undefined]);
  });
});
