import pLimit from 'p-limit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LeasekeeperError } from '../../../lib/errors.ts';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { kinds } from '../../../lib/rotation/rotators/kinds.ts';
import { firstAttempt } from '../../kinds/acting.ts';
import { type PreparedStatic, prepareStatic } from '../../kinds/database-static.ts';
import { Interruption } from '../../kinds/interrupted-worker.ts';
import { ask, documentOf, firstGeneration, publishedValue, rotateOnce } from '../../kinds/rotating.ts';
import { createWorld, openWorld, type World, type WorldDescription } from '../../support/world.ts';

const HOUR_MS = 3_600_000;
const AT_ONCE = 3;
/** More calls than a rotation has. */
const MOST_CALLS = 34;

let described: WorldDescription;
let world: World;
let prepared: PreparedStatic;

beforeAll(async () => {
  described = await createWorld();
  world = openWorld(described);
  prepared = await prepareStatic(world);
});
afterAll(async () => {
  await prepared.close();
  await world.close();
});

describe('a worker that comes late', () => {
  const kind = kinds['database-static'];
  const rotatedAt = async (role: string) => (await prepared.roles.read(role))?.rotatedAt;

  async function generation(name: string) {
    await prepared.specify(name);
    const spec = kind.schema.parse(prepared.specification(name));
    const attempt = firstAttempt(spec);
    const { handle } = await kind.open(world.rotators).create(attempt);
    return { attempt, handle, role: String(handle.role) };
  }

  it('changes no password once its claim has ended', async () => {
    const { attempt, handle, role } = await generation('unclaimed');
    const before = await rotatedAt(role);
    const lost = () => {
      throw new LeasekeeperError('rotation_claim_lost', 'Lost.');
    };
    const applied = kind
      .open(world.rotators)
      .apply?.({ ...attempt, assertClaimed: lost }, handle, async () => undefined);
    await expect(applied).rejects.toMatchObject({ code: 'rotation_claim_lost' });
    expect(await rotatedAt(role)).toBe(before);
  });

  it('ends no password by what Vault told it long ago', async () => {
    const { attempt, handle, role } = await generation('stale');
    const made = await kind.open(world.rotators).apply?.(attempt, handle, async () => undefined);
    const before = await rotatedAt(role);
    const ended = {
      name: 'stale',
      generation: 1,
      handle: made ?? handle,
      published: { path: 'app/stale', version: 1 },
    };
    let clock = 0;
    const asleep = { ...world.rotators, now: () => (clock += 61_000) };
    await expect(kind.open(asleep).revoke?.(ended)).rejects.toMatchObject({
      code: 'static_role_answer_late',
    });
    expect(await rotatedAt(role)).toBe(before);
    await kind.open(world.rotators).revoke?.(ended);
    expect(await rotatedAt(role)).not.toBe(before);
  });
});

function open(clock: { readonly ahead: number }, sleep?: Interruption): World {
  return openWorld(described, { now: () => Date.now() + clock.ahead, onError: () => {}, ...sleep?.options });
}

/** Undefined: the rotation has no such call. Else the call, and whether the current generation worked right after the sleeper did it. */
async function sleepsBefore(call: number, rotations: number) {
  const name = `s-${rotations}-${call}`;
  const clock = { ahead: 0 };
  const sleep = new Interruption({ call, when: 'before' });
  const others = open(clock);
  const sleeper = open(clock, sleep);
  const works = async () => prepared.logsIn((await publishedValue(others, name)) ?? {});
  try {
    await firstGeneration(others, prepared, name);
    await ask(others, name, { reason: 'demand' });
    const working = rotateSecret(sleeper.rotate, name).catch(() => undefined);
    const slept = await Promise.race([sleep.stopped.then(() => true), working.then(() => false)]);
    if (!slept) return undefined;
    clock.ahead += HOUR_MS;
    await rotateSecret(others.rotate, name);
    for (let rotation = 1; rotation < rotations; rotation += 1) {
      clock.ahead += HOUR_MS;
      await rotateOnce(others, prepared, name);
    }
    const published = await publishedValue(others, name);
    expect({ call, works: await works() }).toEqual({ call, works: true });
    sleep.wake();
    await working;
    expect({ call, value: await publishedValue(others, name) }).toEqual({ call, value: published });
    const worked = await works();
    clock.ahead += HOUR_MS;
    await rotateSecret(others.rotate, name);
    const { state } = await documentOf(others, name);
    expect({ call, phase: state.phase, retiring: state.retiring }).toEqual({
      call,
      phase: 'idle',
      retiring: [],
    });
    expect({ call, mended: await works() }).toEqual({ call, mended: true });
    return { label: sleep.label.replaceAll(name, '<name>').replace(/^.*rotate-role/, 'rotate-role'), worked };
  } finally {
    sleep.wake();
    await others.close();
    await sleeper.close();
  }
}

/** The one thing that Vault cannot fence: a rotation that was sent long ago may hit the role of a generation that is current by now. */
it.each([
  { rotations: 1, hit: ['rotate-role/<name>-b'] },
  { rotations: 2, hit: ['rotate-role/<name>-a'] },
])(
  'asleep at any call while others rotate $rotations times: what breaks is found and mended',
  async ({ rotations, hit }) => {
    const limit = pLimit(AT_ONCE);
    const calls = Array.from({ length: MOST_CALLS }, (_, index) => index + 1);
    const slept = (await Promise.all(calls.map((call) => limit(() => sleepsBefore(call, rotations))))).filter(
      (one) => one !== undefined,
    );
    expect(slept.length).toBeGreaterThan(25);
    expect(slept.length).toBeLessThan(MOST_CALLS);
    expect(slept.filter(({ worked }) => !worked).map(({ label }) => label)).toEqual(hit);
    console.log(
      `asleep before each of ${slept.length} calls, ${rotations} rotations by others: ${hit.length} broke the current generation, mended by the next look`,
    );
  },
  240_000,
);
