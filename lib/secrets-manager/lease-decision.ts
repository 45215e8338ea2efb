/** What Vault granted, at issue or at a renewal. */
export interface LeaseGrant {
  readonly ttlMs: number;
  readonly renewable: boolean;
}

/** What is known of a lease. Times in milliseconds since the epoch. */
export interface LeaseState {
  /** First granted: what every renewal asks for. */
  readonly ttlMs: number;
  readonly expiresAt: number;
  /** Its end is fixed: the max TTL is near, or it cannot be renewed. */
  readonly final: boolean;
  /** When to renew it; of a final lease, when to replace it. */
  readonly due: number;
  /** After a failure: not before this. */
  readonly retryAt: number | undefined;
}

/** What matters of the token that made the lease, because the lease dies with it. */
export interface ParentView {
  readonly expiresAt: number;
  /** Another token has taken its place, so nobody renews it any more. */
  readonly superseded: boolean;
}

export interface LeasePolicy {
  /** How long the old credential should work beside the new one. */
  readonly overlapMs: number;
}

/**
 * What to do now. `renew-or-replace`: the safe life is over, so a renewal that fails is followed by a replacement at once. `end`: the
 * credential no longer works for certain.
 */
export type LeaseAction = 'wait' | 'renew' | 'renew-or-replace' | 'replace' | 'end';

const RENEW_AT = 2 / 3;
const SPREAD = 0.1;
const WINDOW_SHARE = 0.2;
/** Well after the first renewal: one that fails must find safe life left. */
const WIDEST_WINDOW_SHARE = 1 / 4;
/** Granted less than this share of what was asked for: the max TTL is near. */
const NOTICEABLY_LESS = 0.95;
const SOONEST_RETRY_MS = 1_000;
const LATEST_RETRY_MS = 300_000;
/** Of a very short lease a second is too much to wait. */
const SOONEST_RETRY_SHARE = 1 / 20;

/**
 * The end of a lease's life that is kept for handing over: a fifth of its TTL or the overlap, whichever is more, at most a quarter.
 * Before it life is safe, and a failed renewal makes no new credential.
 */
export function handoverWindowMs(ttlMs: number, policy: LeasePolicy): number {
  return Math.min(Math.max(ttlMs * WINDOW_SHARE, policy.overlapMs), ttlMs * WIDEST_WINDOW_SHARE);
}

/**
 * The state after a grant that was asked for at `askedAt`: counted from there, a process that froze before the answer came does not
 * think the lease younger than it is. `ttlMs` is what was first granted.
 */
export function afterGrant(
  ttlMs: number,
  grant: LeaseGrant,
  askedAt: number,
  policy: LeasePolicy,
  random: () => number,
): LeaseState {
  const expiresAt = askedAt + grant.ttlMs;
  const final = !grant.renewable || grant.ttlMs < ttlMs * NOTICEABLY_LESS;
  const renewAt = askedAt + grant.ttlMs * RENEW_AT * (1 - SPREAD * random());
  const due = final ? expiresAt - handoverWindowMs(ttlMs, policy) : renewAt;
  return { ttlMs, expiresAt, final, due, retryAt: undefined };
}

/** The state of a lease that turned out not to be renewable. */
export function asFinal(state: LeaseState, policy: LeasePolicy): LeaseState {
  return {
    ...state,
    final: true,
    due: state.expiresAt - handoverWindowMs(state.ttlMs, policy),
    retryAt: undefined,
  };
}

/** The state after a failure: the next try is at a quarter of the life left, counted from the absolute end, ±10%. */
export function afterFailure(
  state: LeaseState,
  parent: ParentView,
  now: number,
  random: () => number,
): LeaseState {
  const quarter = (endOf(state, parent) - now) / 4;
  const soonest = Math.min(SOONEST_RETRY_MS, state.ttlMs * SOONEST_RETRY_SHARE);
  const spaced = Math.min(Math.max(quarter, soonest), LATEST_RETRY_MS);
  return { ...state, retryAt: now + spaced * (0.9 + 0.2 * random()) };
}

/** Until when the credential works for certain. */
export function endOf(state: LeaseState, parent: ParentView): number {
  return Math.min(state.expiresAt, parent.expiresAt);
}

export function decide(state: LeaseState, parent: ParentView, now: number, policy: LeasePolicy): LeaseAction {
  if (now >= endOf(state, parent)) return 'end';
  if (now < dueOf(state, parent)) return 'wait';
  if (state.final || parent.superseded) return 'replace';
  return now >= state.expiresAt - handoverWindowMs(state.ttlMs, policy) ? 'renew-or-replace' : 'renew';
}

/** When `decide` will next say something other than `wait`. */
export function nextLook(state: LeaseState, parent: ParentView): number {
  return Math.min(dueOf(state, parent), endOf(state, parent));
}

function dueOf(state: LeaseState, parent: ParentView): number {
  const due = parent.superseded ? Number.NEGATIVE_INFINITY : state.due;
  return Math.max(due, state.retryAt ?? Number.NEGATIVE_INFINITY);
}
