import { spreadOf } from '../agenda/shard-of.ts';
import type { CareEntry, LeaseEntry, LeaseNotice, TokenEntry } from './entry.ts';

/** How leases are kept. Times in milliseconds. */
export interface LeasePolicy {
  readonly scanIntervalMs: number;
  /** What falls due within this is done now: the scan's own interval and slack. */
  readonly lookAheadMs: number;
}

/** What to do with an entry that is due. */
export type LeaseDecision =
  | { readonly kind: 'wait' }
  | { readonly kind: 'publish' }
  | { readonly kind: 'look-for-opening' }
  | { readonly kind: 'renew' }
  | { readonly kind: 'retire' }
  | { readonly kind: 'announce'; readonly notice: LeaseNotice }
  | { readonly kind: 'forget' };

/** What came of a renewal. */
export type RenewalOutcome =
  | { readonly kind: 'granted'; readonly ttlSeconds: number; readonly renewable: boolean }
  | { readonly kind: 'lost' }
  | { readonly kind: 'not-renewable' }
  | { readonly kind: 'failed' };

const RENEW_AT = 2 / 3;
const SPREAD = 0.1;
const HANDOVER_SHARE = 0.2;
/** Granted less than this share of what was asked for: the max TTL is near. */
const NOTICEABLY_LESS = 0.95;
const SOONEST_RETRY_MS = 5_000;
const LATEST_RETRY_MS = 300_000;
/** A due entry's neighbours that are within this share of their TTL of being due are renewed in the same visit. */
const TOGETHER_SHARE = 0.05;
const LONGEST_CLAIM_MS = 120_000;

/** When to renew: 2/3 of the granted life, less up to 10% taken from a hash of the id. */
export function renewalDue(id: string, from: number, grantedMs: number): number {
  return Math.floor(from + grantedMs * RENEW_AT * (1 - SPREAD * spreadOf(id)));
}

/**
 * When the consumer of a lease that will end is told: before its end by the largest of 20% of its TTL, two scan intervals, and what the
 * lease itself asks for.
 */
export function handoverStart(entry: CareEntry, policy: LeasePolicy): number {
  const asked = entry.kind === 'lease' ? (entry.handover ?? 0) : 0;
  return entry.expire - Math.max(entry.ttl * 1_000 * HANDOVER_SHARE, 2 * policy.scanIntervalMs, asked);
}

/** A TTL under three scan intervals cannot be kept by the schedule: whoever asks for such a lease is told so. */
export function canBeKept(ttlSeconds: number, policy: LeasePolicy): boolean {
  return ttlSeconds * 1_000 >= 3 * policy.scanIntervalMs;
}

/** Whether a visit takes this entry, given that it visits the shard anyway. */
export function isTaken(entry: CareEntry, now: number, policy: LeasePolicy): boolean {
  const together = entry.claim === undefined && !entry.failures ? entry.ttl * 1_000 * TOGETHER_SHARE : 0;
  return isDue({ ...entry, due: entry.due - together }, now, policy);
}

/**
 * Whether a scan must have the entry's shard visited. A claim is waited for to its very end: it is often shorter than the look-ahead,
 * and whoever looked ahead then would renew what another worker is renewing.
 */
export function isDue(entry: CareEntry, now: number, policy: LeasePolicy): boolean {
  return entry.due <= now + (entry.claim === undefined ? policy.lookAheadMs : 0);
}

/** How long a worker may take over one renewal before another takes it: the lesser of 2 min and a quarter of the life left. */
export function claimEnd(entry: CareEntry, now: number): number {
  const left = Math.max(entry.expire - now, 0);
  return now + Math.max(Math.min(LONGEST_CLAIM_MS, left / 4), SOONEST_RETRY_MS);
}

/** What a due entry needs. Pure: `now` is Vault's time. */
export function decide(entry: CareEntry, now: number, policy: LeasePolicy): LeaseDecision {
  if (entry.kind === 'token') return decideToken(entry, now);
  if (mustPublishFirst(entry)) return { kind: 'publish' };
  // A grace is a promise: it is never cut short by looking ahead.
  if (isToEnd(entry, now)) return { kind: 'retire' };
  // It lives as long as it must: a renewal now would only move the time at which it is looked at again.
  if (entry.retire_at !== undefined && entry.retire_at <= entry.expire) return { kind: 'wait' };
  if (entry.wrap) return { kind: 'look-for-opening' };
  if (!entry.final) return { kind: 'renew' };
  if (!entry.told?.includes('expiring')) {
    return handoverStart(entry, policy) <= now + policy.lookAheadMs
      ? { kind: 'announce', notice: 'expiring' }
      : { kind: 'wait' };
  }
  return entry.expire <= now ? { kind: 'forget' } : { kind: 'wait' };
}

/** A notice that the bus does not take holds up no renewal: only where there is nothing left to renew is it all there is to do. */
function mustPublishFirst({ unpublished = [], final }: LeaseEntry): boolean {
  return unpublished.length > 0 && (final === true || unpublished.includes('lost'));
}

function decideToken(entry: TokenEntry, now: number): LeaseDecision {
  if (!entry.final) return { kind: 'renew' };
  return entry.expire <= now ? { kind: 'forget' } : { kind: 'wait' };
}

/** When a final entry is looked at next: to retire it, to tell its consumer, then to forget it. */
export function finalDue(entry: CareEntry, policy: LeasePolicy): number {
  return Math.min(retireAt(entry), endDue(entry, policy));
}

