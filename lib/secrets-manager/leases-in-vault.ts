import { codeOf } from '../errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { joinPath, namespaceOfLease } from '../vault/addressing.ts';
import type { Vault } from '../vault/client.ts';
import { isVaultError } from '../vault/errors.ts';
import { Leases } from '../vault/leases.ts';
import { issueDynamic } from '../vault/secrets.ts';
import type { AccessLog } from './access-log.ts';
import type { LeaseGrant } from './lease-decision.ts';
import type { ParentToken, ParentTokens } from './parent-tokens.ts';
import { managerClosed } from './refusals.ts';
import { SecretData } from './secret-data.ts';

/** A secret that Vault has just made. */
export interface IssuedSecret {
  readonly data: SecretData;
  /** Empty for what has no lease. */
  readonly leaseId: string;
  readonly grant: LeaseGrant;
  /** Milliseconds since the epoch: its life is counted from here. */
  readonly askedAt: number;
  readonly parent: ParentToken;
  readonly vaultRequestId: string;
}

/** What came of a revocation. `denied`: the policy does not allow it, so the lease ends with its token or at its TTL. */
export type Revocation = 'revoked' | 'denied';

export interface LeasesInVaultDependencies {
  readonly namespace: string;
  readonly authNamespace: string;
  readonly parents: ParentTokens;
  readonly accesses: AccessLog;
  readonly metrics: Metrics;
  readonly now: () => number;
}

/** Issues, renews and revokes, always knowing which token did it; audited. */
export class LeasesInVault {
  readonly #deps: LeasesInVaultDependencies;
  #closed = false;
  /** Tokens whose policy has refused a revocation, with the namespace: asking again for each lease would tell nothing new. */
  readonly #mayNotRevoke = new WeakMap<ParentToken, Set<string>>();

  constructor(deps: LeasesInVaultDependencies) {
    this.#deps = deps;
  }

  /** From now on `issue` throws: what were issued after cleanup, nobody would revoke. */
  stopIssuing(): void {
    this.#closed = true;
  }

  /** Throws VaultError, `secrets_manager_closed`. Not repeated when the secret may have been made. */
  async issue(path: string): Promise<IssuedSecret> {
    if (this.#closed) throw managerClosed();
    const { accesses, now, namespace } = this.#deps;
    const issuing = () =>
      this.#acting(async (vault, parent) => {
        const askedAt = now();
        const issued = await issueDynamic(vault, joinPath(namespace, path));
        return {
          data: new SecretData(issued.data),
          leaseId: issued.leaseId,
          grant: { ttlMs: issued.leaseDurationSeconds * 1_000, renewable: issued.renewable },
          askedAt,
          parent,
          vaultRequestId: issued.requestId,
        };
      });
    return accesses.done({ action: 'issue', path }, issuing, (issued) => issued);
  }

  /** Throws VaultError: `vault_lease_not_found`, `vault_lease_not_renewable`, `vault_renew_failed` and others. */
  async renew(path: string, leaseId: string, ttlMs: number): Promise<LeaseGrant> {
    const { accesses, metrics } = this.#deps;
    try {
      const grant = await accesses.done({ action: 'renew', path, leaseId }, () =>
        this.#renew(leaseId, ttlMs),
      );
      metrics.increment('leasekeeper_lease_renewals_total', { outcome: 'renewed' });
      return grant;
    } catch (error) {
      const outcome = isVaultError(error, 'vault_lease_not_found') ? 'lost' : 'failed';
      metrics.increment('leasekeeper_lease_renewals_total', { outcome });
      metrics.increment('vault_lease_renewal_errors_total', { reason: codeOf(error) });
      throw error;
    }
  }

  /** Throws VaultError but for a denial, which is an answer. */
  async revoke(path: string, leaseId: string): Promise<Revocation> {
    const { accesses, parents } = this.#deps;
    const current = await parents.current();
    const namespace = this.#namespaceOf(leaseId);
    const denied = this.#mayNotRevoke.get(current) ?? new Set<string>();
    if (denied.has(namespace)) return 'denied';
    try {
      // Not through the session: a refusal is expected here, and no reason to doubt the token.
      await accesses.done({ action: 'revoke', path, leaseId }, () =>
        new Leases(current.vault, namespace).revoke(leaseId),
      );
      return 'revoked';
    } catch (error) {
      if (!isVaultError(error, 'vault_denied')) throw error;
      this.#mayNotRevoke.set(current, denied.add(namespace));
      return 'denied';
    }
  }

  #renew(leaseId: string, ttlMs: number): Promise<LeaseGrant> {
    return this.#acting(async (vault) => {
      const leases = new Leases(vault, this.#namespaceOf(leaseId));
      const { renewable, leaseDurationSeconds } = await leases.renew(leaseId, Math.ceil(ttlMs / 1_000));
      return { renewable, ttlMs: leaseDurationSeconds * 1_000 };
    });
  }

  /** With the token in use; if that was refused because it is gone, once more with its successor. */
  async #acting<T>(work: (vault: Vault, parent: ParentToken) => Promise<T>): Promise<T> {
    const { parents } = this.#deps;
    const parent = await parents.current();
    try {
      return await work(parent.vault, parent);
    } catch (error) {
      if (!isVaultError(error, 'vault_denied')) throw error;
      const successor = await parents.afterDenial(parent);
      if (successor === undefined) throw error;
      return work(successor.vault, successor);
    }
  }

  #namespaceOf(leaseId: string): string {
    return namespaceOfLease(leaseId, this.#deps.namespace, this.#deps.authNamespace);
  }
}
