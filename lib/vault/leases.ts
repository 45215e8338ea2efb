import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

/** What a renewal granted. */
export interface LeaseRenewal {
  readonly renewable: boolean;
  /** Seconds from now. Less than asked for means that the max TTL is near. */
  readonly leaseDurationSeconds: number;
}

/** What Vault knows of a lease. Times in milliseconds since the epoch. */
export interface LeaseLookup {
  readonly issueTime: number;
  readonly expireTime: number;
  readonly renewable: boolean;
  readonly ttlSeconds: number;
}

const renewAnswer = z.object({ renewable: z.boolean(), lease_duration: z.number() });
const lookupAnswer = z.object({
  data: z.object({
    issue_time: z.string(),
    expire_time: z.string().nullable(),
    renewable: z.boolean(),
    ttl: z.number(),
  }),
});
const keysAnswer = z.object({ data: z.object({ keys: z.array(z.string()) }).optional() });

/** Wrapping tokens stand among the leases of a prefix under such names. */
const WRAPPING_TOKEN = /^h[0-9a-f]{64}$/;

/** `sys/leases/*` of one namespace (documented under "/sys/leases" of Vault's HTTP API). */
export class Leases {
  readonly #vault: Vault;
  readonly #namespace: string;

  constructor(vault: Vault, namespace: string) {
    this.#vault = vault;
    this.#namespace = namespace;
  }

  /**
   * Renews to `incrementSeconds` from now. Beware: an increment below what remains shortens the lease. Throws
   * `vault_lease_not_found`, `vault_lease_not_renewable`, `vault_renew_failed` (unchanged, may be tried again).
   */
  async renew(leaseId: string, incrementSeconds: number): Promise<LeaseRenewal> {
    const answer = await this.#vault.request({
      method: 'PUT',
      path: joinPath(this.#namespace, 'sys/leases/renew'),
      body: { lease_id: leaseId, increment: incrementSeconds },
      repeatable: true,
    });
    const { renewable, lease_duration } = parseAnswer(renewAnswer, answer, 'renewing a lease');
    return { renewable, leaseDurationSeconds: lease_duration };
  }

  /** Throws `vault_lease_not_found` for one that is gone. */
  async lookup(leaseId: string): Promise<LeaseLookup> {
    const answer = await this.#vault.request({
      method: 'PUT',
      path: joinPath(this.#namespace, 'sys/leases/lookup'),
      body: { lease_id: leaseId },
      repeatable: true,
    });
    const { data } = parseAnswer(lookupAnswer, answer, 'looking up a lease');
    return {
      issueTime: Date.parse(data.issue_time),
      expireTime: data.expire_time === null ? 0 : Date.parse(data.expire_time),
      renewable: data.renewable,
      ttlSeconds: data.ttl,
    };
  }

  /** Revokes and waits until it is done. A lease that is already gone counts as revoked. Throws `vault_revoke_failed`: it still lives. */
  async revoke(leaseId: string): Promise<void> {
    await this.#vault.request({
      method: 'PUT',
      path: joinPath(this.#namespace, 'sys/leases/revoke'),
      body: { lease_id: leaseId, sync: true },
      repeatable: true,
    });
  }

  /** Ids of the leases directly under a prefix such as `database/creds/api-gateway/`. Needs `list` and `sudo`. */
  async list(prefix: string): Promise<readonly string[]> {
    const answer = await this.#vault.request({
      method: 'LIST',
      path: joinPath(this.#namespace, 'sys/leases/lookup', prefix),
      repeatable: true,
      missingIsAnswer: true,
    });
    const keys = parseAnswer(keysAnswer, answer, 'listing leases').data?.keys ?? [];
    return keys
      .filter((key) => !key.endsWith('/') && !WRAPPING_TOKEN.test(key))
      .map((key) => joinPath(prefix, key));
  }
}
