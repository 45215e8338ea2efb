import * as z from 'zod';
import type { Book } from '../../agenda/book.ts';
import { TOMBSTONE_MS } from '../../agenda/inbox.ts';
import { leaseEntryOf, tokenEntryOf } from '../../leases/adopt.ts';
import type { LeasePolicy } from '../../leases/decide.ts';
import { type CareEntry, tokenEntryId } from '../../leases/entry.ts';
import { Secret } from '../../telemetry/secret.ts';
import { actingWith } from '../../vault/acting-with.ts';
import { joinPath, namespaceOfLease } from '../../vault/addressing.ts';
import type { Vault, VaultClient } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { Leases } from '../../vault/leases.ts';
import { tokenNamespaceOf } from '../../vault/mounts.ts';
import { issueDynamic } from '../../vault/secrets.ts';
import { Tokens } from '../../vault/tokens.ts';
import type { RunProbe } from '../probes/probe.ts';
import type { LeaseSpecification } from '../specification.ts';
import type { Attempt, Created, Handle, Rotator } from './rotator.ts';

export interface LeaseRotatorDependencies {
  readonly client: VaultClient;
  /** Acting as `rotate`. */
  readonly vault: Vault;
  readonly leases: Book<CareEntry>;
  readonly policy: LeasePolicy;
  readonly namespace: string;
  readonly authNamespace: string;
  readonly runProbe: RunProbe;
  readonly now: () => number;
}

const handleOfLease = z.object({
  lease_id: z.string(),
  lease_ns: z.string(),
  lease_ttl: z.number(),
  renewable: z.boolean(),
  issued_at: z.number(),
  accessor: z.string(),
  token_ns: z.string(),
});

/**
 * Any leased path. The lease is issued under an orphan token that is made for the attempt and lives for a minute: a worker that dies
 * before the accessor is recorded leaves nothing that lives on. Only a recorded token is renewed.
 */
export function leaseRotator(deps: LeaseRotatorDependencies): Rotator<LeaseSpecification> {
  return {
    create: (attempt) => create(deps, attempt),
    keep: (attempt, handle) => keep(deps, attempt, handle),
    test: async ({ spec }, value) => (spec.test ? deps.runProbe(spec.test, value) : { ok: true }),
    revoke: (_spec, handle) => revoke(deps, handle),
  };
}

async function create(
  deps: LeaseRotatorDependencies,
  { spec }: Attempt<LeaseSpecification>,
): Promise<Created> {
  const source = joinPath(deps.namespace, spec.source);
  const tokenNamespace = await tokenNamespaceOf(deps.vault, deps.namespace, deps.authNamespace);
  const token = await new Tokens(deps.vault, tokenNamespace).create(
    spec.token_role,
    Math.ceil(spec.attempt_ttl / 1_000),
  );
  const issued = await issueDynamic(actingWith(deps.client, new Secret(token.token)), source);
  const handle = handleOfLease.parse({
    lease_id: issued.leaseId,
    lease_ns: namespaceOfLease(issued.leaseId, deps.namespace, deps.authNamespace),
    lease_ttl: issued.leaseDurationSeconds,
    renewable: issued.renewable,
    issued_at: deps.now(),
    accessor: token.accessor,
    token_ns: tokenNamespace,
  } satisfies z.infer<typeof handleOfLease>);
  return { handle, value: issued.data };
}

/** Renews the recorded token, then puts both under care. The other way round, a dead attempt's lease would be renewed for a while. */
async function keep(
  deps: LeaseRotatorDependencies,
  { spec, generation }: Attempt<LeaseSpecification>,
  stored: Handle,
): Promise<boolean> {
  const handle = handleOfLease.parse(stored);
  const renewed = await renewToken(deps, handle, spec);
  if (renewed === undefined) return false;
  const now = deps.now();
  const lease = leaseEntryOf(
    {
      leaseId: handle.lease_id,
      namespace: handle.lease_ns,
      path: joinPath(deps.namespace, spec.source),
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
  return true;
}

async function renewToken(
  deps: LeaseRotatorDependencies,
  handle: z.infer<typeof handleOfLease>,
  spec: LeaseSpecification,
) {
  try {
    return await new Tokens(deps.vault, handle.token_ns).renewAccessor(
      handle.accessor,
      Math.ceil(spec.token_ttl / 1_000),
    );
  } catch (error) {
    if (isVaultError(error, 'vault_unknown_accessor')) return undefined;
    throw error;
  }
}

/** Out of the agenda first, so that nobody reports it as lost; then the lease itself, then its token: a token alone may not take it along. */
async function revoke(deps: LeaseRotatorDependencies, stored: Handle): Promise<void> {
  const handle = handleOfLease.parse(stored);
  await takeOutOfCare(deps, handle);
  await new Leases(deps.vault, handle.lease_ns).revoke(handle.lease_id);
  await new Tokens(deps.vault, handle.token_ns).revokeAccessor(handle.accessor);
}

/** Written again by a worker that slept for long: once its tombstones are gone, a late message could bring the entries back. */
async function takeOutOfCare(
  deps: LeaseRotatorDependencies,
  handle: z.infer<typeof handleOfLease>,
): Promise<void> {
  let written: number;
  do {
    written = deps.now();
    await deps.leases.remove(handle.lease_id);
    await deps.leases.remove(tokenEntryId(handle.accessor));
  } while (deps.now() - written > TOMBSTONE_MS / 2);
}
