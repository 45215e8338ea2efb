import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '../../../lib/cli/main.ts';
import { rotateShard } from '../../../lib/rotation/rotate.ts';
import { acknowledgementPath } from '../../../lib/vault/acknowledgements.ts';
import { leaseSpecification, openWorld, type World } from '../../support/world.ts';
import { type AccessWorld, createAccessWorld, createToken } from '../access/access-world.ts';

const CANARY = 'typed-canary-51d0';
let described: AccessWorld;
let world: World;
let operator: string;
let folder: string;

beforeAll(async () => {
  described = await createAccessWorld();
  world = openWorld(described);
  operator = await createToken([described.operatorPolicy], { display_name: 'ada' });
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-cli-'));
});
afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

async function runAs(token: string, args: readonly string[], input?: string): Promise<Ran> {
  const out: string[] = [];
  const error: string[] = [];
  const code = await main(args, {
    environment: {
      VAULT_ADDR: world.address,
      VAULT_TOKEN: token,
      VAULT_NAMESPACE: world.namespace,
      LEASEKEEPER_STATE_MOUNT: world.stateMount,
    },
    out: (text) => out.push(text),
    error: (text) => error.push(text),
    ...(input === undefined ? {} : { input: async () => input }),
  });
  return { code, out: out.join('\n'), error: error.join('\n') };
}
const run = (...args: string[]) => runAs(operator, args);
const runWith = (input: string, ...args: string[]) => runAs(operator, args, input);
/** Whatever is due is done, as `rotate` would do it. */
const work = () => rotateShard(world.rotate, { shard: 0 });
const refused = (code: string) => ({
  code: 1,
  out: '',
  error: expect.stringContaining(`leasekeeper: ${code}: `),
});

it('applies from standard input, and shows what there is', async () => {
  const two = [
    leaseSpecification(described, { schedule: { every: '1d' } }),
    leaseSpecification(described, { name: 'other', publish: 'app/other' }),
  ];
  expect(await runWith(JSON.stringify(two), 'apply', '-f', '-')).toMatchObject({
    code: 0,
    out: 'app-database: created; its first generation is due now\nother: created; its first generation is due now',
  });
  await work();

  const { out } = await run('list');
  expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
    ['NAME', 'KIND', 'PHASE', 'CURRENT', 'RETIRING', 'DUE', 'FAILURES', 'STATE'],
    ['app-database', 'lease', 'idle', 'g1', '-', expect.stringMatching(/Z$/), '-', '-'],
    ['other', 'lease', 'idle', 'g1', '-', 'on demand', '-', '-'],
  ]);
  expect(await runWith('', 'apply', '-f', '-')).toMatchObject(refused('specification_unreadable'));
  expect(await run('apply', '-f', path.join(folder, 'none'))).toMatchObject(
    refused('specification_unreadable'),
  );
});

it('rotates, and tells the history with who asked', async () => {
  expect(await run('rotate', 'app-database')).toMatchObject({
    code: 0,
    out: 'app-database: rotation due now; the next scan begins it',
  });
  await work();

  const lines = (await run('history', 'app-database')).out.split('\n').map((line) => line.split(/ {2,}/));
  expect(lines.map(([generation, reason, by]) => [generation, reason, by])).toEqual([
    ['GENERATION', 'REASON', 'BY'],
    ['g2', 'demand', 'token-ada'],
    ['g1', 'first', '-'],
  ]);
  expect(lines[1]?.[4]).toMatch(/^create \d+\.\ds, .*promote \d+\.\ds$/);
  expect(JSON.parse((await run('history', 'app-database', '--json')).out)).toMatchObject([
    { generation: 2, by: 'token-ada' },
    { generation: 1 },
  ]);
});

it('shows the rotation state, handles included, for whoever must clear up by hand', async () => {
  const shown = JSON.parse((await run('show', 'app-database')).out);
  expect(shown).toMatchObject({
    name: 'app-database',
    generation: 2,
    state: { cur: { h: expect.any(Object) } },
  });
});

it('pauses and resumes; a paused one takes no demand', async () => {
  expect(await run('pause', 'other')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^other: paused; /),
  });
  expect((await run('list')).out).toMatch(/^other .* paused$/m);
  expect(await run('rotate', 'other')).toMatchObject(refused('managed_secret_paused'));
  expect((await run('rotate', 'other', '--leak')).error).toContain('\n  Resume it first.');
  expect(await run('resume', 'other')).toMatchObject({ code: 0, out: 'other: goes on' });
  expect((await run('list')).out).not.toContain('paused');
});

