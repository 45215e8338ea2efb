import { LeasekeeperError } from '../errors.ts';
import { Alarm } from './alarm.ts';
import type { SecretsManagerEmitter } from './events.ts';
import {
  type HeldLease,
  type LeaseCondition,
  LeasedPath,
  type LeasedPathDependencies,
} from './leased-path.ts';
import type { LeasesInVault, Revocation } from './leases-in-vault.ts';
import type { ParentToken, ParentTokens } from './parent-tokens.ts';
import { Retirement } from './retirement.ts';

/** Times in milliseconds. */
export interface DynamicSecretsSettings {
  readonly overlapMs: number;
  readonly refreshMs: number;
  /** Whether an alarm may be set; else what is due is done by `get` and `settle`. */
  readonly background: boolean;
}

export interface DynamicSecretsDependencies {
  readonly leases: LeasesInVault;
  readonly parents: ParentTokens;
  readonly events: SecretsManagerEmitter;
  readonly now: () => number;
  readonly random: () => number;
}

/** A lease, and whether it was issued for this very call. */
export interface HeldAnswer {
  readonly lease: HeldLease;
  readonly served: 'cache' | 'load';
}

/** All leases of one process: each path's shared one, callers' own, and those that are being retired. One alarm keeps them all. */
export class DynamicSecrets {
  readonly #deps: DynamicSecretsDependencies;
  readonly #background: boolean;
  readonly #pathDeps: LeasedPathDependencies;
  readonly #shared = new Map<string, LeasedPath>();
  readonly #own = new Set<LeasedPath>();
  readonly #retirement: Retirement;
  readonly #alarm: Alarm;
  #closed = false;

  constructor(settings: DynamicSecretsSettings, deps: DynamicSecretsDependencies) {
    const { leases, parents, events, now, random } = deps;
    this.#deps = deps;
    this.#background = settings.background;
    this.#alarm = new Alarm(() => void this.#attend(), now);
    this.#retirement = new Retirement({
      leases,
      parents,
      events,
      overlapMs: settings.overlapMs,
      isInUse: (parent) => this.#held().some((lease) => lease.parent === parent),
      now,
      changed: () => this.plan(),
    });
    const retire = (lease: HeldLease, told: Promise<void>) => this.#retirement.add(lease, told);
    const { refreshMs, overlapMs } = settings;
    this.#pathDeps = { leases, parents, events, policy: { overlapMs }, refreshMs, now, random, retire };
  }

  /** The path's shared credential. Throws VaultError. */
  async get(path: string): Promise<HeldAnswer> {
    const leased = this.#shared.get(path) ?? new LeasedPath(path, true, this.#pathDeps);
    this.#shared.set(path, leased);
    return this.#serve(leased);
  }

  /** A credential that no other caller gets. Throws VaultError. */
  async issue(path: string): Promise<HeldAnswer> {
    const leased = new LeasedPath(path, false, this.#pathDeps);
    this.#own.add(leased);
    return this.#serve(leased);
  }

  /**
   * Revokes one lease, and issues no other in its place. Throws `lease_unknown`, `lease_not_revocable`, VaultError (then the revocation
   * is tried again by itself).
   */
  async release(leaseId: string): Promise<void> {
    const find = () => this.#all().find(({ held }) => held?.leaseId === leaseId);
    await find()?.busy?.catch(() => undefined);
    const leased = find();
    const lease = leased?.held;
    if (leased === undefined || lease === undefined) throw leaseUnknown();
    this.#forget(leased);
    this.plan();
    let revocation: Revocation;
    try {
      revocation = await this.#deps.leases.revoke(lease.path, leaseId);
    } catch (error) {
      this.#retirement.add(lease, Promise.resolve());
      throw error;
    }
    if (revocation === 'denied') throw notRevocable(lease.path);
  }

  /** Sets the alarm for what is to be done next. To be called whenever that may have changed. */
  plan(): void {
    if (this.#closed || !this.#background) return;
    const paths = this.#all();
    const looks = paths.map((leased) => leased.nextLook());
    const token = this.#held().length > 0 ? this.#deps.parents.nextLook() : Number.POSITIVE_INFINITY;
    this.#alarm.set(Math.min(token, this.#retirement.nextLook(), ...looks));
  }

  /** Does what is due now, and waits for that and for what is under way. Never rejects. */
  async settle(): Promise<void> {
    if (!this.#closed) await this.#attend();
    await Promise.allSettled([...this.#all().map(({ busy }) => busy), ...this.#retirement.busy]);
  }

  /** How each shared credential is, for a readiness probe. */
  conditions(): readonly LeaseCondition[] {
    return [...this.#shared.values()].map((leased) => leased.condition());
  }

  /** Stops keeping, waits for what is under way and revokes all that is held, with the tokens that are no longer in use. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#deps.leases.stopIssuing();
    this.#alarm.stop();
    await Promise.allSettled([...this.#all().map(({ busy }) => busy), ...this.#retirement.busy]);
    const held = [...this.#held(), ...this.#retirement.leases];
    this.#shared.clear();
    this.#own.clear();
    await Promise.all(held.map((lease) => this.#revoke(lease)));
    const superseded = new Set(held.map(({ parent }) => parent).filter((parent) => parent.superseded));
    await Promise.all([...superseded].map((parent) => this.#revokeToken(parent)));
  }

  async #serve(leased: LeasedPath): Promise<HeldAnswer> {
    const before = leased.held;
    try {
      const lease = await leased.get();
      return { lease, served: before?.data === lease.data ? 'cache' : 'load' };
    } finally {
      if (before === undefined || leased.held !== before) this.#settle(leased);
    }
  }

  async #attend(): Promise<void> {
    const { parents, events, now } = this.#deps;
    await parents.attend();
    const due = this.#all().filter((leased) => leased.nextLook() <= now());
    const work = due.map(async (leased) => {
      await leased.attend().catch((error: unknown) => {
        void events.emit('fault', { operation: 'issue', path: leased.path, error });
      });
      this.#settle(leased);
    });
    await Promise.all([...work, this.#retirement.attend()]);
    this.plan();
  }

  #settle(leased: LeasedPath): void {
    if (leased.isIdle) this.#forget(leased);
    this.plan();
  }

  #forget(leased: LeasedPath): void {
    if (this.#shared.get(leased.path) === leased) this.#shared.delete(leased.path);
    this.#own.delete(leased);
  }

  #all(): readonly LeasedPath[] {
    return [...this.#shared.values(), ...this.#own];
  }

  #held(): readonly HeldLease[] {
    return this.#all().flatMap(({ held }) => (held !== undefined && held.leaseId !== '' ? [held] : []));
  }

  async #revoke({ path, leaseId }: HeldLease): Promise<void> {
    try {
      await this.#deps.leases.revoke(path, leaseId);
    } catch (error) {
      void this.#deps.events.emit('fault', { operation: 'revoke', path, error });
    }
  }

  async #revokeToken(parent: ParentToken): Promise<void> {
    try {
      await this.#deps.parents.revoke(parent);
    } catch (error) {
      void this.#deps.events.emit('fault', { operation: 'cleanup', error });
    }
  }
}

function leaseUnknown(): LeasekeeperError {
  return new LeasekeeperError('lease_unknown', 'No lease of that id is held.', {
    hint: 'It has ended, was released before, or belongs to another process.',
  });
}

function notRevocable(path: string): LeasekeeperError {
  return new LeasekeeperError(
    'lease_not_revocable',
    `The policy does not allow revoking the lease of ${path}.`,
    {
      hint: 'It is no longer renewed and ends at its TTL. Allow update on sys/leases/revoke to end it at once.',
    },
  );
}
