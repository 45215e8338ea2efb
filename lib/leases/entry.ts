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
 * that a lease is to be retired.
 */
function mergeCare(existing: CareEntry, incoming: CareEntry): CareEntry {
  if (existing.kind === 'token' && incoming.kind === 'token') {
    return incoming.used > existing.used ? { ...existing, used: incoming.used } : existing;
  }
  if (existing.kind === 'lease' && incoming.kind === 'lease' && existing.retire_at === undefined) {
    const { retire_at } = incoming;
    return retire_at === undefined
      ? existing
      : { ...existing, retire_at, due: Math.min(existing.due, retire_at) };
  }
  return existing;
}

export const LEASES: BookKind<CareEntry> = { name: 'leases', entry: careEntrySchema, merge: mergeCare };
