import type { GenerationChoice } from '../vault/published-generation.ts';
import type { SecretData } from './secret-data.ts';

/** A secret that stands in KV. */
export interface StaticSecret {
  readonly path: string;
  readonly data: SecretData;
  /** KV v2's version; 0 on KV v1, which has none. */
  readonly version: number;
  /** Which generation of a managed secret this is, where Leasekeeper published it. */
  readonly generation: number | undefined;
  /** ISO date on which this version was written; undefined on KV v1. */
  readonly createdTime: string | undefined;
  /** True when Vault could not be asked and an earlier answer stands in for the time being. */
  readonly stale: boolean;
}

/** What stands at a path, and the generation before it. */
export interface SecretGenerations {
  /** The newest version: what `getSecret` gives. */
  readonly current: StaticSecret;
  /** Undefined when there is none, or it is no longer there. */
  readonly previous: StaticSecret | undefined;
}

/** A secret that Vault made for this process, or, at a path in KV, the newest generation that was published there. */
export interface DynamicSecret {
  readonly path: string;
  readonly data: SecretData;
  /** Undefined for what has no lease: a path in KV, a database's static role. */
  readonly leaseId: string | undefined;
  /**
   * Milliseconds since the epoch until which it works for certain, as far as is known now: renewals move it on. Undefined without a
   * lease.
   */
  readonly expiresAt: number | undefined;
  /** KV v2's version, at a path in KV. */
  readonly version: number | undefined;
  readonly generation: number | undefined;
  readonly stale: boolean;
}

/** Settings of `init`. */
export interface InitOptions {
  /** Static secrets to have at hand. */
  readonly secrets?: readonly string[];
  /** Credentials to issue. */
  readonly dynamicSecrets?: readonly string[];
  readonly signal?: AbortSignal;
}

/** Settings of one `getSecret`. */
export interface GetSecretOptions {
  /** Gives this one field in place of the whole secret. */
  readonly field?: string;
  /** An earlier version, on KV v2. */
  readonly version?: number;
  /** The version that holds this generation of a managed secret: its number, `current` or `previous`. Not together with `version`. */
  readonly generation?: GenerationChoice;
  /** Stops waiting; others who wait for the same secret are not disturbed. */
  readonly signal?: AbortSignal;
}

/** Settings of one `getDynamicSecret`. */
export interface GetDynamicSecretOptions {
  /**
   * A lease of the caller's own. It is renewed until its max TTL and then ends (`expiring` tells); end it sooner with `release`. At a
   * path in KV: read now, whatever the cache has.
   */
  readonly fresh?: boolean;
  readonly signal?: AbortSignal;
}
