import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { publishedAt } from '../../../lib/rotation/published-path.ts';
import type { PreparedKind } from '../../kinds/kind-case.ts';
import { leaseCase } from '../../kinds/lease.ts';
import { changed, documentOf, firstGeneration, publishedValue } from '../../kinds/rotating.ts';
import { withPostgres } from '../../support/postgres.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const HOUR = 3_600_000;

let world: World;
let prepared: PreparedKind;
/** Added to the clock. */
let later = 0;

beforeAll(async () => {
  world = openWorld(await createWorld(), { now: () => Date.now() + later, onError: () => {} });
  prepared = await leaseCase.prepare(world);
});
beforeEach(() => {
  later = 0;
});
afterAll(() => world.close());

const told = (name: string) =>
  world.published
    .filter((event) => 'name' in event.data && event.data.name === name)
    .map(({ type, data }) => ('what' in data ? `${type} ${data.what}` : type));

async function verify(name: string, at = 1.1 * HOUR) {
  later = at;
  await rotateSecret(world.rotate, name);
  return (await documentOf(world, name)).state;
}

const usernameOf = async (name: string) => String((await publishedValue(world, name))?.username);
const works = async (name: string) => prepared.works(name, await publishedValue(world, name));

it('nothing has changed: nothing is told, and nothing rotates', async () => {
  await firstGeneration(world, prepared, 'steady');
  expect(await verify('steady')).toMatchObject({ cur: { g: 1 } });
  expect(told('steady')).toEqual(['secret.rotated']);
});

it('a password that was altered in the database is found, told and mended', async () => {
  await firstGeneration(world, prepared, 'altered');
  const username = await usernameOf('altered');
  await withPostgres(inject, (client) =>
    client.query(`ALTER ROLE "${username}" PASSWORD 'of-somebody-else'`),
  );
  expect(await works('altered')).toBe(false);
  expect(await verify('altered')).toMatchObject({ cur: { g: 2 } });
  expect(told('altered')).toContain('secret.drift value_refused');
  expect(await works('altered')).toBe(true);
});

it('so is a role that was dropped', async () => {
  await firstGeneration(world, prepared, 'dropped');
  const username = await usernameOf('dropped');
  await withPostgres(inject, (client) => client.query(`DROP ROLE "${username}"`));
  expect(await verify('dropped')).toMatchObject({ cur: { g: 2 } });
  expect(told('dropped')).toContain('secret.drift value_refused');
  expect(await works('dropped')).toBe(true);
});

it('a value that a person has published is told before it is replaced, and stays in the history of KV', async () => {
  await firstGeneration(world, prepared, 'overwritten');
  const { store, path } = await publishedAt(world.rotate, 'app/overwritten');
  await store.write(path, { username: 'ann', password: 'her-own' }, 1);
  expect(await verify('overwritten')).toMatchObject({ cur: { g: 2, published: { version: 3 } } });
  expect(told('overwritten').slice(1)).toEqual([
    'secret.drift published_value_changed',
    'secret.rotated',
    'secret.retired',
  ]);
  expect((await store.read(path, { version: 2 })).entry?.data).toEqual({
    username: 'ann',
    password: 'her-own',
  });
  expect(await works('overwritten')).toBe(true);
});

it('a person’s value is left alone where drift is only to be told, and told once', async () => {
  await firstGeneration(world, prepared, 'left', { on_drift: 'tell' });
  const { store, path } = await publishedAt(world.rotate, 'app/left');
  await store.write(path, { username: 'ann', password: 'her-own' }, 1);
  for (const at of [1.1 * HOUR, 2.2 * HOUR, 3.3 * HOUR]) await verify('left', at);
  expect((await store.read(path)).version).toBe(2);
  expect(told('left')).toEqual(['secret.rotated', 'secret.drift published_value_changed']);
});

it('a published value that was deleted is found', async () => {
  await firstGeneration(world, prepared, 'deleted');
  const { path } = await publishedAt(world.rotate, 'app/deleted');
  await world.vault.request({
    method: 'DELETE',
    path: `${world.namespace}/app/data/${path}`,
    repeatable: true,
  });
  expect(await verify('deleted')).toMatchObject({ cur: { g: 2 } });
  expect(told('deleted')).toContain('secret.drift published_value_missing');
  expect(await works('deleted')).toBe(true);
});

it('a database that does not answer is no drift', async () => {
  const nowhere = { kind: 'postgres', ...world.postgres, tls: false, port: 9 };
  await firstGeneration(world, prepared, 'unreachable');
  await world.secrets.apply(changed(await prepared.specify('unreachable'), { test: nowhere }));
  expect(await verify('unreachable')).toMatchObject({ cur: { g: 1 } });
  expect(told('unreachable')).toEqual(['secret.rotated']);
});
