import { codeOf } from '../errors.ts';
import { isTransient, isVaultError } from '../vault/errors.ts';
import type { SecretsManagerEmitter } from './events.ts';
import {
  afterFailure,
  afterGrant,
  asFinal,
  decide,
  endOf,
  type LeaseAction,
  type LeasePolicy,
  type LeaseState,
  nextLook,
} from './lease-decision.ts';
import type { IssuedSecret, LeasesInVault } from './leases-in-vault.ts';
import type { ParentToken, ParentTokens } from './parent-tokens.ts';
import { endedAtOnce } from './refusals.ts';
import type { SecretData } from './secret-data.ts';
import { waitAtMost } from './waiting.ts';

/** A credential under care. */
export interface HeldLease {
  readonly path: string;
  /** Empty for what has no lease. */
  readonly leaseId: string;
  readonly data: SecretData;
  readonly parent: ParentToken;
  readonly vaultRequestId: string;
  readonly state: LeaseState;
}

/** How a credential is, with nothing of it. */
export interface LeaseCondition {
  readonly path: string;
  /** `failing`: it works, but its last renewal or replacement did not; `lost`: there is none that works. */
  readonly state: 'held' | 'failing' | 'lost';
  /** Milliseconds since the epoch; undefined without a lease. */
  readonly expiresAt: number | undefined;
}

export interface LeasedPathDependencies {
  readonly leases: LeasesInVault;
  readonly parents: ParentTokens;
  readonly events: SecretsManagerEmitter;
  readonly policy: LeasePolicy;
  /** Milliseconds for which a secret without a lease is kept. */
  readonly refreshMs: number;
  readonly now: () => number;
  readonly random: () => number;
  /** A lease that has a successor: to be revoked once `told` has settled and the overlap has passed. */
  readonly retire: (lease: HeldLease, told: Promise<void>) => void;
}

/** A caller whose credential still works does not wait longer than this for its renewal. */
const PATIENCE_MS = 1_000;
const SOONEST_REISSUE_MS = 1_000;
const LATEST_REISSUE_MS = 60_000;

/** `refused`: by Vault or its engine, so that a new credential may still be had; `unreachable`: there is nobody to ask for one. */
type RenewalResult = 'renewed' | 'lost' | 'refused' | 'unreachable';

/**
 * The credential at one path: issued once, kept renewed, and, when it is shared, replaced before it ends. One step at a time,
 * whoever asks for it: a caller, the alarm, or both.
 */
export class LeasedPath {
  readonly path: string;
  /** False: one caller's own, which ends at its max TTL and has no successor. */
  readonly #shared: boolean;
  readonly #deps: LeasedPathDependencies;
  #current: HeldLease | undefined;
  /** The last lease, lost before there was a successor. */
  #lost: HeldLease | undefined;
  #toldExpiring = false;
  #failedReissues = 0;
  #reissueAt: number | undefined;
  #step: Promise<void> | undefined;

  constructor(path: string, shared: boolean, deps: LeasedPathDependencies) {
    this.path = path;
    this.#shared = shared;
    this.#deps = deps;
  }

  get held(): HeldLease | undefined {
    return this.#current;
  }

  /** What is being done now, for those who must wait for it. */
  get busy(): Promise<void> | undefined {
    return this.#step;
  }

  /** Nothing is held, and nothing will be unless a caller asks again. */
  get isIdle(): boolean {
    return this.#current === undefined && this.#step === undefined && this.#reissueAt === undefined;
  }

