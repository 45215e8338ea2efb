import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { writeAcknowledgement } from '../../../lib/vault/acknowledgements.ts';
import type { PreparedKind } from '../../kinds/kind-case.ts';
import { leaseCase } from '../../kinds/lease.ts';
import { documentOf, firstGeneration, publishedValue, rotateOnce } from '../../kinds/rotating.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

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

/** A secret at generation 2, with generation 1 on its way out: a minute of grace, a day until the deadline. */
async function replaced(name: string, changes: Readonly<Record<string, unknown>>) {
  await firstGeneration(world, prepared, name, { grace: '1m', deadline: '1d', ...changes });
  const old = await publishedValue(world, name);
  await rotateOnce(world, prepared, name);
  return old;
}

async function visit(name: string, at: number) {
  later = at;
  await rotateSecret(world.rotate, name);
  return (await documentOf(world, name)).state;
}

const lastTold = (name: string) =>
  world.published.filter((event) => 'name' in event.data && event.data.name === name).at(-1);

describe('with named consumers', () => {
  const consumers = ['one', 'two'];

  it('the old generation goes when all have acknowledged, and not before', async () => {
    const old = await replaced('acknowledged', { consumers });
    expect((await visit('acknowledged', HOUR)).retiring).toMatchObject([{ g: 1 }]);
    await writeAcknowledgement(world.store, 'acknowledged', 'one', 2);
    // Somebody sends a worker: it looks at once.
    expect(await visit('acknowledged', HOUR + 1)).toMatchObject({
      retiring: [{ g: 1 }],
      acks: { one: 2, two: 0 },
    });
    await writeAcknowledgement(world.store, 'acknowledged', 'two', 2);
    expect((await visit('acknowledged', HOUR + 2)).retiring).toEqual([]);
    expect(await prepared.works('acknowledged', old)).toBe(false);
    expect(lastTold('acknowledged')).toMatchObject({
      type: 'secret.retired',
      data: { reason: 'adopted', not_adopted_by: [] },
    });
  });

  it('never before the grace is over', async () => {
    const old = await replaced('eager', { consumers });
    for (const consumer of consumers) await writeAcknowledgement(world.store, 'eager', consumer, 2);
    expect((await visit('eager', 30_000)).retiring).toMatchObject([{ g: 1 }]);
    expect(await prepared.works('eager', old)).toBe(true);
    expect((await visit('eager', 61_000)).retiring).toEqual([]);
  });

  it('what is acknowledged before it is there counts for nothing, then or later', async () => {
    await firstGeneration(world, prepared, 'ahead', { grace: '0s', deadline: '1d', consumers: ['one'] });
    await writeAcknowledgement(world.store, 'ahead', 'one', 2);
    // Vault writes down when a document was written: our clock goes on, its clock does not.
    later = MINUTE;
    await rotateOnce(world, prepared, 'ahead');
    expect((await visit('ahead', HOUR)).retiring).toMatchObject([{ g: 1 }]);
  });

  it('goes at the deadline all the same, and it is said who had not moved', async () => {
    await replaced('late', { consumers });
    await writeAcknowledgement(world.store, 'late', 'one', 2);
    expect((await visit('late', 23 * HOUR)).retiring).toMatchObject([{ g: 1 }]);
    expect((await visit('late', 25 * HOUR)).retiring).toEqual([]);
    expect(lastTold('late')).toMatchObject({ data: { reason: 'deadline', not_adopted_by: ['two'] } });
  });

  it('stays past the deadline where it is to, which is told once', async () => {
    const old = await replaced('kept', { consumers, at_deadline: 'keep' });
    for (const at of [25 * HOUR, 26 * HOUR, 50 * HOUR]) {
      expect((await visit('kept', at)).retiring).toMatchObject([{ g: 1, overdue: true }]);
    }
    expect(await prepared.works('kept', old)).toBe(true);
    const told = world.published.filter(({ type }) => type === 'secret.retire_overdue');
    expect(told).toMatchObject([{ data: { name: 'kept', not_adopted_by: ['one', 'two'] } }]);
    for (const consumer of consumers) await writeAcknowledgement(world.store, 'kept', consumer, 2);
    expect((await visit('kept', 51 * HOUR)).retiring).toEqual([]);
  });

  it('looks by itself, ever more rarely the longer the deadline', async () => {
    await replaced('watched', { consumers });
    const { retiring } = await visit('watched', 2 * MINUTE);
    const { due } = (await rotateSecret(world.rotate, 'watched')) ?? {};
    expect(retiring[0]?.lookAt).toBeGreaterThan(world.now() + 5 * MINUTE);
    expect(due).toBeLessThanOrEqual(retiring[0]?.lookAt ?? 0);
  });
});

it('with evidence, it goes once no session of the old user has been seen for long enough', async () => {
  const evidence = { kind: 'postgres_sessions', ...world.postgres, tls: false, idle_for: '10m' };
  const old = await replaced('sessions', { evidence });
  const session = new Client({
    ...world.postgres,
    user: String(old?.username),
    password: String(old?.password),
  });
  session.on('error', () => {});
  await session.connect();
  for (const at of [HOUR, 2 * HOUR]) {
    expect((await visit('sessions', at)).retiring).toMatchObject([{ g: 1 }]);
  }
  await session.end();
  const { retiring } = await visit('sessions', 3 * HOUR);
  expect(retiring).toMatchObject([{ g: 1, idleSince: expect.any(Number) }]);
  expect((await visit('sessions', 3 * HOUR + 9 * MINUTE)).retiring).toHaveLength(1);
  expect((await visit('sessions', 3 * HOUR + 11 * MINUTE)).retiring).toEqual([]);
  expect(lastTold('sessions')).toMatchObject({ data: { reason: 'idle' } });
});

it('evidence that cannot be had is none', async () => {
  const evidence = { kind: 'postgres_sessions', ...world.postgres, port: 9, tls: false, idle_for: '1m' };
  const old = await replaced('unasked', { evidence });
  for (const at of [HOUR, 2 * HOUR, 3 * HOUR]) {
    expect((await visit('unasked', at)).retiring).toMatchObject([{ g: 1 }]);
  }
  expect(await prepared.works('unasked', old)).toBe(true);
});

it('keeps a history: why, by whom, how long each step took, and what became of it', async () => {
  await replaced('past', {});
  await rotateOnce(world, prepared, 'past', { reason: 'leak', by: 'ann' });
  const { history } = await visit('past', MINUTE);
  expect(history).toMatchObject([
    { g: 3, reason: 'leak', by: 'ann', failures: 0 },
    { g: 2, reason: 'demand', retiredBecause: 'leak' },
    { g: 1, reason: 'first', retiredBecause: 'leak' },
  ]);
  for (const { took, begun, promoted } of history) {
    expect(Object.keys(took).toSorted()).toEqual(['create', 'keep', 'promote', 'test']);
    expect(Object.values(took).reduce((sum, ms) => sum + ms, 0)).toBe(promoted - begun);
  }
});
