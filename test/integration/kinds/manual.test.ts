import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { suppliedPath } from '../../../lib/rotation/rotators/supplied-value.ts';
import type { SpecificationInput } from '../../../lib/rotation/specification.ts';
import { attemptAt, rotatorIn } from '../../kinds/acting.ts';
import { supply, waitingFor } from '../../kinds/manual.ts';
import { isReadable } from '../../kinds/published-versions.ts';
import { ask, documentOf, publishedValue } from '../../kinds/rotating.ts';
import { adminOf } from '../../support/admin.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A test that no value passes. */
const IMPOSSIBLE = {
  kind: 'http' as const,
  url: 'http://127.0.0.1:9/',
  insecure_http: true,
  headers: { 'x-test': '{{no_such_field}}' },
};

let world: World;
/** Added to the clock. */
let later = 0;
const faults: unknown[] = [];

beforeAll(async () => {
  world = openWorld(await createWorld(), {
    now: () => Date.now() + later,
    onError: (error) => faults.push(error),
  });
});
beforeEach(() => {
  later = 0;
  faults.length = 0;
});
afterAll(() => world.close());

function specify(name: string, changes: object = {}): SpecificationInput {
  return { kind: 'manual', name, publish: `app/${name}`, grace: '0s', deadline: '0s', ...changes };
}

/** What a person does: the value first, then the demand. */
async function supplied(name: string, value?: Readonly<Record<string, unknown>>): Promise<void> {
  await supply(world, name, value);
  await ask(world, name, { reason: 'supplied', by: 'somebody' });
}

async function first(name: string, value: Readonly<Record<string, unknown>>, changes: object = {}) {
  await world.secrets.apply(specify(name, changes));
  await supplied(name, value);
  await rotateSecret(world.rotate, name);
}

const failuresOf = (name: string) =>
  world.published.flatMap(({ type, data }) =>
    type === 'secret.rotation_failed' && 'name' in data && data.name === name ? [data] : [],
  );

describe('with nothing supplied', () => {
  it('a new secret waits for somebody, and nobody is told', async () => {
    await world.secrets.apply(specify('waits'));
    later = 30 * DAY_MS;
    const report = await rotateSecret(world.rotate, 'waits');
    expect(report).toMatchObject({ due: undefined, steps: [] });
    expect(failuresOf('waits')).toEqual([]);
  });

  it('a schedule reminds once a day, and what is supplied then is taken at once', async () => {
    await first('reminds', { key: 'one' }, { schedule: { every: '30d' } });
    later = 31 * DAY_MS;
    await rotateSecret(world.rotate, 'reminds');
    expect(failuresOf('reminds')).toMatchObject([{ step: 'create', code: 'manual_value_missing' }]);
    later += 23 * HOUR_MS;
    await rotateSecret(world.rotate, 'reminds');
    expect(failuresOf('reminds')).toHaveLength(1);
    later += 2 * HOUR_MS;
    await rotateSecret(world.rotate, 'reminds');
    expect(failuresOf('reminds')).toHaveLength(2);
    expect(await publishedValue(world, 'reminds')).toEqual({ key: 'one' });

    await supplied('reminds', { key: 'two' });
    await rotateSecret(world.rotate, 'reminds');
    expect(await publishedValue(world, 'reminds')).toEqual({ key: 'two' });
    expect((await documentOf(world, 'reminds')).state).toMatchObject({ failures: 0, cur: { g: 2 } });
  });
});

