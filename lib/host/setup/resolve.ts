import type * as z from 'zod';
import type { Right, RotationRights } from '../../rotation/rotators/kind.ts';
import { type Kind, kinds } from '../../rotation/rotators/kinds.ts';
import type { Specification } from '../../rotation/specification.ts';
import { joinPath } from '../../vault/addressing.ts';
import type { Vault } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { type Mount, type Mounts, tokenNamespaceOf } from '../../vault/mounts.ts';
import type { KnownRight, KvPath, Layout, ManagedAccess } from './options.ts';
import { SetupError } from './setup-error.ts';

/**
 * Whether `namespace` (a full path) is a real namespace: only then it has a `sys/` of its own. Any token may ask; without one of this
 * Vault, and where it is only a prefix of mounts, the answer is 403 or 404.
 */
export async function detectLayout(vault: Vault, namespace: string, authNamespace: string): Promise<Layout> {
  const found = await tokenNamespaceOf(vault, namespace, authNamespace);
  return found === authNamespace ? 'prefix' : 'namespace';
}

type SpecificationOf = { readonly [K in Kind]: z.infer<(typeof kinds)[K]['schema']> };
/** The table of kinds, so written that a kind's own specification is known to fit it. */
const declared: {
  readonly [K in Kind]: { readonly rights: (spec: SpecificationOf[K]) => RotationRights };
} = kinds;

function rightsOf<K extends Kind>(kind: K, spec: SpecificationOf[K]): RotationRights {
  return declared[kind].rights(spec);
}

/** A managed secret as its specification has it: paths after VAULT_NAMESPACE. */
export interface ManagedNeeds {
  readonly name: string;
  readonly consumers: readonly string[];
  readonly publish?: string | undefined;
  readonly rights: RotationRights;
}

/**
 * What Vault must be prepared for so that `spec` can be rotated. Throws `setup_source_mount_missing`, `setup_source_path_not_kv2`,
 * `setup_publish_mount_missing`, `setup_publish_path_not_kv2`.
 */
export function resolveManaged(
  mounts: Mounts,
  namespace: string,
  spec: Specification,
): Promise<ManagedAccess> {
  const { name, consumers, publish } = spec;
  return resolveNeeds(mounts, namespace, { name, consumers, publish, rights: rightsOf(spec.kind, spec) });
}

/** The same for what is known already to be needed. */
export async function resolveNeeds(
  mounts: Mounts,
  namespace: string,
  { name, consumers, publish, rights: { rotate, attempt } }: ManagedNeeds,
): Promise<ManagedAccess> {
  const where = { mounts, namespace, name };
  const rights = await knownRights(where, rotate);
  const attemptRights = await knownRights(where, attempt?.rights ?? []);
  return {
    name,
    consumers,
    rights,
    ...(attempt === undefined ? {} : { attempt: { tokenRole: attempt.tokenRole, rights: attemptRights } }),
    ...(publish === undefined ? {} : { publish: await publishedIn(where, publish) }),
  };
}

interface Where {
  readonly mounts: Mounts;
  readonly namespace: string;
  /** Of the managed secret. */
  readonly name: string;
}

/** One after the other, so that of several faults the same is told each time. */
async function knownRights(where: Where, rights: readonly Right[]): Promise<readonly KnownRight[]> {
  const known: KnownRight[] = [];
  for (const right of rights) known.push(await knownRight(where, right));
  return known;
}

async function knownRight(where: Where, { under, path, ...allowed }: Right): Promise<KnownRight> {
  const fullPath = joinPath(where.namespace, path);
  switch (under) {
    case 'namespace':
      if (isVaultsOwn(await mountOf(where, fullPath, sourceMissing), path)) {
        throw sourceMissing(where, fullPath);
      }
      return { under, path, ...allowed };
    case 'kv-data':
    case 'kv-metadata':
    case 'kv-destroy': {
      const mount = await mountOf(where, fullPath, sourceMissing);
      const kv = kvPathIn(mount, fullPath);
      if (kv === undefined) throw notKv2('setup_source_path_not_kv2', where, fullPath);
      return { under, ...kv, ...allowed };
    }
    default:
      return { under, path, ...allowed };
  }
}

/** What every namespace has besides secrets engines: a source there would be a right over Vault itself. */
function isVaultsOwn({ type }: Mount, path: string): boolean {
  return path.startsWith('auth/') || /^(ns_)?(system|token|identity|cubbyhole)$/.test(type);
}

async function publishedIn(where: Where, publish: string): Promise<KvPath> {
  const fullPath = joinPath(where.namespace, publish);
  const kv = kvPathIn(await mountOf(where, fullPath, publishMissing), fullPath);
  if (kv === undefined) throw notKv2('setup_publish_path_not_kv2', where, fullPath);
  return kv;
}

function kvPathIn(mount: Mount, fullPath: string): KvPath | undefined {
  const path = fullPath.slice(mount.path.length + 1);
  return mount.kvVersion !== 2 || path === '' ? undefined : { mount: mount.path, path };
}

type Missing = (where: Where, fullPath: string, cause?: unknown) => SetupError;

async function mountOf(where: Where, fullPath: string, missing: Missing): Promise<Mount> {
  try {
    return await where.mounts.find(fullPath);
  } catch (error) {
    if (!isVaultError(error, 'vault_denied', 'vault_not_found')) throw error;
    throw missing(where, fullPath, error);
  }
}

const MOUNT_HINT =
  'Mount the engine first, or check VAULT_NAMESPACE and the path. The token must have some rule under the mount.';

function sourceMissing({ name }: Where, fullPath: string, cause?: unknown): SetupError {
  return new SetupError(
    'setup_source_mount_missing',
    `${name} uses ${fullPath}, but no secrets engine serves that path.`,
    { hint: MOUNT_HINT, cause },
  );
}

function publishMissing({ name }: Where, fullPath: string, cause?: unknown): SetupError {
  return new SetupError(
    'setup_publish_mount_missing',
    `${name} is to be published at ${fullPath}, but no secrets engine serves that path.`,
    { hint: MOUNT_HINT, cause },
  );
}

function notKv2(code: string, { name }: Where, fullPath: string): SetupError {
  return new SetupError(code, `${fullPath}, which ${name} names, is not a path in a KV v2 mount.`, {
    hint: 'Name a path in a KV v2 mount: its versions are needed.',
  });
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
