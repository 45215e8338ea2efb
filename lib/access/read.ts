import { Secret } from '../telemetry/secret.ts';
import { isPlainPath, joinPath } from '../vault/addressing.ts';
import { isVaultError } from '../vault/errors.ts';
import type { Mounts } from '../vault/mounts.ts';
import { type GenerationChoice, generationOf, versionHolding } from '../vault/published-generation.ts';
import { readStatic, type StaticSecret } from '../vault/secrets.ts';
import type { Caller } from './callers.ts';
import { RequestError } from './problem.ts';

export interface ReadDependencies {
  /** Mounts are looked up as the caller; what was found once holds for everybody, for every read itself is Vault's decision. */
  readonly mountsOf: (caller: Caller) => Mounts;
  readonly namespace: string;
}

export interface ReadSecret {
  readonly data: Secret<Readonly<Record<string, unknown>>>;
  /** The KV version; 0 on KV v1, which has none. */
  readonly version: number;
  /** Set for a managed secret: its generation. */
  readonly generation: number | undefined;
  /** An entity tag (RFC 9110, 8.8.3); undefined on KV v1. */
  readonly etag: string | undefined;
  readonly vaultRequestId: string;
}

/**
 * Reads a static or managed secret as the caller: its newest version, or the one that holds a generation. Throws VaultError, and
 * RequestError `path_invalid`, `generation_unknown`.
 */
export async function readSecret(
  deps: ReadDependencies,
  caller: Caller,
  path: string,
  choice?: GenerationChoice,
): Promise<ReadSecret> {
  checkPath(path);
  const read = (options?: { readonly version: number }) =>
    readStatic(caller.vault, deps.mountsOf(caller), joinPath(deps.namespace, path), options);
  const newest = await read();
  const secret = choice === undefined ? newest : await holding(newest, choice, read);
  if (secret === undefined) throw generationUnknown(path, choice);
  return {
    data: new Secret(secret.data),
    version: secret.version,
    generation: generationOf(secret.customMetadata, secret.version),
    etag: secret.version === 0 ? undefined : `"v${secret.version}-${Date.parse(secret.createdTime ?? '')}"`,
    vaultRequestId: secret.requestId,
  };
}

/**
 * Any version has the metadata that say which generation is where. Undefined: it is not there (any more): KV keeps so many versions, and
 * some kinds destroy those that are retired.
 */
async function holding(
  newest: StaticSecret,
  choice: GenerationChoice,
  read: (options: { readonly version: number }) => Promise<StaticSecret>,
): Promise<StaticSecret | undefined> {
  const version = versionHolding(newest.customMetadata, choice);
  if (version === undefined || version === newest.version) return version === undefined ? undefined : newest;
  try {
    return await read({ version });
  } catch (error) {
    if (isVaultError(error, 'vault_not_found')) return undefined;
    throw error;
  }
}

function generationUnknown(path: string, choice: GenerationChoice | undefined): RequestError {
  const which = typeof choice === 'number' ? `generation ${choice}` : `the ${choice} generation`;
  return new RequestError(
    404,
    'generation_unknown',
    `No version of ${path} that is still there holds ${which}.`,
    'Read it without a generation: only what Leasekeeper published has one, and old versions are not kept for ever.',
  );
}

/** Throws RequestError `path_invalid` for what Vault, or anything before it, might read as another path. Costs no request. */
export function checkPath(path: string): void {
  if (isPlainPath(path)) return;
  throw new RequestError(
    400,
    'path_invalid',
    'The path of the secret is not plain.',
    'Use a path such as nvidia/api-key.',
  );
}

/** Whether an If-None-Match header (RFC 9110, 13.1.2) names this tag; proxies on the way make tags weak. */
export function isNamedBy(ifNoneMatch: string | undefined, etag: string): boolean {
  const tags = (ifNoneMatch ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes(etag) || tags.includes('*');
}
