import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { joinPath } from '../../../lib/vault/addressing.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { type PreparedNgc, prepareNgc } from '../../kinds/http-api-key.ts';
import { documentOf, firstGeneration, publishedValue, rotateOnce } from '../../kinds/rotating.ts';
import type { NgcFault } from '../../support/ngc-server.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

let world: World;
let prepared: PreparedNgc;
let later = 0;

beforeAll(async () => {
  world = openWorld(await createWorld(), { now: () => Date.now() + later, onError: () => {} });
  prepared = await prepareNgc(world);
});
beforeEach(() => {
  later = 0;
});
afterAll(async () => {
  await prepared.close();
  await world.close();
});

const keysOf = (name: string) =>
  prepared.ngc.liveKeys().filter((key) => key.name.startsWith(`leasekeeper-${name}-`));
const keyAt = async (name: string) => String((await publishedValue(world, name))?.api_key);

describe('a request to create that fails', () => {
  const faults: readonly (readonly [string, NgcFault, string])[] = [
    ['is refused with 401', 'unauthorized', 'http_refused'],
    ['is refused with 403', 'forbidden', 'http_refused'],
    ['is answered 429', { retryAfter: '120' }, 'http_rate_limited'],
    ['is answered 500', 'error_before', 'http_unavailable'],
    ['is answered 500 after the key was made', 'error_after', 'http_unavailable'],
    ['has its answer lost', 'lost_answer', 'http_unavailable'],
  ];
  it.each(faults)('%s: the current key stays, and no other is left behind', async (title, fault, code) => {
    const name = `create-${title.replaceAll(/[^a-z0-9]+/g, '-')}`;
    await firstGeneration(world, prepared, name);
    const before = await keyAt(name);
    prepared.ngc.fail('create', fault);
    await rotateOnce(world, prepared, name);

    const { state } = await documentOf(world, name);
    expect(state).toMatchObject({ phase: 'idle', failures: 1, cur: { g: 1 }, retiring: [] });
    expect(await keyAt(name)).toBe(before);
    expect(prepared.ngc.use(before)).toBe(true);
    // Whatever was made without our knowing was found by its name.
    expect(keysOf(name)).toHaveLength(1);
    expect(world.published.at(-1)).toMatchObject({
      type: 'secret.rotation_failed',
      data: { name, step: 'create', code },
    });

    later = 3_700_000;
    await rotateSecret(world.rotate, name);
    expect((await documentOf(world, name)).state).toMatchObject({ cur: { g: 2 }, failures: 0 });
    expect(prepared.ngc.use(await keyAt(name))).toBe(true);
    expect(keysOf(name)).toHaveLength(1);
  });

  it('waits as long as it is told to', async () => {
    await firstGeneration(world, prepared, 'patient');
    prepared.ngc.fail('create', { retryAfter: '1800' });
    const from = world.now();
    const report = await rotateOnce(world, prepared, 'patient');
    expect(report?.state.due).toBeGreaterThanOrEqual(from + 1_800_000);
  });
});

describe('a test that fails', () => {
  it('undoes the new key, and keeps the current one', async () => {
    await firstGeneration(world, prepared, 'tested');
    const before = await keyAt('tested');
    prepared.ngc.fail('test', 'unauthorized');
    await rotateOnce(world, prepared, 'tested');
    expect(await keyAt('tested')).toBe(before);
    expect(keysOf('tested').map(({ value }) => value)).toEqual([before]);
    expect(world.published.at(-1)).toMatchObject({ data: { step: 'test', code: 'test_refused' } });
  });
});

