import * as z from 'zod';
import { TOMBSTONE_MS } from '../../agenda/inbox.ts';
import { leaseEntryOf, tokenEntryOf } from '../../leases/adopt.ts';
import { tokenEntryId } from '../../leases/entry.ts';
import { Secret } from '../../telemetry/secret.ts';
import { actingWith } from '../../vault/acting-with.ts';
import { joinPath, namespaceOfLease } from '../../vault/addressing.ts';
import { isVaultError } from '../../vault/errors.ts';
import { Leases } from '../../vault/leases.ts';
import { tokenNamespaceOf } from '../../vault/mounts.ts';
import { issueDynamic } from '../../vault/secrets.ts';
import { type TokenRenewal, Tokens } from '../../vault/tokens.ts';
import type { RotatorDependencies } from './kind.ts';
import { type Attempt, type Created, type Handle, handleSchema, type Value } from './rotator.ts';

/**
 * A credential with a lease, issued under an orphan token that is made for the attempt and lives for a minute: a worker that dies before
 * the accessor is recorded leaves nothing that lives on. Only a recorded token is renewed.
 */

/** What the specification says of the token it is issued under. Durations in milliseconds. */
export interface AttemptTokenSpecification {
  readonly token_role: string;
  readonly attempt_ttl: number;
}

/** What it says of whose it is. Durations in milliseconds. */
export interface CaredForSpecification {
  readonly name: string;
  readonly grace: number;
}

export interface LeasedSpecification extends AttemptTokenSpecification, CaredForSpecification {
  readonly token_ttl: number;
}

const handleOfLease = z.object({
  lease_id: z.string(),
  lease_ns: z.string(),
  lease_ttl: z.number(),
  renewable: z.boolean(),
  issued_at: z.number(),
  accessor: z.string(),
  token_ns: z.string(),
  username: z.string().optional(),
});

/** Has `source` (after VAULT_NAMESPACE) issue one; with a body where the engine wants a POST. Throws what Vault answers. */
export async function issueLeased(
  deps: RotatorDependencies,
  spec: AttemptTokenSpecification,
  source: string,
  body?: Readonly<Record<string, unknown>>,
): Promise<Created & { readonly value: Value }> {
  const tokenNamespace = await tokenNamespaceOf(deps.vault, deps.namespace, deps.authNamespace);
  const token = await new Tokens(deps.vault, tokenNamespace).create(
    spec.token_role,
    Math.ceil(spec.attempt_ttl / 1_000),
  );
  const issued = await issueDynamic(
    actingWith(deps.client, new Secret(token.token)),
    joinPath(deps.namespace, source),
    body,
  );
  const handle = handleSchema.parse({
    lease_id: issued.leaseId,
    lease_ns: namespaceOfLease(issued.leaseId, deps.namespace, deps.authNamespace),
    lease_ttl: issued.leaseDurationSeconds,
    renewable: issued.renewable,
    issued_at: deps.now(),
    accessor: token.accessor,
    token_ns: tokenNamespace,
    ...(typeof issued.data.username === 'string' ? { username: issued.data.username } : {}),
  } satisfies z.infer<typeof handleOfLease>);
  return { handle, value: issued.data, ttlMs: issued.leaseDurationSeconds * 1_000 };
}

/** Renews the recorded token, then puts both under care. The other way round, a dead attempt's lease would be renewed for a while. */
export async function keepLeased(
  deps: RotatorDependencies,
  attempt: Attempt<LeasedSpecification>,
  source: string,
  stored: Handle,
): Promise<boolean> {
  const renewed = await renewAttemptToken(deps, stored, attempt.spec.token_ttl);
  if (renewed === undefined) return false;
  await putUnderCare(deps, attempt, source, stored, renewed);
  return true;
}

/** Has the attempt's token live for `lifeMs` from now, or as long as Vault grants. Undefined: it is gone, and its lease with it. */
export async function renewAttemptToken(
  deps: RotatorDependencies,
  stored: Handle,
  lifeMs: number,
): Promise<TokenRenewal | undefined> {
  const { accessor, token_ns } = handleOfLease.parse(stored);
  try {
    return await new Tokens(deps.vault, token_ns).renewAccessor(accessor, Math.ceil(lifeMs / 1_000));
  } catch (error) {
    if (isVaultError(error, 'vault_unknown_accessor')) return undefined;
    throw error;
  }
}

/** Puts the lease and its token, just renewed, into the agenda: both are kept for as long as Vault lets them live. */
export async function putUnderCare(
  deps: RotatorDependencies,
  { spec, generation }: Pick<Attempt<CaredForSpecification>, 'spec' | 'generation'>,
  source: string,
  stored: Handle,
  renewed: TokenRenewal,
): Promise<void> {
  const handle = handleOfLease.parse(stored);
  const now = deps.now();
  const lease = leaseEntryOf(
    {
      leaseId: handle.lease_id,
      namespace: handle.lease_ns,
      path: joinPath(deps.namespace, source),
      consumer: spec.name,
      ttlSeconds: handle.lease_ttl,
      renewable: handle.renewable,
      parent: handle.accessor,
      managed: { name: spec.name, generation },
      handoverMs: spec.grace + 2 * deps.policy.scanIntervalMs,
    },
    handle.issued_at,
    deps.policy,
  );
  const token = tokenEntryOf(
    {
      accessor: handle.accessor,
      namespace: handle.token_ns,
      expiresAt: now + renewed.ttlSeconds * 1_000,
      ttlSeconds: renewed.ttlSeconds,
      renewable: renewed.renewable,
    },
    now,
    deps.policy,
  );
  await deps.leases.add(token);
  await deps.leases.add(lease);
}

/** Out of the agenda first, so that nobody reports it as lost; then the lease itself, then its token: a token alone may not take it along. */
export async function revokeLeased(deps: RotatorDependencies, stored: Handle): Promise<void> {
  const handle = handleOfLease.parse(stored);
  await takeOutOfCare(deps, handle);
  await new Leases(deps.vault, handle.lease_ns).revoke(handle.lease_id);
  await new Tokens(deps.vault, handle.token_ns).revokeAccessor(handle.accessor);
}

/** Written again by a worker that slept for long: once its tombstones are gone, a late message could bring the entries back. */
async function takeOutOfCare(
  deps: RotatorDependencies,
  handle: z.infer<typeof handleOfLease>,
): Promise<void> {
  let written: number;
  do {
    written = deps.now();
    await deps.leases.remove(handle.lease_id);
    await deps.leases.remove(tokenEntryId(handle.accessor));
  } while (deps.now() - written > TOMBSTONE_MS / 2);
}

/** A lease that is lost is found by its renewal too, but one that lasts for weeks is renewed rarely. */
export async function inspectLeased(deps: RotatorDependencies, stored: Handle): Promise<string | undefined> {
  const handle = handleOfLease.parse(stored);
  try {
    await new Leases(deps.vault, handle.lease_ns).lookup(handle.lease_id);
    return undefined;
  } catch (error) {
    if (isVaultError(error, 'vault_lease_not_found')) return 'lease_revoked';
    throw error;
  }
}
