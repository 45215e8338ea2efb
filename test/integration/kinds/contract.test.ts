import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { kinds } from '../../../lib/rotation/rotators/kinds.ts';
import { removed } from '../../../lib/rotation/upkeep.ts';
import { kindCases } from '../../kinds/cases.ts';
import type { PreparedKind } from '../../kinds/kind-case.ts';
import {
  ask,
  changed,
  documentOf,
  firstGeneration,
  knownCredentials,
  publishedValue,
  rotateOnce,
} from '../../kinds/rotating.ts';
import { until } from '../../support/until.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

/** A test that no value passes. */
const IMPOSSIBLE = {
  kind: 'http' as const,
  url: 'http://127.0.0.1:9/',
  insecure_http: true,
  headers: { 'x-test': '{{no_such_field}}' },
};

it('has a case for every kind', () => {
  expect(kindCases.map(({ kind }) => kind).sort()).toEqual(Object.keys(kinds).sort());
});

describe.each(kindCases.map((one) => [one.kind, one] as const))('kind %s', (_kind, one) => {
  let world: World;
  let prepared: PreparedKind;
  const names: string[] = [];
  /** Added to the clock: past claims and backoffs. */
  let later = 0;
  const faults: unknown[] = [];

  beforeAll(async () => {
    world = openWorld(await createWorld(), {
      now: () => Date.now() + later,
      onError: (error) => faults.push(error),
    });
    prepared = await one.prepare(world);
  });
  beforeEach(() => {
    later = 0;
    faults.length = 0;
  });
  afterAll(async () => {
    await prepared.close();
    await world.close();
  });

  const first = async (name: string, changes = {}) => {
    names.push(name);
    await firstGeneration(world, prepared, name, changes);
  };
  const works = async (name: string) => prepared.works(name, await publishedValue(world, name));
  /** Every credential that lives is one that a state knows, once abandoned attempts have ended. */
  const settled = async () =>
    until(
      async () => (await prepared.live()).join() === (await knownCredentials(world, prepared, names)).join(),
      20_000,
    );
  const eventsOf = (name: string) =>
    world.published.filter((event) => 'name' in event.data && event.data.name === name);

  it('makes a first generation that works', async () => {
    await first('first');
    const { state } = await documentOf(world, 'first');
    expect(state).toMatchObject({ phase: 'idle', cur: { g: 1, kind: one.kind }, retiring: [], outbox: {} });
    expect(await works('first')).toBe(true);
    expect(eventsOf('first').map(({ type }) => type)).toEqual(['secret.rotated']);
    await settled();
  });

  it('replaces it, keeps the old one through its grace, then ends it', async () => {
    await first('replaced', { grace: '60s', deadline: '60s' });
    const before = await publishedValue(world, 'replaced');
    await rotateOnce(world, prepared, 'replaced');
    expect((await documentOf(world, 'replaced')).state).toMatchObject({ phase: 'idle', cur: { g: 2 } });
    expect(await works('replaced')).toBe(true);
    if (one.overlaps) expect(await prepared.works('replaced', before)).toBe(true);
    later = 61_000;
    await rotateSecret(world.rotate, 'replaced');
    expect((await documentOf(world, 'replaced')).state.retiring).toEqual([]);
    expect(await works('replaced')).toBe(true);
    if (one.ends) expect(await prepared.works('replaced', before)).toBe(false);
    expect(eventsOf('replaced').map(({ type }) => type)).toEqual([
      'secret.rotated',
      'secret.rotated',
      'secret.retired',
    ]);
    await settled();
  });

  it('undoes a generation that fails its test, and keeps the current one', async () => {
    await first('undone');
    const before = await publishedValue(world, 'undone');
    const { state } = await documentOf(world, 'undone');
    // Kinds that publish nothing have no value to try.
    if (before === undefined) return;
    await world.secrets.apply(changed(await prepared.specify('undone'), { test: IMPOSSIBLE }));
    await rotateOnce(world, prepared, 'undone');
    const after = (await documentOf(world, 'undone')).state;
    expect(after).toMatchObject({ phase: 'idle', failures: 1, retiring: [], cur: { g: 1, h: state.cur?.h } });
    expect(await publishedValue(world, 'undone')).toEqual(before);
    expect(await prepared.works('undone', before)).toBe(true);
    expect(eventsOf('undone').at(-1)).toMatchObject({
      type: 'secret.rotation_failed',
      data: { step: 'test', failures: 1 },
    });
    await settled();
  });

  it('ends a leaked generation at once, however long its grace', async () => {
    await first('leaked', { grace: '1h', deadline: '1h' });
    const before = await publishedValue(world, 'leaked');
    await rotateOnce(world, prepared, 'leaked', { reason: 'leak' });
    expect((await documentOf(world, 'leaked')).state).toMatchObject({ cur: { g: 2 }, retiring: [] });
    expect(await works('leaked')).toBe(true);
    if (one.ends) expect(await prepared.works('leaked', before)).toBe(false);
    expect(eventsOf('leaked').at(-1)).toMatchObject({ type: 'secret.retired', data: { reason: 'leak' } });
  });

  it('rotates once, however many workers come at once', async () => {
    await first('raced');
    await prepared.beforeRotation?.('raced');
    await ask(world, 'raced', { reason: 'demand' });
    await Promise.allSettled(Array.from({ length: 10 }, () => rotateSecret(world.rotate, 'raced')));
    // Whoever lost its race has left the rest to the one that has the claim.
    later = 1_000_000;
    await rotateSecret(world.rotate, 'raced');
    expect((await documentOf(world, 'raced')).state).toMatchObject({
      phase: 'idle',
      cur: { g: 2 },
      retiring: [],
    });
    expect(await works('raced')).toBe(true);
    await settled();
  });

  it('finds what was changed behind our back, tells it, and mends it', async () => {
    const { disturb } = prepared;
    if (disturb === undefined) return;
    await first('drifted');
    const { state } = await documentOf(world, 'drifted');
    const what = await disturb('drifted', state.cur?.h ?? {});
    await prepared.beforeRotation?.('drifted');
    later = 3_700_000;
    await rotateSecret(world.rotate, 'drifted');
    expect(
      eventsOf('drifted').map(({ type, data }) => [type, 'what' in data ? data.what : '']),
    ).toContainEqual(['secret.drift', what]);
    expect((await documentOf(world, 'drifted')).state.cur?.g).toBe(2);
    expect(await works('drifted')).toBe(true);
  });

  it('ends everything when it is removed so', async () => {
    await first('removed');
    const before = await publishedValue(world, 'removed');
    await world.secrets.change('removed', (state) => removed(state, 'revoke', 'somebody', world.now()));
    await rotateSecret(world.rotate, 'removed');
    const { state } = await documentOf(world, 'removed');
    expect(state).toMatchObject({ phase: 'idle', retiring: [] });
    expect(state.cur).toBeUndefined();
    if (one.ends) expect(await prepared.works('removed', before)).toBe(false);
    expect(eventsOf('removed').map(({ type }) => type)).toEqual([
      'secret.rotated',
      'secret.removed',
      'secret.retired',
    ]);
    await settled();
  });

  it('puts no value into documents and events', async () => {
    await first('quiet', { grace: '1h', deadline: '1h' });
    await rotateOnce(world, prepared, 'quiet');
    const value = await publishedValue(world, 'quiet');
    const { state, input } = await documentOf(world, 'quiet');
    const written = JSON.stringify([state, input, eventsOf('quiet'), faults.map(String)]);
    for (const secret of secretsIn(value)) expect(written).not.toContain(secret);
    expect(await world.store.list('pending/quiet')).toEqual([]);
  });
});

/** What of a value is secret: long strings that are no name. */
function secretsIn(value: Readonly<Record<string, unknown>> = {}): readonly string[] {
  return Object.entries(value)
    .filter(([key]) => /password|secret|key|token/i.test(key) && !/_id$|_type$|_accessor$/.test(key))
    .map(([, one]) => one)
    .filter((one) => typeof one === 'string' && one.length > 8)
    .map(String);
}
