import type { Specification } from '../../rotation/specification.ts';
import { joinPath } from '../../vault/addressing.ts';
import type { Vault } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { type Mount, type Mounts, tokenNamespaceOf } from '../../vault/mounts.ts';
import type { Layout, ManagedLease } from './options.ts';
import { SetupError } from './setup-error.ts';

/**
 * Whether `namespace` (a full path) is a real namespace: only then it has a `sys/` of its own. Any token may ask; without one of this
 * Vault, and where it is only a prefix of mounts, the answer is 403 or 404.
 */
export async function detectLayout(vault: Vault, namespace: string, authNamespace: string): Promise<Layout> {
  const found = await tokenNamespaceOf(vault, namespace, authNamespace);
  return found === authNamespace ? 'prefix' : 'namespace';
}

/**
 * What Vault must be prepared for so that `spec` can be rotated. Throws `setup_source_mount_missing`, `setup_publish_mount_missing`,
 * `setup_publish_path_not_kv2`.
 */
export async function resolveManaged(
  mounts: Mounts,
  namespace: string,
  spec: Specification,
): Promise<ManagedLease> {
  const source = joinPath(namespace, spec.source);
  const publish = joinPath(namespace, spec.publish);
  await find(mounts, source, 'setup_source_mount_missing', `${spec.name} is to be issued from ${source}`);
  const mount = await find(
    mounts,
    publish,
    'setup_publish_mount_missing',
    `${spec.name} is to be published at ${publish}`,
  );
  const publishPath = publish.slice(mount.path.length + 1);
  if (mount.kvVersion !== 2 || publishPath === '') {
    throw new SetupError('setup_publish_path_not_kv2', `${publish} is not a path in a KV v2 mount.`, {
      hint: 'Publish to a KV v2 path: check-and-set needs its versions.',
    });
  }
  return { name: spec.name, tokenRole: spec.token_role, source, publishMount: mount.path, publishPath };
}

async function find(mounts: Mounts, fullPath: string, code: string, what: string): Promise<Mount> {
  try {
    return await mounts.find(fullPath);
  } catch (error) {
    if (!isVaultError(error, 'vault_denied', 'vault_not_found')) throw error;
    throw new SetupError(code, `${what}, but no secrets engine serves that path.`, {
      hint: 'Mount the engine first, or check VAULT_NAMESPACE and the path. The token must have some rule under the mount.',
      cause: error,
    });
  }
}

/** Throws `setup_auth_method_missing` unless there is a kubernetes auth method at `mount`. */
export async function requireKubernetesMount(
  vault: Vault,
  authNamespace: string,
  mount: string,
): Promise<void> {
  const answer = await vault.request({
    method: 'GET',
    path: joinPath(authNamespace, 'auth', mount, 'config'),
    repeatable: true,
    missingIsAnswer: true,
  });
  if (answer.status !== 404) return;
  throw new SetupError(
    'setup_auth_method_missing',
    `There is no configured kubernetes auth method at ${mount}.`,
    {
      hint: 'Enable and configure it for your cluster first; setup only adds roles to it.',
    },
  );
}
