import { asFinal, type LeasePolicy, renewalDue } from './decide.ts';
import { type LeaseEntry, type TokenEntry, tokenEntryId } from './entry.ts';

/** A lease as it was just issued, or found. */
export interface IssuedLease {
  readonly leaseId: string;
  /** The namespace whose `sys/leases/*` knows it. */
  readonly namespace: string;
  readonly path: string;
  readonly consumer: string;
  readonly ttlSeconds: number;
  readonly renewable: boolean;
  /** Where the consumer has logged in, when a login says who it is. */
  readonly mount?: string;
  readonly parent?: string;
  readonly managed?: LeaseEntry['managed'];
  /** Milliseconds before its end at which its consumer must know at the latest. */
  readonly handoverMs?: number;
  /** Milliseconds since the epoch: it need not live longer. */
  readonly until?: number;
  readonly wrap?: LeaseEntry['wrap'];
}

/** The agenda's entry for a lease issued at `now` (milliseconds, Vault's clock). */
export function leaseEntryOf(issued: IssuedLease, now: number, policy: LeasePolicy): LeaseEntry {
  const life = issued.ttlSeconds * 1_000;
  const entry: LeaseEntry = {
    kind: 'lease',
    id: issued.leaseId,
    due: issued.wrap?.expire ?? renewalDue(issued.leaseId, now, life),
    issue: now,
    expire: now + life,
    ttl: issued.ttlSeconds,
    ns: issued.namespace,
    path: issued.path,
    consumer: issued.consumer,
    ...(issued.mount === undefined ? {} : { mount: issued.mount }),
    ...(issued.parent === undefined ? {} : { parent: issued.parent }),
    ...(issued.managed === undefined ? {} : { managed: issued.managed }),
    ...(issued.handoverMs === undefined ? {} : { handover: issued.handoverMs }),
    ...(issued.until === undefined ? {} : { until: issued.until }),
    ...(issued.wrap === undefined ? {} : { wrap: issued.wrap }),
  };
  const enough = issued.until !== undefined && entry.expire >= issued.until;
  if (issued.renewable && !enough) return entry;
  // Whether a wrapped lease was opened can be told only at the end of its wrapping, final or not.
  return { ...asFinal(entry, entry.expire, policy), ...(issued.wrap && { due: entry.due }) };
}

/** A parent token that a lease has just been made with. */
export interface ParentToken {
  readonly accessor: string;
  readonly namespace: string;
  readonly expiresAt: number;
  /** Seconds: what every renewal asks for. */
  readonly ttlSeconds: number;
  readonly renewable: boolean;
}

export function tokenEntryOf(parent: ParentToken, now: number, policy: LeasePolicy): TokenEntry {
  const entry: TokenEntry = {
    kind: 'token',
    id: tokenEntryId(parent.accessor),
    due: renewalDue(parent.accessor, now, parent.expiresAt - now),
    issue: now,
    expire: parent.expiresAt,
    ttl: parent.ttlSeconds,
    ns: parent.namespace,
    accessor: parent.accessor,
    used: now,
  };
  return parent.renewable ? entry : asFinal(entry, entry.expire, policy);
}
