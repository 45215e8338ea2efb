import { isDeepStrictEqual } from 'node:util';
import { LeasekeeperError } from '../errors.ts';
import { joinPath, within } from '../vault/addressing.ts';
import { isVaultError } from '../vault/errors.ts';
import { KvStore } from '../vault/kv-store.ts';
import { generationMetadata } from '../vault/published-generation.ts';
import type { EngineDependencies } from './engine-dependencies.ts';
import type { ManagedSecret } from './managed-secrets.ts';
import type { Value } from './rotators/rotator.ts';

type PublishedDependencies = Pick<EngineDependencies, 'vault' | 'mounts' | 'namespace'>;

/** A path within a KV v2 mount. */
export interface PublishedAt {
  readonly store: KvStore;
  readonly path: string;
}

/** Where `publish` (after VAULT_NAMESPACE) is. Throws `publish_path_not_kv2`. */
export async function publishedAt(deps: PublishedDependencies, publish: string): Promise<PublishedAt> {
  const full = joinPath(deps.namespace, publish);
  const mount = await deps.mounts.find(full);
  if (mount.kvVersion !== 2) {
    throw new LeasekeeperError('publish_path_not_kv2', `${full} is not in a KV v2 mount.`, {
      hint: 'Publish to a KV v2 path: check-and-set needs its versions.',
    });
  }
  return { store: new KvStore(deps.vault, mount.path), path: within(mount.path, full) };
}

/**
 * Publishes over version `pv`. Undefined when our value is there; else the version of another's value that is there in its place.
 */
export async function publish(
  deps: PublishedDependencies,
  secret: ManagedSecret,
  at: string,
  value: Value,
  pv: number,
): Promise<number | undefined> {
  const { store, path } = await publishedAt(deps, at);
  try {
    await store.write(path, value, pv);
  } catch (error) {
    if (!isVaultError(error, 'vault_cas_mismatch')) throw error;
    const there = await store.read(path);
    if (there.version !== pv + 1 || !isDeepStrictEqual(there.entry?.data, value)) return there.version;
  }
  await store.patchMetadata(path, generationMetadata(secret.name, secret.state.g ?? 0, pv + 1));
  return undefined;
}