describe('what was supplied', () => {
  it('is published as it is, however deep, and no longer where it waited', async () => {
    const value = { user: 'partner', keys: [{ id: 1, text: 'a' }], limits: { daily: null, open: true } };
    await first('deep', value);
    expect(await publishedValue(world, 'deep')).toEqual(value);
    expect(await waitingFor(world, 'deep')).toEqual([]);
    expect(await world.store.list('pending/deep')).toEqual([]);
  });

  it('is the last of several, and those before it go', async () => {
    await world.secrets.apply(specify('several'));
    const now = Date.now();
    await supply(world, 'several', { key: 'third' }, now + 2);
    await supply(world, 'several', { key: 'first' }, now);
    await supply(world, 'several', { key: 'second' }, now + 1);
    await ask(world, 'several', { reason: 'supplied' });
    await rotateSecret(world.rotate, 'several');
    expect(await publishedValue(world, 'several')).toEqual({ key: 'third' });
    expect(await waitingFor(world, 'several')).toEqual([]);
  });

  it('stays for the next rotation when it came after one was taken', async () => {
    await world.secrets.apply(specify('after'));
    const rotator = rotatorIn(world, 'manual');
    const attempt = attemptAt(specify('after'));
    const now = Date.now();
    await supply(world, 'after', { key: 'one' }, now);
    const { handle, value } = await rotator.create(attempt);
    expect(value).toEqual({ key: 'one' });
    const next = await supply(world, 'after', { key: 'two' }, now + 1);
    expect(await rotator.keep?.(attempt, handle)).toBe(true);
    expect(await waitingFor(world, 'after')).toEqual([next]);
    // Again, by a worker that slept.
    expect(await rotator.keep?.(attempt, handle)).toBe(true);
    expect(await waitingFor(world, 'after')).toEqual([next]);
  });

  it('while a rotation is under way gets one of its own', async () => {
    await world.secrets.apply(specify('under-way'));
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const slow = openWorld(world, {
      transport: (real) => ({
        exchange: async (request) => {
          if (request.method === 'PUT' && request.path.includes('/app/data/under-way')) {
            reached.resolve();
            await held.promise;
          }
          return real.exchange(request);
        },
        close: () => real.close(),
      }),
    });
    await supplied('under-way', { key: 'one' });
    const working = rotateSecret(slow.rotate, 'under-way');
    await reached.promise;
    await supplied('under-way', { key: 'two' });
    held.resolve();
    await working;
    await slow.close();
    await rotateSecret(world.rotate, 'under-way');
    expect(await publishedValue(world, 'under-way')).toEqual({ key: 'two' });
    expect((await documentOf(world, 'under-way')).state).toMatchObject({ cur: { g: 2 }, failures: 0 });
  });

  it('may be taken back before it is used, which leaves what was supplied before it', async () => {
    await first('taken-back', { key: 'one' });
    const now = Date.now();
    await supply(world, 'taken-back', { key: 'two' }, now);
    const takeBack = async (value: Readonly<Record<string, unknown>>, at: number) => {
      const id = await supply(world, 'taken-back', value, at);
      const path = `${world.stateMount}/data/${suppliedPath('taken-back', id)}`;
      await adminOf(world).request('DELETE', path);
      await ask(world, 'taken-back', { reason: 'demand' });
      await rotateSecret(world.rotate, 'taken-back');
    };
    await takeBack({ key: 'three' }, now + 1);
    expect(await publishedValue(world, 'taken-back')).toEqual({ key: 'two' });
    await takeBack({ key: 'four' }, now + 2);
    expect(failuresOf('taken-back')).toMatchObject([{ code: 'manual_value_missing' }]);
    expect(await publishedValue(world, 'taken-back')).toEqual({ key: 'two' });
  });

  it('is refused when it cannot be used, of which nothing is told but why', async () => {
    await first('invalid', { key: 'one' });
    await supply(world, 'invalid', { key: 'sesame'.repeat(12_000) });
    await ask(world, 'invalid', { reason: 'supplied' });
    await rotateSecret(world.rotate, 'invalid');
    expect(failuresOf('invalid')).toMatchObject([{ step: 'create', code: 'manual_value_invalid' }]);
    const { state } = await documentOf(world, 'invalid');
    expect((state.due ?? 0) - world.now()).toBeGreaterThan(DAY_MS - HOUR_MS);
    expect(faults.map(String).join()).toContain('65536 bytes');
    expect(JSON.stringify([state, faults.map(String)])).not.toContain('sesame');
    // The next one takes its place.
    await supplied('invalid', { key: 'two' });
    await rotateSecret(world.rotate, 'invalid');
    expect(await publishedValue(world, 'invalid')).toEqual({ key: 'two' });
    expect(await waitingFor(world, 'invalid')).toEqual([]);
  });

  it('is gone when it fails its test: the current one stays, and another must be supplied', async () => {
    await first('fails', { key: 'one' });
    await world.secrets.apply(specify('fails', { test: IMPOSSIBLE }));
    await supplied('fails', { key: 'two' });
    await rotateSecret(world.rotate, 'fails');
    expect(await publishedValue(world, 'fails')).toEqual({ key: 'one' });
    expect(await waitingFor(world, 'fails')).toEqual([]);
    expect(await world.store.list('pending/fails')).toEqual([]);
    later = HOUR_MS;
    await rotateSecret(world.rotate, 'fails');
    expect(failuresOf('fails').map(({ step }) => step)).toEqual(['test', 'create']);
  });
});

describe('retiring', () => {
  it.each([
    ['destroy', false],
    ['nothing', true],
  ])('by %s: whether the old value can still be read is %s', async (revoke_by, readable) => {
    const name = `by-${revoke_by}`;
    await first(name, { key: 'one' }, { revoke_by });
    await supplied(name, { key: 'two' });
    await rotateSecret(world.rotate, name);
    expect((await documentOf(world, name)).state).toMatchObject({ cur: { g: 2 }, retiring: [] });
    expect(await isReadable(world, name, { key: 'one' })).toBe(readable);
    expect(await isReadable(world, name, { key: 'two' })).toBe(true);
  });

  it('goes by what was specified when the value was taken', async () => {
    await first('changed', { key: 'one' }, { revoke_by: 'nothing' });
    await world.secrets.apply(specify('changed', { revoke_by: 'destroy' }));
    await supplied('changed', { key: 'two' });
    await rotateSecret(world.rotate, 'changed');
    expect(await isReadable(world, 'changed', { key: 'one' })).toBe(true);
  });
});