describe('a request to revoke that fails', () => {
  it.each<[string, NgcFault]>([
    ['answered 500', 'error_before'],
    ['whose answer is lost', 'lost_answer'],
    ['refused', 'forbidden'],
  ])('%s: it is tried again, and is visible until then', async (title, fault) => {
    const name = `revoke-${title.replaceAll(' ', '-')}`;
    await firstGeneration(world, prepared, name);
    prepared.ngc.fail('revoke', fault);
    await rotateOnce(world, prepared, name);
    const { retiring } = (await documentOf(world, name)).state;
    expect(retiring).toMatchObject([{ g: 1, failures: 1, failed: expect.stringMatching(/^http_/) }]);
    later = 20_000;
    await rotateSecret(world.rotate, name);
    expect((await documentOf(world, name)).state.retiring).toEqual([]);
    expect(keysOf(name)).toHaveLength(1);
  });

  it('is told after the third time on end', async () => {
    await firstGeneration(world, prepared, 'stubborn');
    prepared.ngc.fail('revoke', 'error_before', 3);
    await rotateOnce(world, prepared, 'stubborn');
    for (const at of [30_000, 90_000]) {
      later = at;
      await rotateSecret(world.rotate, 'stubborn');
    }
    expect(world.published.at(-1)).toMatchObject({
      type: 'secret.retire_failing',
      data: { name: 'stubborn', generation: 1, failures: 3 },
    });
  });
});

describe('an attempt that is given up', () => {
  it('is looked for while the list fails, until it is found', async () => {
    await firstGeneration(world, prepared, 'sought');
    prepared.ngc.fail('create', 'lost_answer');
    prepared.ngc.fail('list', 'error_before', 2);
    await rotateOnce(world, prepared, 'sought');
    expect(keysOf('sought')).toHaveLength(2);
    expect((await documentOf(world, 'sought')).state.reap).toMatchObject([{ failed: 'http_unavailable' }]);
    for (const at of [13_000, 40_000, 100_000]) {
      later = at;
      await rotateSecret(world.rotate, 'sought');
    }
    expect(keysOf('sought')).toHaveLength(1);
  });

  it('stays visible until its key has expired, where the provider cannot list', async () => {
    const specified = await prepared.specify('unlisted');
    if (specified.kind !== 'http-api-key' || !('preset' in specified.provider)) throw new Error('no preset');
    const changes = { provider: { ...specified.provider, list: false } };
    await firstGeneration(world, prepared, 'unlisted', changes);
    prepared.ngc.fail('create', 'lost_answer');
    await rotateOnce(world, prepared, 'unlisted');
    expect((await documentOf(world, 'unlisted')).state.reap).toMatchObject([{ failed: 'key_unfindable' }]);
    later = 31 * 86_400_000;
    await rotateSecret(world.rotate, 'unlisted');
    later = 62 * 86_400_000;
    await rotateSecret(world.rotate, 'unlisted');
    expect(keysOf('unlisted')).toHaveLength(1);
  });
});

it('retires an old key once the provider says that nobody uses it', async () => {
  const evidence = { kind: 'last_used', idle_for: '10m' };
  await firstGeneration(world, prepared, 'idle', { grace: '1m', deadline: '7d', evidence });
  const before = await keyAt('idle');
  await rotateOnce(world, prepared, 'idle');
  later = 5 * 60_000;
  expect(prepared.ngc.use(before)).toBe(true);
  later = 6 * 60_000;
  await rotateSecret(world.rotate, 'idle');
  expect((await documentOf(world, 'idle')).state.retiring).toMatchObject([{ g: 1 }]);
  // Ten minutes after its last use it counts as idle, and ten minutes later it may go.
  for (const minutes of [16, 27, 38]) {
    later = minutes * 60_000;
    await rotateSecret(world.rotate, 'idle');
  }
  expect((await documentOf(world, 'idle')).state.retiring).toEqual([]);
  expect(prepared.ngc.use(before)).toBe(false);
  expect(world.published.at(-1)).toMatchObject({ type: 'secret.retired', data: { reason: 'idle' } });
});

it('never sends the admin key anywhere but to the provider, nor writes it down', async () => {
  await firstGeneration(world, prepared, 'quiet-admin');
  const { state, input } = await documentOf(world, 'quiet-admin');
  const written = JSON.stringify([state, input, world.published]);
  expect(written).not.toContain(prepared.ngc.adminKey);
  expect(written).not.toContain(await keyAt('quiet-admin'));
  const admin = await new KvStore(world.vault, joinPath(world.namespace, 'app')).read('ngc-admin');
  expect(admin.entry?.data.api_key).toBe(prepared.ngc.adminKey);
});
