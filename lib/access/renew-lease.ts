import * as z from 'zod';
import { asFinal, type LeasePolicy, renewalDue } from '../leases/decide.ts';
import type { LeaseEntry } from '../leases/entry.ts';
import { type LeaseRenewal, Leases } from '../vault/leases.ts';
import type { Caller } from './callers.ts';
import { leaseIdSchema, type OwnLeaseDependencies } from './own-lease.ts';
import { RequestError } from './problem.ts';

export const renewRequestSchema = z.strictObject({
  lease_id: leaseIdSchema,
  /** Seconds from now that it is to live at least. */
  increment: z.number().int().min(1).max(31_536_000).optional(),
});

export interface RenewLeaseDependencies extends OwnLeaseDependencies {
  readonly policy: LeasePolicy;
  readonly now: () => number;
}

export interface RenewedLease {
  readonly leaseId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly ttlSeconds: number;
  readonly renewable: boolean;
}

/** A lease whose end has moved by less than this, in milliseconds, ends when it did: Vault counts in seconds. */
const SAME_END_MS = 2_000;

/**
 * Renews a lease of the caller's own, with the caller's own token: whether it may is Vault's decision. It is asked for no less than any
 * renewal of ours asks for, because an increment below what remains would shorten the lease. Throws VaultError, and RequestError
 * `lease_retiring`.
 */
export async function renewLease(
  { book, policy, now }: RenewLeaseDependencies,
  caller: Caller,
  entry: LeaseEntry,
  increment = 0,
): Promise<RenewedLease> {
  if (entry.retire_at !== undefined) throw retiring();
  // Its life is counted from before it was asked for: whoever freezes before the answer must not think it younger.
  const asked = now();
  const granted = await new Leases(caller.vault, entry.ns).renew(entry.id, Math.max(increment, entry.ttl));
  const renewed = renewedEntry(entry, granted, asked, policy);
  if (renewed !== undefined) await book.add(renewed);
  return {
    leaseId: entry.id,
    expiresAt: asked + granted.leaseDurationSeconds * 1_000,
    ttlSeconds: granted.leaseDurationSeconds,
    renewable: granted.renewable,
  };
}

/** What the agenda is told: its entry grows by it (entry.ts, `withRenewal`). Undefined: nothing has changed. Pure. */
export function renewedEntry(
  entry: LeaseEntry,
  granted: LeaseRenewal,
  now: number,
  policy: LeasePolicy,
): LeaseEntry | undefined {
  const life = granted.leaseDurationSeconds * 1_000;
  const expire = now + life;
  const grown = {
    ...entry,
    renewed: now,
    ttl: Math.max(entry.ttl, granted.leaseDurationSeconds),
    ...(entry.until === undefined ? {} : { until: Math.max(entry.until, expire) }),
  };
  if (!entry.final) {
    return { ...grown, expire, due: entry.wrap?.expire ?? renewalDue(entry.id, now, life) };
  }
  if (expire <= entry.expire + SAME_END_MS) return undefined;
  const others = (entry.told ?? []).filter((notice) => notice !== 'expiring');
  const waiting = (entry.unpublished ?? []).filter((notice) => notice !== 'expiring');
  const final = asFinal({ ...grown, told: others, unpublished: waiting }, expire, policy);
  return entry.wrap === undefined ? final : { ...final, due: entry.wrap.expire };
}

function retiring(): RequestError {
  return new RequestError(
    409,
    'lease_retiring',
    'The lease was replaced or is being revoked: it is renewed no more.',
    'Use the one that replaces it, or ask for a new one.',
  );
}
