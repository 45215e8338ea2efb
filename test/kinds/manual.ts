import { randomBytes } from 'node:crypto';
import { ulid } from 'ulid';
import { suppliedFolder, suppliedPath } from '../../lib/rotation/rotators/supplied-value.ts';
import type { World } from '../support/world.ts';
import type { KindCase } from './kind-case.ts';
import { destroyCurrent, isReadable } from './published-versions.ts';

/** A person supplies a value; some other than before when none is given. Returns its id. */
export async function supply(
  world: World,
  name: string,
  value: Readonly<Record<string, unknown>> = { user: 'partner', password: randomBytes(16).toString('hex') },
  at: number = Date.now(),
): Promise<string> {
  const id = ulid(at);
  await world.store.write(suppliedPath(name, id), { value }, 0);
  return id;
}

/** The supplied values of a secret that wait. */
export async function waitingFor(world: World, name: string): Promise<readonly string[]> {
  return world.store.list(suppliedFolder(name));
}

export const manualCase: KindCase = {
  kind: 'manual',
  overlaps: true,
  ends: true,
  prepare: async (world) => ({
    specify: async (name) => ({
      kind: 'manual',
      name,
      publish: `app/${name}`,
      grace: '0s',
      deadline: '0s',
    }),
    beforeRotation: async (name) => {
      await supply(world, name);
    },
    works: (name, value) => isReadable(world, name, value),
    // Nothing lives outside the published path.
    live: async () => [],
    disturb: async (name) => {
      await destroyCurrent(world, name);
      return 'published_value_missing';
    },
    close: async () => {},
  }),
};
