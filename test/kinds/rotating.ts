import { LeasekeeperError } from '../../lib/errors.ts';
import { type EngineReport, rotateSecret } from '../../lib/rotation/engine.ts';
import type { ManagedSecret } from '../../lib/rotation/managed-secrets.ts';
import { publishedAt } from '../../lib/rotation/published-path.ts';
import type { Value } from '../../lib/rotation/rotators/rotator.ts';
import type { SpecificationInput } from '../../lib/rotation/specification.ts';
import { type Demand, demanded } from '../../lib/rotation/upkeep.ts';
import type { World } from '../support/world.ts';
import type { PreparedKind } from './kind-case.ts';

/** The document of a secret that is there. */
export async function documentOf(world: World, name: string): Promise<ManagedSecret> {
  const secret = await world.secrets.read(name);
  if (secret === undefined) throw new LeasekeeperError('test_no_secret', `${name} is not managed.`);
  return secret;
}

/** What is published of a secret now; undefined for kinds that publish nothing. */
export async function publishedValue(world: World, name: string): Promise<Value | undefined> {
  const { spec } = await documentOf(world, name);
  if (spec.publish === undefined) return undefined;
  const { store, path } = await publishedAt(world.rotate, spec.publish);
  return (await store.read(path)).entry?.data;
}

/** A specification with other fields. Whether they fit is found out when it is applied. */
export function changed(
  input: SpecificationInput,
  changes: Readonly<Record<string, unknown>>,
): SpecificationInput {
  return { ...input, ...changes };
}

/** Specifies a secret and brings it to generation 1. */
export async function firstGeneration(
  world: World,
  prepared: PreparedKind,
  name: string,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<void> {
  const specified = changed(await prepared.specify(name), changes);
  await prepared.beforeRotation?.(name);
  await world.secrets.apply(specified);
  // Kinds that have nothing to begin with begin when they are asked.
  await ask(world, name, { reason: 'first' });
  await rotateSecret(world.rotate, name);
}

export async function ask(world: World, name: string, demand: Demand): Promise<void> {
  await world.secrets.change(name, (state) => demanded(state, demand, world.now()));
}

/** Asks for a rotation and carries it out. */
export async function rotateOnce(
  world: World,
  prepared: PreparedKind,
  name: string,
  demand: Demand = { reason: 'demand' },
): Promise<EngineReport | undefined> {
  await prepared.beforeRotation?.(name);
  await ask(world, name, demand);
  return rotateSecret(world.rotate, name);
}

/** The ids of all credentials that the states of these secrets know. */
export async function knownCredentials(
  world: World,
  prepared: PreparedKind,
  names: readonly string[],
): Promise<readonly string[]> {
  const { idOf } = prepared;
  if (idOf === undefined) return [];
  const secrets = await Promise.all(names.map((name) => documentOf(world, name)));
  const handles = secrets.flatMap(({ state }) => [
    ...(state.cur === undefined ? [] : [state.cur.h]),
    ...state.retiring.map(({ h }) => h),
  ]);
  return handles
    .map((handle) => idOf(handle))
    .filter((id) => id !== undefined)
    .sort();
}
