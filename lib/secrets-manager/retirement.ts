import type { SecretsManagerEmitter } from './events.ts';
import { endOf } from './lease-decision.ts';
import type { HeldLease } from './leased-path.ts';
import type { LeasesInVault } from './leases-in-vault.ts';
import type { ParentToken, ParentTokens } from './parent-tokens.ts';

export interface RetirementDependencies {
  readonly leases: LeasesInVault;
  readonly parents: ParentTokens;
  readonly events: SecretsManagerEmitter;
  readonly overlapMs: number;
  /** Whether a lease that is not retiring hangs on this token. */
  readonly isInUse: (parent: ParentToken) => boolean;
  readonly now: () => number;
  /** Something is to be done at another time than before. */
  readonly changed: () => void;
}

interface Retiring {
  readonly lease: HeldLease;
  /** When to revoke it; undefined while handlers are still being told. */
  due: number | undefined;
}

const SOONEST_RETRY_MS = 1_000;

/**
 * Leases that have a successor: revoked once everybody was told and the overlap has passed. What cannot be revoked ends by itself,
 * since nobody renews it any more; a token whose leases may not be revoked is revoked in their place once it is superseded.
 */
export class Retirement {
  readonly #deps: RetirementDependencies;
  readonly #retiring = new Set<Retiring>();
  readonly #revoking = new Set<Promise<void>>();

  constructor(deps: RetirementDependencies) {
    this.#deps = deps;
  }

  add(lease: HeldLease, told: Promise<void>): void {
    if (lease.leaseId === '') return;
    const retiring: Retiring = { lease, due: undefined };
    this.#retiring.add(retiring);
    void told.then(() => {
      retiring.due = this.#deps.now() + this.#deps.overlapMs;
      this.#deps.changed();
    });
  }

  get leases(): readonly HeldLease[] {
    return [...this.#retiring].map(({ lease }) => lease);
  }

  /** Revocations under way, for those who must wait for them. */
  get busy(): readonly Promise<void>[] {
    return [...this.#revoking];
  }

  nextLook(): number {
    return Math.min(...[...this.#retiring].map(({ due }) => due ?? Number.POSITIVE_INFINITY));
  }

  /** Revokes what is due. Never rejects. */
  async attend(): Promise<void> {
    const now = this.#deps.now();
    const due = [...this.#retiring].filter((one) => one.due !== undefined && one.due <= now);
    for (const one of due) one.due = undefined;
    await Promise.all(due.map((one) => this.#track(this.#revoke(one))));
  }

  async #track(revoking: Promise<void>): Promise<void> {
    this.#revoking.add(revoking);
    await revoking.finally(() => this.#revoking.delete(revoking));
  }

  async #revoke(retiring: Retiring): Promise<void> {
    const { leases, events, now } = this.#deps;
    const { path, leaseId, state, parent } = retiring.lease;
    if (now() >= endOf(state, parent)) {
      this.#retiring.delete(retiring);
      return;
    }
    try {
      const revocation = await leases.revoke(path, leaseId);
      this.#retiring.delete(retiring);
      if (revocation === 'denied') await this.#revokeParent(parent);
    } catch (error) {
      void events.emit('fault', { operation: 'revoke', path, error });
      retiring.due = now() + Math.max((endOf(state, parent) - now()) / 4, SOONEST_RETRY_MS);
    }
  }

  /** Only once it is superseded and nothing that hangs on it is still in use. */
  async #revokeParent(parent: ParentToken): Promise<void> {
    const { parents, isInUse } = this.#deps;
    if (!parent.superseded || isInUse(parent)) return;
    if (this.leases.some((lease) => lease.parent === parent)) return;
    await parents.revoke(parent);
  }
}
