import type { LeaseCondition } from './leased-path.ts';

/** Something that keeps a SecretsManager from being all well. No value, no id of a lease. */
export interface HealthReason {
  /** A stable code: that of the login's failure, `vault_not_answering`, `lease_lost`, `lease_renewal_failing`, `secrets_stale`. */
  readonly code: string;
  readonly path?: string;
}

/**
 * How a SecretsManager is. `ready`: all is well. `degraded`: everything that was asked for can still be had, but something would have to
 * be mended before it ends. `unready`: it cannot log in, or a credential that is in use has ended.
 */
export interface SecretsManagerHealth {
  readonly status: 'ready' | 'degraded' | 'unready';
  /** For a readiness probe: false only when `unready`. */
  readonly ready: boolean;
  readonly reasons: readonly HealthReason[];
  readonly token: { readonly expiresAt: number } | undefined;
  readonly leases: readonly LeaseCondition[];
  /** Static secrets: how many are kept, and how many of them stand in while Vault cannot be asked. */
  readonly cache: { readonly entries: number; readonly stale: number };
}

export interface HealthFacts {
  /** Until when the token in use works, in milliseconds since the epoch; or why there is none. */
  readonly login: { readonly expiresAt: number } | { readonly code: string };
  /** Whether Vault's last answer was one, and not a failure of its own. Undefined before the first. */
  readonly isAnswering: boolean | undefined;
  readonly leases: readonly LeaseCondition[];
  readonly cache: SecretsManagerHealth['cache'];
}

export function healthOf({ login, isAnswering, leases, cache }: HealthFacts): SecretsManagerHealth {
  const lost = leases.filter(({ state }) => state === 'lost');
  const failing = leases.filter(({ state }) => state === 'failing');
  const grave: HealthReason[] = [
    ...('code' in login ? [{ code: login.code }] : []),
    ...lost.map(({ path }) => ({ code: 'lease_lost', path })),
  ];
  const slight: HealthReason[] = [
    ...(isAnswering === false ? [{ code: 'vault_not_answering' }] : []),
    ...failing.map(({ path }) => ({ code: 'lease_renewal_failing', path })),
    ...(cache.stale > 0 ? [{ code: 'secrets_stale' }] : []),
  ];
  const reasons = [...grave, ...slight];
  const ready = grave.length === 0;
  return {
    status: ready ? (reasons.length === 0 ? 'ready' : 'degraded') : 'unready',
    ready,
    reasons,
    token: 'code' in login ? undefined : { expiresAt: login.expiresAt },
    leases,
    cache,
  };
}
