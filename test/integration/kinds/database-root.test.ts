import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import type { TransportRequest } from '../../../lib/vault/transport.ts';
import { type PreparedRoot, prepareRoot } from '../../kinds/database-root.ts';
import { ask, documentOf, firstGeneration, rotateOnce } from '../../kinds/rotating.ts';
import { withPostgres } from '../../support/postgres.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

let world: World;
let prepared: PreparedRoot;
/** Added to the clock. */
let later = 0;
let afterExchange: (request: TransportRequest) => Promise<void> = async () => {};

beforeAll(async () => {
  world = openWorld(await createWorld(), {
    now: () => Date.now() + later,
    onError: () => {},
    transport: (real) => ({
      exchange: async (request) => {
        const answer = await real.exchange(request);
        await afterExchange(request);
        return answer;
      },
      close: () => real.close(),
    }),
  });
  prepared = await prepareRoot(world);
});
beforeEach(() => {
  later = 0;
  afterExchange = async () => {};
});
afterAll(async () => {
  await prepared.close();
  await world.close();
});

const state = async (name: string) => (await documentOf(world, name)).state;
const works = (name: string) => prepared.works(name, undefined);
const told = (name: string) =>
  world.published.filter((event) => 'name' in event.data && event.data.name === name);
/** Somebody changes the password in PostgreSQL, and Vault is not told. */
const changeBehindVault = (name: string) =>
  withPostgres(inject, (client) => client.query(`ALTER ROLE "${prepared.userOf(name)}" PASSWORD 'changed'`));

it('changes nothing by being specified, and counts its schedule from when it is asked', async () => {
  await world.secrets.apply({ ...(await prepared.specify('asked')), schedule: { every: '1h' } });
  later = 86_400_000;
  const report = await rotateSecret(world.rotate, 'asked');
  expect(report).toMatchObject({ steps: [], due: undefined });
  expect(await prepared.firstPasswordWorks('asked')).toBe(true);
  await ask(world, 'asked', { reason: 'demand' });
  await rotateSecret(world.rotate, 'asked');
  expect(await prepared.firstPasswordWorks('asked')).toBe(false);
  expect(await works('asked')).toBe(true);
  later += 3_600_000;
  await rotateSecret(world.rotate, 'asked');
  expect((await state('asked')).cur?.g).toBe(2);
  expect(await works('asked')).toBe(true);
});

it('is whole when a worker dies after the change, and the next one changes it again', async () => {
  await firstGeneration(world, prepared, 'died');
  await ask(world, 'died', { reason: 'demand' });
  const dead = Promise.withResolvers<void>();
  afterExchange = async ({ path }) => {
    if (!path.endsWith('/rotate-root/died')) return;
    dead.resolve();
    await new Promise(() => {});
  };
  void rotateSecret(world.rotate, 'died');
  await dead.promise;
  afterExchange = async () => {};
  expect((await state('died')).phase).toBe('apply');
  // Nobody takes over from a worker that may still live.
  later = 900_000;
  await rotateSecret(world.rotate, 'died');
  expect((await state('died')).phase).toBe('apply');
  later = 1_000_000;
  await rotateSecret(world.rotate, 'died');
  expect(await state('died')).toMatchObject({ phase: 'idle', cur: { g: 2 } });
  expect(await works('died')).toBe(true);
});

it('does not call it changed when Vault cannot log in with it', async () => {
  await firstGeneration(world, prepared, 'broken');
  afterExchange = async ({ path }) => {
    if (path.endsWith('/rotate-root/broken')) await changeBehindVault('broken');
  };
  await rotateOnce(world, prepared, 'broken');
  expect(told('broken').at(-1)).toMatchObject({
    type: 'secret.rotation_failed',
    data: { step: 'test', code: 'database_login_failed' },
  });
  expect((await state('broken')).cur?.g).toBe(1);
  expect(await works('broken')).toBe(false);
});

it('tells that Vault could not change it', async () => {
  await firstGeneration(world, prepared, 'refused');
  await changeBehindVault('refused');
  // Vault keeps sessions that were open before.
  await withPostgres(inject, (client) =>
    client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1', [
      prepared.userOf('refused'),
    ]),
  );
  await rotateOnce(world, prepared, 'refused');
  expect(told('refused').at(-1)).toMatchObject({
    type: 'secret.rotation_failed',
    data: { step: 'apply', code: 'vault_unavailable' },
  });
});
