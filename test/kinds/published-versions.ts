import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import type { Value } from '../../lib/rotation/rotators/rotator.ts';
import { joinPath } from '../../lib/vault/addressing.ts';
import { KvStore } from '../../lib/vault/kv-store.ts';
import { adminOf } from '../support/admin.ts';
import type { World } from '../support/world.ts';
import { documentOf } from './rotating.ts';

const metadataSchema = z.object({ data: z.object({ versions: z.record(z.string(), z.unknown()) }) });

/** The KV mount and the path within it where a secret is published. */
async function placeOf(world: World, name: string) {
  const { spec } = await documentOf(world, name);
  const full = joinPath(world.namespace, spec.publish ?? '');
  const { path: mount } = await world.mounts.find(full);
  return { mount, path: full.slice(mount.length + 1) };
}

/** The values that somebody who may read all versions of a secret still gets, oldest first. */
export async function readableValues(world: World, name: string): Promise<readonly Value[]> {
  const { mount, path } = await placeOf(world, name);
  const store = new KvStore(world.vault, mount);
  const { data } = await adminOf(world).read(metadataSchema, 'GET', `${mount}/metadata/${path}`);
  const numbers = Object.keys(data.versions)
    .map(Number)
    .sort((a, b) => a - b);
  const read = await Promise.all(numbers.map((version) => store.read(path, { version })));
  return read.flatMap(({ entry }) => (entry === undefined ? [] : [entry.data]));
}

/** For kinds whose values live nowhere else: whether one can still be read. */
export async function isReadable(world: World, name: string, value: Value | undefined): Promise<boolean> {
  return (await readableValues(world, name)).some((one) => isDeepStrictEqual(one, value));
}

/** Somebody destroys the version that is current. */
export async function destroyCurrent(world: World, name: string): Promise<void> {
  const { mount, path } = await placeOf(world, name);
  const version = await new KvStore(world.vault, mount).version(path);
  await adminOf(world).request('PUT', `${mount}/destroy/${path}`, { versions: [version] });
}
