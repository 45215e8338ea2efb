import { Secret } from '../telemetry/secret.ts';
import { isPlainPath, joinPath } from '../vault/addressing.ts';
import type { Mounts } from '../vault/mounts.ts';
import { generationOf } from '../vault/published-generation.ts';
import { readStatic } from '../vault/secrets.ts';
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

/** Reads a static or managed secret as the caller. Throws VaultError, and RequestError `path_invalid`. */
export async function readSecret(deps: ReadDependencies, caller: Caller, path: string): Promise<ReadSecret> {
  checkPath(path);
  const secret = await readStatic(caller.vault, deps.mountsOf(caller), joinPath(deps.namespace, path));
  return {
    data: new Secret(secret.data),
    version: secret.version,
    generation: generationOf(secret.customMetadata, secret.version),
    etag: secret.version === 0 ? undefined : `"v${secret.version}-${Date.parse(secret.createdTime ?? '')}"`,
    vaultRequestId: secret.requestId,
  };
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
