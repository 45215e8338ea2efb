import * as z from 'zod';
import { joinPath, within } from './addressing.ts';
import { parseAnswer, type Vault, type VaultAnswer, type VaultRequest } from './client.ts';
import { VaultError } from './errors.ts';
import { KvStore } from './kv-store.ts';
import type { Mounts } from './mounts.ts';

/** A static secret as it stands in KV, either version. `version` is 0 on KV v1, which has none. */
export interface StaticSecret {
  readonly kind: 'static';
  readonly data: Readonly<Record<string, unknown>>;
  readonly version: number;
  readonly createdTime: string | undefined;
  readonly customMetadata: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** A secret that Vault made for this request. Without a lease id it has no life of its own to renew (a `pki` certificate). */
export interface DynamicSecret {
  readonly kind: 'dynamic';
  readonly data: Readonly<Record<string, unknown>>;
  readonly leaseId: string;
  readonly leaseDurationSeconds: number;
  readonly renewable: boolean;
  readonly requestId: string;
}

const leasedAnswer = z.object({
  request_id: z.string().default(''),
  lease_id: z.string().default(''),
  lease_duration: z.number().default(0),
  renewable: z.boolean().default(false),
  data: z.record(z.string(), z.unknown()),
});

/**
 * Reads a KV secret; the mount and its KV version are found by themselves. Throws `vault_not_found` for a missing or deleted secret,
 * `vault_bad_request` when the path is not in a KV mount, or a version is asked of KV v1, which keeps none.
 */
export async function readStatic(
  vault: Vault,
  mounts: Mounts,
  fullPath: string,
  options: { readonly version?: number } = {},
): Promise<StaticSecret> {
  const mount = await mounts.find(fullPath);
  if (mount.kvVersion === undefined) {
    throw new VaultError(
      'vault_bad_request',
      `${fullPath} is served by the ${mount.type} engine, not by KV.`,
      {
        hint: 'Ask for it as a dynamic secret.',
      },
    );
  }
  if (mount.kvVersion === 2) return readKvV2(vault, mount.path, within(mount.path, fullPath), options);
  if (options.version !== undefined) {
    throw new VaultError('vault_bad_request', `${fullPath} is in KV v1, which keeps no versions.`, {
      hint: 'Leave the version out, or upgrade the mount to KV v2.',
    });
  }
  return readKvV1(vault, fullPath);
}

async function readKvV2(
  vault: Vault,
  mount: string,
  path: string,
  options: { readonly version?: number },
): Promise<StaticSecret> {
  const { entry, requestId } = await new KvStore(vault, mount).read(path, options);
  if (entry === undefined) {
    throw new VaultError('vault_not_found', `There is no secret at ${joinPath(mount, path)}.`, {
      status: 404,
    });
  }
  return { kind: 'static', requestId, ...entry };
}

async function readKvV1(vault: Vault, fullPath: string): Promise<StaticSecret> {
  const answer = await vault.request({ method: 'GET', path: fullPath, repeatable: true });
  const { data, request_id } = parseAnswer(leasedAnswer, answer, 'reading KV v1');
  return {
    kind: 'static',
    data,
    version: 0,
    createdTime: undefined,
    customMetadata: {},
    requestId: request_id,
  };
}

/**
 * Has Vault make a secret. Not repeated after a fault in which it may have been made: each repetition would be a further live
 * credential. `body` makes it a write, as `pki/issue` needs.
 */
export async function issueDynamic(
  vault: Vault,
  fullPath: string,
  body?: Readonly<Record<string, unknown>>,
): Promise<DynamicSecret> {
  const request: VaultRequest = { method: 'GET', path: fullPath, repeatable: false };
  const answer = await vault.request(body === undefined ? request : { ...request, method: 'PUT', body });
  return dynamicSecretIn(answer);
}

function dynamicSecretIn(answer: VaultAnswer): DynamicSecret {
  const parsed = parseAnswer(leasedAnswer, answer, 'issuing a secret');
  return {
    kind: 'dynamic',
    data: parsed.data,
    leaseId: parsed.lease_id,
    leaseDurationSeconds: parsed.lease_duration,
    renewable: parsed.renewable,
    requestId: parsed.request_id,
  };
}