function retireAt(entry: CareEntry): number {
  return (entry.kind === 'lease' ? entry.retire_at : undefined) ?? Number.POSITIVE_INFINITY;
}

function endDue(entry: CareEntry, policy: LeasePolicy): number {
  if (entry.kind === 'token' || entry.told?.includes('expiring')) return entry.expire;
  return handoverStart(entry, policy);
}

/** An entry whose end is now fixed. */
export function asFinal<E extends CareEntry>(entry: E, expire: number, policy: LeasePolicy): E {
  const final = { ...withoutClaim(entry), final: true, expire, failures: 0 };
  return { ...final, due: finalDue(final, policy) };
}

/** An entry that nobody is working on. */
export function withoutClaim<E extends CareEntry>(entry: E): E {
  return entry.claim === undefined ? entry : { ...entry, claim: undefined };
}

/** The entry after a renewal, or undefined when it is no more and there is nothing to tell. */
export function afterRenewal(
  entry: CareEntry,
  outcome: RenewalOutcome,
  now: number,
  policy: LeasePolicy,
  random: () => number,
): CareEntry | undefined {
  switch (outcome.kind) {
    case 'granted':
      return afterGrant(withoutFailing(entry), outcome, now, policy);
    case 'not-renewable':
      return asFinal(entry, entry.expire, policy);
    case 'failed':
      return isDeadByAnyCount(entry, now) ? afterLoss(entry, now) : afterFailure(entry, now, random);
    case 'lost':
      return afterLoss(entry, now);
  }
}

function afterLoss(entry: CareEntry, now: number): CareEntry | undefined {
  return entry.kind === 'token' || isToEnd(entry, now)
    ? undefined
    : withNotice(withoutClaim(entry), 'lost', now);
}

/** Whether somebody has asked for its end by now: then nothing is lost. */
export function isToEnd(entry: CareEntry, now: number): boolean {
  return entry.kind === 'lease' && entry.retire_at !== undefined && entry.retire_at <= now;
}

/**
 * Past its end even if the last renewal went through and only its answer was lost. Where Vault will not say what became of a lease
 * (its mount is gone, we are denied), this ends the tries.
 */
function isDeadByAnyCount(entry: CareEntry, now: number): boolean {
  return now > entry.expire + entry.ttl * 1_000;
}

/** Renewal works again: a failure not yet told is no news any more, and a further one is worth telling once more. */
function withoutFailing<E extends CareEntry>(entry: E): E {
  if (entry.kind === 'token') return entry;
  const others = (notices: readonly LeaseNotice[] = []) => notices.filter((one) => one !== 'renewal_failing');
  return { ...entry, told: others(entry.told), unpublished: others(entry.unpublished) };
}

function afterGrant(
  entry: CareEntry,
  granted: { readonly ttlSeconds: number; readonly renewable: boolean },
  now: number,
  policy: LeasePolicy,
): CareEntry {
  const grantedMs = granted.ttlSeconds * 1_000;
  const expire = now + grantedMs;
  const enough = entry.kind === 'lease' && entry.until !== undefined && expire >= entry.until;
  if (!granted.renewable || enough || granted.ttlSeconds < entry.ttl * NOTICEABLY_LESS)
    return asFinal(entry, expire, policy);
  const due = Math.min(renewalDue(entry.id, now, grantedMs), retireAt(entry));
  return { ...withoutClaim(entry), expire, due, failures: 0 };
}

/**
 * A failed renewal never mints: only renewal is retried, at a quarter of the life that is left, counted from the absolute expiry.
 */
function afterFailure(entry: CareEntry, now: number, random: () => number): CareEntry {
  const failed = {
    ...withoutClaim(entry),
    failures: (entry.failures ?? 0) + 1,
    due: retryAt(entry, now, random),
  };
  if (failed.kind === 'token') return failed;
  return failed.told?.includes('renewal_failing')
    ? failed
    : withNotice(failed, 'renewal_failing', failed.due);
}

/** Never later than the end while there is time for another try before it. */
function retryAt(entry: CareEntry, now: number, random: () => number): number {
  const left = Math.max(entry.expire - now, 0);
  const spaced = Math.min(Math.max(left / 4, SOONEST_RETRY_MS), LATEST_RETRY_MS) * (0.9 + 0.2 * random());
  return Math.floor(now + (left < SOONEST_RETRY_MS ? spaced : Math.min(spaced, left)));
}

/** The lease with a notice to publish, due at once so that no crash can lose it. */
export function withNotice(entry: LeaseEntry, notice: LeaseNotice, due: number): LeaseEntry {
  return {
    ...entry,
    due: Math.min(entry.due, due),
    told: [...(entry.told ?? []), notice],
    unpublished: [...(entry.unpublished ?? []), notice],
  };
}

/** The lease once the bus has its notices; undefined when it was lost and there is nothing left to care for. */
export function afterPublishing(
  entry: LeaseEntry,
  published: readonly LeaseNotice[],
  policy: LeasePolicy,
): LeaseEntry | undefined {
  if (published.includes('lost')) return undefined;
  const unpublished = (entry.unpublished ?? []).filter((notice) => !published.includes(notice));
  const rest = { ...withoutClaim(entry), unpublished };
  return rest.final ? { ...rest, due: finalDue(rest, policy) } : rest;
}
