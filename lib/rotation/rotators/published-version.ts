import { LeasekeeperError } from '../../errors.ts';
import { joinPath, within } from '../../vault/addressing.ts';
import { KvVersions } from '../../vault/kv-versions.ts';
import { generationOf, managedNameIn } from '../../vault/published-generation.ts';
import type { Right, RotatorDependencies } from './kind.ts';
import type { Ended } from './rotator.ts';

/**
 * For values that live nowhere but where they are published: a generation ends when its KV version is destroyed, so that no reader gets
 * it any more.
 */

type PublishedDependencies = Pick<RotatorDependencies, 'vault' | 'mounts' | 'namespace'>;

/** What `rotate` needs to destroy versions at `publish`. To read their metadata is part of publishing. */
export function destroyRight(publish: string): Right {
  return { path: publish, under: 'kv-destroy', capabilities: ['update'] };
}

/**
 * Destroys the version that a generation was published as, and no other. Whoever deletes the metadata of a path has KV count from 1
 * again: a number alone does not say whose a version is. Throws `published_version_unrecognised`.
 */
export async function destroyPublished(
  deps: PublishedDependencies,
  { name, generation, published }: Ended,
): Promise<void> {
  if (published === undefined) return;
  const { versions, path } = await versionsAt(deps, published.path);
  const found = await versions.look(path, published.version);
  if (found.state === 'missing' || found.state === 'destroyed') return;
  const held = generationOf(found.customMetadata, published.version);
  // The number is in use anew, so the version that was ours is gone.
  if (held !== undefined && held !== generation) return;
  const ours = held === generation && managedNameIn(found.customMetadata) === name;
  if (found.current && !ours) throw unrecognised(published.path, published.version);
  await versions.destroy(path, published.version);
}

/** For `inspect`: somebody has deleted or destroyed the version that consumers are to read. */
export async function inspectPublished(
  deps: PublishedDependencies,
  { published }: Ended,
): Promise<string | undefined> {
  if (published === undefined) return undefined;
  const { versions, path } = await versionsAt(deps, published.path);
  const { state } = await versions.look(path, published.version);
  return state === 'readable' ? undefined : 'published_value_missing';
}

async function versionsAt({ vault, mounts, namespace }: PublishedDependencies, publish: string) {
  const full = joinPath(namespace, publish);
  const mount = await mounts.find(full);
  return { versions: new KvVersions(vault, mount.path), path: within(mount.path, full) };
}

function unrecognised(path: string, version: number): LeasekeeperError {
  return new LeasekeeperError(
    'published_version_unrecognised',
    `What is current at ${path} as version ${version} is not known to be the generation that was published so.`,
    {
      hint: 'Its custom metadata were changed, or the path was deleted and written again. If that version is to go, destroy it by hand.',
    },
  );
}