it('removes only when it is told what becomes of the credentials', async () => {
  for (const args of [[], ['--credentials', 'burn']])
    expect(await run('remove', 'other', ...args)).toMatchObject({
      code: 2,
      error: expect.stringContaining('--credentials'),
    });
  expect((await world.secrets.read('other'))?.state.removed).toBeUndefined();

  expect(await run('remove', 'other', '--credentials', 'revoke')).toMatchObject({
    code: 0,
    out: 'other: no longer managed; its credentials are revoked once the grace is over',
  });
  expect((await world.secrets.read('other'))?.state.removed).toMatchObject({
    credentials: 'revoke',
    by: 'token-ada',
  });
  expect((await run('list')).out).not.toContain('other');
  expect((await run('list', '--removed')).out).toMatch(/^other .* removed$/m);
  expect(await run('rotate', 'other')).toMatchObject(refused('managed_secret_removed'));
});

describe('supplying a value', () => {
  const MANUAL = { kind: 'manual', name: 'by-hand', publish: 'app/by-hand', grace: '1s', deadline: '1s' };
  beforeAll(async () => {
    const applied = await runWith(JSON.stringify(MANUAL), 'apply', '-f', '-');
    expect(applied.out).toBe('by-hand: created; it waits to be asked for');
  });

  it('takes it from standard input or a file, and never shows it', async () => {
    const said: Ran[] = [await runWith(`{"key":"${CANARY}"}`, 'supply', 'by-hand')];
    await work();
    expect((await world.secrets.read('by-hand'))?.state.history[0]).toMatchObject({
      reason: 'supplied',
      by: 'token-ada',
    });
    const file = path.join(folder, 'value.json');
    await writeFile(file, `{"key":"${CANARY}2"}`);
    said.push(await run('supply', 'by-hand', '--file', file));
    await work();

    expect((await world.secrets.read('by-hand'))?.state.cur?.g).toBe(2);
    said.push(await run('show', 'by-hand'), await run('history', 'by-hand'));
    expect(said.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(JSON.stringify(said)).not.toContain(CANARY);
  });

  it.each([
    ['no JSON', `key: ${CANARY}`, 'is not JSON'],
    ['a text', `"${CANARY}"`, 'expected an object'],
    ['nothing', '{}', 'expected at least one field'],
    ['empty', '', 'is not JSON'],
  ])('refuses what is %s, without showing it', async (_what, input, why) => {
    const answer = await runWith(input, 'supply', 'by-hand');
    expect(answer).toMatchObject(refused('supplied_value_unreadable'));
    expect(answer.error).toContain(why);
    expect(answer.error).not.toContain(CANARY);
  });

  it('is refused for another kind', async () => {
    expect(await runWith('{"key":"x"}', 'supply', 'app-database')).toMatchObject(
      refused('managed_secret_not_manual'),
    );
  });
});

it('acknowledges for a consumer, with its rights', async () => {
  const ack = ['ack', 'app-database', '--consumer', 'gateway', '--generation'];
  expect(await run(...ack, '2')).toMatchObject(refused('vault_denied'));
  expect(await runAs(world.rootToken, [...ack, '2'])).toMatchObject({
    code: 0,
    out: 'app-database: gateway has adopted generation 2',
  });
  expect((await runAs(world.rootToken, [...ack, '1'])).out).toBe(
    'app-database: gateway has already adopted the later generation 2',
  );
  expect((await world.store.read(acknowledgementPath('app-database', 'gateway'))).entry?.data).toEqual({
    generation: 2,
  });
});

it.each([
  [['pause', '../about']],
  [['show', 'App']],
  [['ack', 'app-database', '--consumer', 'gateway', '--generation', '0']],
  [['ack', 'app-database', '--consumer', 'a/b', '--generation', '1']],
  [['ack', 'app-database', '--generation', '1']],
  [['supply']],
])('%j is wrong usage', async (args) => {
  const { code, out } = await run(...args);
  expect([code, out]).toEqual([2, '']);
});

it('what is not there is said', async () => {
  for (const args of [
    ['pause'],
    ['resume'],
    ['rotate'],
    ['show'],
    ['history'],
    ['remove', '--credentials', 'keep'],
  ]) {
    const [command = '', ...more] = args;
    expect(await run(command, 'absent', ...more)).toMatchObject(refused('managed_secret_unknown'));
  }
});
