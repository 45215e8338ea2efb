import * as z from 'zod';
import type { BookKind } from '../agenda/book.ts';

/** Events of a lease that are told once each. */
export const LEASE_NOTICES = ['expiring', 'renewal_failing', 'lost'] as const;
export type LeaseNotice = (typeof LEASE_NOTICES)[number];

const times = {
  /** All times in milliseconds since the epoch, by Vault's clock. */
  due: z.number(),
  issue: z.number(),
  expire: z.number(),
  /** Seconds first granted: what every renewal asks for. */
  ttl: z.number(),
  /** Tries in a row that failed. */
  failures: z.number().optional(),
  /** Its end is fixed: the max TTL is near, or it cannot be renewed. */
  final: z.boolean().optional(),
  /** The worker that is renewing it; `due` is then the end of the claim. */
  claim: z.string().optional(),
};

/** A lease under care, as the agenda keeps it. */
export const leaseEntrySchema = z.object({
  kind: z.literal('lease'),
  /** The lease id. */
  id: z.string(),
  ...times,
  /** The namespace whose `sys/leases/*` knows it. */
  ns: z.string(),
  path: z.string(),
  /** The service that uses it, or the managed secret it belongs to. */
  consumer: z.string(),
  /** Where the consumer has logged in, when a login says who it is: a role of the same name elsewhere is another's. */
  mount: z.string().optional(),
  /** When its consumer last had it renewed. */
  renewed: z.number().optional(),
  /** Accessor of the parent token. */
  parent: z.string().optional(),
  /** Set for a generation of a managed secret. */
  managed: z.object({ name: z.string(), generation: z.number() }).optional(),
  /** Milliseconds before its end at which its consumer must know at the latest. */
  handover: z.number().optional(),
  /** Renewals end once they reach this time: its consumer asked for no longer life. */
  until: z.number().optional(),
  /** Replaced by another lease: to be revoked then. */
  retire_at: z.number().optional(),
  told: z.array(z.enum(LEASE_NOTICES)).optional(),
  unpublished: z.array(z.enum(LEASE_NOTICES)).optional(),
  /** Issued wrapped, and not yet known to have been opened: care starts when the wrapping token is gone before its end. */
  wrap: z.object({ accessor: z.string(), expire: z.number() }).optional(),
});
export type LeaseEntry = z.infer<typeof leaseEntrySchema>;

/** A parent token under care: kept for as long as a lease hangs on it, and renewed by its accessor. */
export const tokenEntrySchema = z.object({
  kind: z.literal('token'),
  /** `token:` and the accessor. */
  id: z.string(),
  ...times,
  ns: z.string(),
  accessor: z.string(),
  /** When it was last given a lease. */
  used: z.number(),
});
export type TokenEntry = z.infer<typeof tokenEntrySchema>;

export const careEntrySchema = z.discriminatedUnion('kind', [leaseEntrySchema, tokenEntrySchema]);
export type CareEntry = z.infer<typeof careEntrySchema>;

export function tokenEntryId(accessor: string): string {
  return `token:${accessor}`;
}

/**
 * The entry that is there wins over a message, which may be old. It only learns what cannot be undone: that a token was used again, and
 * that a lease is to be retired, or was given more life by its consumer.
 */
function mergeCare(existing: CareEntry, incoming: CareEntry): CareEntry {
  if (existing.kind === 'token' && incoming.kind === 'token') {
    return incoming.used > existing.used ? { ...existing, used: incoming.used } : existing;
  }
  if (existing.kind !== 'lease' || incoming.kind !== 'lease') return existing;
  return withRetirement(withRenewal(existing, incoming), incoming);
}

function withRetirement(existing: LeaseEntry, { retire_at }: LeaseEntry): LeaseEntry {
  if (existing.retire_at !== undefined || retire_at === undefined) return existing;
  return { ...existing, retire_at, due: Math.min(existing.due, retire_at) };
}

/**
 * What every renewal asks for grows with what the consumer was granted, so that none of ours shortens the lease. The next one is not put
 * off: a worker may have renewed to the shorter time just now, and one renewal too many does no harm.
 */
function withRenewal(existing: LeaseEntry, incoming: LeaseEntry): LeaseEntry {
  const { renewed } = incoming;
  if (renewed === undefined || renewed <= (existing.renewed ?? 0)) return existing;
  const grown = {
    ...existing,
    renewed,
    ttl: Math.max(existing.ttl, incoming.ttl),
    expire: Math.max(existing.expire, incoming.expire),
    ...(existing.until === undefined
      ? {}
      : { until: Math.max(existing.until, incoming.until ?? existing.until) }),
  };
  if (!existing.final || !incoming.final) return { ...grown, due: Math.min(existing.due, incoming.due) };
  // No worker renews it any more: it is told anew when this end is near.
  const { told, unpublished } = incoming;
  return { ...grown, due: incoming.due, told, unpublished };
}

export const LEASES: BookKind<CareEntry> = { name: 'leases', entry: careEntrySchema, merge: mergeCare };