  condition(): LeaseCondition {
    const held = this.#current;
    if (held === undefined || !this.#works()) return { path: this.path, state: 'lost', expiresAt: undefined };
    return {
      path: this.path,
      state: held.state.retryAt === undefined ? 'held' : 'failing',
      expiresAt: held.leaseId === '' ? undefined : endOf(held.state, held.parent),
    };
  }

  /** A credential that works. What is due by the clock is done first, so this is right after a freeze. Throws VaultError. */
  async get(): Promise<HeldLease> {
    if (this.#action() !== 'wait') {
      const step = this.attend();
      if (this.#works()) await waitAtMost(step, PATIENCE_MS);
      if (!this.#works()) await step;
    }
    // Lost or run out in the meantime: one more step issues anew, or says why not.
    if (!this.#works()) await this.attend();
    if (this.#current === undefined || !this.#works()) throw endedAtOnce(this.path);
    return this.#current;
  }

  /** When to call `attend` next; Infinity when there is nothing to be done without a caller. */
  nextLook(): number {
    if (this.#step !== undefined) return Number.POSITIVE_INFINITY;
    const held = this.#current;
    if (held === undefined) return this.#reissueAt ?? Number.POSITIVE_INFINITY;
    if (held.leaseId === '') return Number.POSITIVE_INFINITY;
    if (this.#toldExpiring && !this.#shared) return endOf(held.state, held.parent);
    return nextLook(held.state, held.parent);
  }

  /**
   * Does what is due. Rejects only when no working credential is left and none could be made; otherwise a failure is told as `fault`
   * and tried again in time.
   */
  attend(): Promise<void> {
    this.#step ??= this.#act().finally(() => {
      this.#step = undefined;
    });
    return this.#step;
  }

  #action(): LeaseAction {
    const { now, policy } = this.#deps;
    return this.#current ? decide(this.#current.state, this.#current.parent, now(), policy) : 'end';
  }

  #works(): boolean {
    const held = this.#current;
    return held !== undefined && this.#deps.now() < endOf(held.state, held.parent);
  }

  async #act(): Promise<void> {
    // The token may have been renewed without our knowing; and if it must be replaced, that comes first.
    await this.#deps.parents.current().catch(() => undefined);
    const held = this.#current;
    if (held === undefined) return this.#reissue();
    switch (this.#action()) {
      case 'wait':
        return;
      case 'renew':
      case 'renew-or-replace':
        return this.#renewOrReplace(held);
      case 'replace':
        return this.#handOver(held);
      case 'end':
        return this.#lose(held);
    }
  }

  async #renewOrReplace(held: HeldLease): Promise<void> {
    const result = await this.#renew(held);
    if (result === 'lost') return this.#lose(held);
    // After the safe life: but who cannot reach Vault for a renewal cannot for a new credential either.
    if (result === 'refused' && this.#isUnsafe(held)) return this.#handOver(held);
  }

  #isUnsafe({ state, parent }: HeldLease): boolean {
    const { now, policy } = this.#deps;
    return decide({ ...state, retryAt: undefined }, parent, now(), policy) === 'renew-or-replace';
  }

  async #renew(held: HeldLease): Promise<RenewalResult> {
    const { leases, events, policy, now, random } = this.#deps;
    const { path, leaseId, state } = held;
    const askedAt = now();
    try {
      const grant = await leases.renew(path, leaseId, state.ttlMs);
      const renewed = { ...held, state: afterGrant(state.ttlMs, grant, askedAt, policy, random) };
      this.#current = renewed;
      void events.emit('renewed', { path, leaseId, expiresAt: endOf(renewed.state, renewed.parent) });
      return 'renewed';
    } catch (error) {
      if (isVaultError(error, 'vault_lease_not_found', 'vault_lease_irrevocable')) return 'lost';
      if (isVaultError(error, 'vault_lease_not_renewable')) {
        this.#current = { ...held, state: asFinal(state, policy) };
        return 'renewed';
      }
      this.#failed(held, 'renew', error);
      return isTransient(error) && codeOf(error) !== 'vault_unavailable' ? 'unreachable' : 'refused';
    }
  }

  /** The end of the current lease is near: a shared one gets its successor, one caller's own only a warning. */
  async #handOver(held: HeldLease): Promise<void> {
    if (held.leaseId !== '' && !this.#toldExpiring) {
      this.#toldExpiring = true;
      const expiresAt = endOf(held.state, held.parent);
      void this.#deps.events.emit('expiring', { path: this.path, leaseId: held.leaseId, expiresAt });
    }
    if (!this.#shared) return;
    try {
      const successor = await this.#issue();
      this.#deps.retire(held, this.#tellRotated(held, successor));
    } catch (error) {
      this.#failed(held, 'issue', error);
    }
  }

  /** The current credential no longer works. */
  async #lose(held: HeldLease): Promise<void> {
    this.#current = undefined;
    if (held.leaseId !== '' && (this.#shared || !this.#toldExpiring)) {
      void this.#deps.events.emit('lost', { path: this.path, leaseId: held.leaseId });
    }
    if (!this.#shared) return;
    this.#lost = held;
    await this.#reissue();
  }

  /** A credential where there is none. Who once had one gets one again without asking, unless Vault refuses. */
  async #reissue(): Promise<void> {
    const { now, random } = this.#deps;
    try {
      const successor = await this.#issue();
      if (this.#lost !== undefined) void this.#tellRotated(this.#lost, successor);
      this.#lost = undefined;
    } catch (error) {
      this.#reissueAt = undefined;
      if (this.#lost !== undefined && isTransient(error)) {
        const backoff = Math.min(SOONEST_REISSUE_MS * 2 ** this.#failedReissues, LATEST_REISSUE_MS);
        this.#reissueAt = now() + backoff * (0.5 + random() / 2);
        this.#failedReissues += 1;
      }
      throw error;
    }
  }

  async #issue(): Promise<HeldLease> {
    const { leases } = this.#deps;
    const issued = await leases.issue(this.path);
    const { data, leaseId, parent, vaultRequestId } = issued;
    const held: HeldLease = {
      path: this.path,
      leaseId,
      data,
      parent,
      vaultRequestId,
      state: this.#stateOf(issued),
    };
    this.#current = held;
    this.#toldExpiring = false;
    this.#failedReissues = 0;
    this.#reissueAt = undefined;
    return held;
  }

  #stateOf({ leaseId, grant, askedAt }: IssuedSecret): LeaseState {
    const { policy, random, refreshMs } = this.#deps;
    // Without a lease nobody says how long it holds: it is kept for as long as a secret from KV is.
    const effective = leaseId === '' ? { ttlMs: refreshMs, renewable: false } : grant;
    return afterGrant(effective.ttlMs, effective, askedAt, policy, random);
  }

  #tellRotated(previous: HeldLease, current: HeldLease): Promise<void> {
    if (previous.leaseId === '' || current.leaseId === '') return Promise.resolve();
    return this.#deps.events.emit('rotated', {
      path: this.path,
      previous: { leaseId: previous.leaseId },
      current: { leaseId: current.leaseId },
    });
  }

  #failed(held: HeldLease, operation: 'renew' | 'issue', error: unknown): void {
    const { events, now, random } = this.#deps;
    this.#current = { ...held, state: afterFailure(held.state, held.parent, now(), random) };
    void events.emit('fault', { operation, path: this.path, error });
  }
}
