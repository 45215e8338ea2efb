import { namespaceOfLease } from '../../vault/addressing.ts';
import type { Vault } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { type LeaseLimits, readDatabaseRoleLimits, readMountLimits } from '../../vault/lease-limits.ts';
import { Leases } from '../../vault/leases.ts';
import { issueDynamic } from '../../vault/secrets.ts';
import type { Access } from './access.ts';
import { leaseTtlCheck } from './checks.ts';
import type { Identity } from './examine-identity.ts';
import { fine, wrong } from './finding.ts';
import { judgeLeaseTtl, type LeaseTtlFacts, leasesPath, type Trial } from './lease.ts';
import type { Tell } from './request.ts';
import type { PathFacts } from './secret.ts';
import { unlessDenied } from './unless-denied.ts';

/** Limits of a role that only the database engine has in this form. Undefined without an operator's rights. */
export async function roleLimitsOf(
  { operator }: Access,
  { mount, fullPath }: PathFacts,
): Promise<LeaseLimits | 'missing' | undefined> {
  if (operator === undefined || mount?.type !== 'database') return undefined;
  const [kind, role] = fullPath.slice(mount.path.length + 1).split('/');
  if (kind !== 'creds' || role === undefined) return undefined;
  try {
    return (await readDatabaseRoleLimits(operator, mount.path, role)) ?? 'missing';
  } catch (error) {
    if (isVaultError(error, 'vault_denied')) return undefined;
    throw error;
  }
}

/** How long leases live: by issuing one, or by what an operator can read. */
export async function examineLeaseTtl(
  access: Access,
  { path, fullPath, mount }: PathFacts,
  role: LeaseLimits | 'missing' | undefined,
  tell: Tell,
): Promise<void> {
  const { request, identity, operator, leaseNamespace } = access;
  const check = leaseTtlCheck(path);
  if (mount === undefined) return;
  const trial = request.issue ? await tryLease(access, fullPath) : undefined;
  if (typeof trial === 'object' && 'refused' in trial) {
    tell(wrong(check, `it could not be issued: ${trial.refused}`, []));
    return;
  }
  if (trial === 'no-lease') {
    tell(fine(check, 'issued; it has no lease, so that nothing is to be renewed'));
    return;
  }
  const { details } = identity;
  tell(
    judgeLeaseTtl({
      check,
      path,
      authNamespace: request.configuration.authNamespace,
      mount: mount.path,
      engine: mount.type,
      trial,
      roleLimits: role === 'missing' ? undefined : role,
      mountLimits:
        operator === undefined
          ? undefined
          : await unlessDenied(() => readMountLimits(operator, leaseNamespace, mount.path)),
      scanIntervalMs: request.scanIntervalMs,
      token: lifeOf(details),
      policy: identity.policy,
      renewPath: leasesPath(leaseNamespace, 'renew'),
    }),
  );
}

/** How long the token lives if it is renewed as it should be. Of one that may not look at itself nothing is held against the lease. */
function lifeOf(details: Identity['details']): LeaseTtlFacts['token'] {
  if (details === undefined) return { ttlSeconds: 0, renewable: true, endless: true };
  const { renewable, endless, ttlSeconds, creationTtlSeconds } = details;
  return { renewable, endless, ttlSeconds: renewable ? creationTtlSeconds : ttlSeconds };
}

/**
 * Issues a lease as the service, renews it as the service would, and ends it again. Its credential is dropped unseen. `refused`: what Vault
 * said to the issue.
 */
async function tryLease(
  access: Access,
  fullPath: string,
): Promise<Trial | 'no-lease' | { readonly refused: string }> {
  const { vault } = access.identity;
  let issued: Awaited<ReturnType<typeof issueDynamic>>;
  try {
    issued = await issueDynamic(vault, fullPath);
  } catch (error) {
    if (isVaultError(error)) return { refused: error.message };
    throw error;
  }
  const { leaseId, leaseDurationSeconds: ttlSeconds, renewable } = issued;
  if (leaseId === '') return 'no-lease';
  const { namespace, authNamespace } = access.request.configuration;
  const leases = new Leases(vault, namespaceOfLease(leaseId, namespace, authNamespace));
  const renewed = renewable ? await tryToRenew(leases, leaseId, ttlSeconds) : 'not-renewable';
  return { ttlSeconds, renewable, renewed, ended: await end(access, leases, leaseId) };
}

async function tryToRenew(leases: Leases, leaseId: string, ttlSeconds: number): Promise<Trial['renewed']> {
  try {
    return (await leases.renew(leaseId, ttlSeconds)).leaseDurationSeconds;
  } catch (error) {
    if (isVaultError(error, 'vault_denied')) return 'denied';
    if (isVaultError(error, 'vault_lease_not_renewable')) return 'not-renewable';
    if (isVaultError(error)) return 'refused';
    throw error;
  }
}

/** Revoked by the service if it may, else by the end of the token that made it, else by an operator. */
async function end(access: Access, leases: Leases, leaseId: string): Promise<Trial['ended']> {
  if (await revoked(leases, leaseId)) return 'revoked';
  const { operator, request, identity, leaseNamespace } = access;
  const { namespace, authNamespace } = request.configuration;
  // Seen on OpenBao: a lease outlives a token of another namespace.
  if (identity.isOurs && leaseNamespace === authNamespace) return 'with-token';
  if (operator !== undefined && (await revokedBy(operator, namespace, authNamespace, leaseId)))
    return 'revoked';
  return 'at-ttl';
}

function revokedBy(
  operator: Vault,
  namespace: string,
  authNamespace: string,
  leaseId: string,
): Promise<boolean> {
  return revoked(new Leases(operator, namespaceOfLease(leaseId, namespace, authNamespace)), leaseId);
}

async function revoked(leases: Leases, leaseId: string): Promise<boolean> {
  try {
    await leases.revoke(leaseId);
    return true;
  } catch (error) {
    if (isVaultError(error)) return false;
    throw error;
  }
}
