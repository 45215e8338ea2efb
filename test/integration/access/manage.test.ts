import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rotateShard } from '../../../lib/rotation/rotate.ts';
import { leaseSpecification, openWorld } from '../../support/world.ts';
import {
  type AccessWorld,
  createAccessWorld,
  createToken,
  type Functions,
  openFunctions,
  problem,
} from './access-world.ts';

let world: AccessWorld;
let operator: string;
let application: string;
let functions: Functions;

beforeAll(async () => {
  world = await createAccessWorld();
  operator = await createToken([world.operatorPolicy]);
  application = await createToken([world.appPolicy]);
  const opened = openWorld(world);
  await opened.secrets.apply(leaseSpecification(world));
  await rotateShard(opened.rotate, { shard: 0 });
  await opened.close();
});
beforeEach(() => {
  functions = openFunctions(world);
});

const as = (token: string) => ({ headers: { 'x-vault-token': token } });
const get = (path: string, token: string) => functions.manage('GET', path, as(token));
const rotate = (name: string, token: string, query: Record<string, string> = {}) =>
  functions.manage('POST', `/v1/managed/${name}/rotate`, { ...as(token), query });

describe('an operator', () => {
  it('sees what is managed, and in what phase', async () => {
    expect(await get('/v1/managed', operator)).toMatchObject({
      status: 200,
      body: {
        managed: [{ name: 'app-database', kind: 'lease', phase: 'idle', generation: 1, paused: false }],
      },
    });
    expect(await get('/v1/managed/app-database', operator)).toMatchObject({
      status: 200,
      body: { name: 'app-database', phase: 'idle', generation: 1, specification: { kind: 'lease' } },
    });
  });

  it('sees what became of each rotation and who asked for it, and no handle', async () => {
    const opened = openWorld(world);
    await rotate('app-database', operator);
    await rotateShard(opened.rotate, { shard: 0 });
    const state = (await opened.secrets.read('app-database'))?.state;
    await opened.close();

    const shown = await get('/v1/managed/app-database', operator);

    expect(shown.body).toMatchObject({
      generation: 2,
      published: { path: 'app/database', version: 2 },
      history: [
        { generation: 2, reason: 'demand', by: 'token', failures: 0, took: { create: expect.any(Number) } },
        { generation: 1, reason: 'first' },
      ],
      retiring: [{ generation: 1, why: 'replaced', waiting_for: [], overdue: false, failures: 0 }],
      reaping: { count: 0 },
    });
    const handles = [state?.cur?.h, state?.retiring[0]?.h].flatMap((handle) => Object.values(handle ?? {}));
    const told = handles.filter(
      (part) => typeof part === 'string' && part !== '' && JSON.stringify(shown).includes(part),
    );
    expect([handles.length > 2, told]).toEqual([true, []]);
  });

  it('has a secret rotated, and a worker is sent', async () => {
    expect(await rotate('app-database', operator)).toMatchObject({
      status: 202,
      body: { name: 'app-database', next_rotation: expect.any(String), next_reason: 'demand' },
    });
    expect(functions.published).toMatchObject([{ type: 'rotation.due', data: { shard: 0 } }]);
    expect(functions.audited).toMatchObject([
      { action: 'manage', path: '/v1/managed/app-database/rotate', outcome: 'ok' },
    ]);
  });

  it('has a leaked one rotated at once', async () => {
    const opened = openWorld(world);
    await rotateShard(opened.rotate, { shard: 0 });

    expect((await rotate('app-database', operator, { revoke: 'immediately' })).status).toBe(202);

    expect((await opened.secrets.read('app-database'))?.state.reason).toBe('leak');
    await opened.close();
  });

  it('is told when there is none of that name', async () => {
    for (const answer of [await get('/v1/managed/absent', operator), await rotate('absent', operator)]) {
      expect(answer).toMatchObject(problem(404, 'managed_secret_unknown'));
    }
    expect(functions.published).toEqual([]);
  });
});

describe('anybody else', () => {
  it('is denied by Vault, and nothing is rotated', async () => {
    const opened = openWorld(world);
    const before = await opened.secrets.read('app-database');

    for (const answer of [
      await get('/v1/managed', application),
      await get('/v1/managed/app-database', application),
      await rotate('app-database', application),
      await rotate('absent', application),
    ]) {
      expect(answer).toMatchObject(problem(403, 'vault_denied'));
      expect(answer.body).toHaveProperty('hint');
    }
    expect((await opened.secrets.read('app-database'))?.version).toBe(before?.version);
    await opened.close();
    expect(functions.published).toEqual([]);
    expect(functions.audited.map(({ outcome }) => outcome)).toEqual(Array(4).fill('denied'));
  });

  it('without proof is asked for it', async () => {
    expect(await functions.manage('GET', '/v1/managed')).toMatchObject(problem(401, 'caller_missing'));
    expect(functions.exchanges).toEqual([]);
  });
});

it('a name that will not do is refused before Vault is asked', async () => {
  for (const name of ['..', '%2e%2e', 'App', 'a b', 'a'.repeat(64), 'a\u0007']) {
    expect(await get(`/v1/managed/${name}`, operator)).toMatchObject(problem(400, 'name_invalid'));
  }
  expect(functions.exchanges).toEqual([]);
});
