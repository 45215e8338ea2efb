import * as z from 'zod';
import { joinPath, within } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

/** How long leases may live, in seconds. 0 in a role: what its mount says. */
export interface LeaseLimits {
  readonly defaultTtlSeconds: number;
  readonly maxTtlSeconds: number;
}

const tuneAnswer = z.object({ data: z.object({ default_lease_ttl: z.number(), max_lease_ttl: z.number() }) });
const roleAnswer = z.object({ data: z.object({ default_ttl: z.number(), max_ttl: z.number() }) });

/** The limits of a mount, in force: its own or Vault's. `namespace` is the mount's. Takes an operator's rights. Throws `vault_denied`. */
export async function readMountLimits(vault: Vault, namespace: string, mount: string): Promise<LeaseLimits> {
  const answer = await vault.request({
    method: 'GET',
    path: joinPath(namespace, 'sys/mounts', within(namespace, mount), 'tune'),
    repeatable: true,
  });
  const { data } = parseAnswer(tuneAnswer, answer, 'reading the limits of a mount');
  return { defaultTtlSeconds: data.default_lease_ttl, maxTtlSeconds: data.max_lease_ttl };
}

/** The limits of a role of the database engine; undefined: there is no such role. Takes an operator's rights. Throws `vault_denied`. */
export async function readDatabaseRoleLimits(
  vault: Vault,
  mount: string,
  role: string,
): Promise<LeaseLimits | undefined> {
  const answer = await vault.request({
    method: 'GET',
    path: joinPath(mount, 'roles', role),
    repeatable: true,
    missingIsAnswer: true,
  });
  if (answer.status === 404) return undefined;
  const { data } = parseAnswer(roleAnswer, answer, 'reading a database role');
  return { defaultTtlSeconds: data.default_ttl, maxTtlSeconds: data.max_ttl };
}
