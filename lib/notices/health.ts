import { eventId, type Outcome } from '../bus/events.ts';
import type { AttemptResult } from './notice.ts';
import type { Subscription } from './subscription.ts';

const HOUR = 3_600_000;

/** An endpoint that has failed for this long on end is disabled. */
export const DISABLED_AFTER_MS = 5 * 24 * HOUR;

/** People are warned when an endpoint has failed for this long: four days before it is disabled, and one day before. */
export const WARNED_AFTER_MS: readonly number[] = [24 * HOUR, 4 * 24 * HOUR];

/** The subscription after an attempt; the same object when nothing is to be written. Pure. */
export function healthAfter(subscription: Subscription, result: AttemptResult, now: number): Subscription {
  if (subscription.disabled !== undefined) return subscription;
  if (result.kind === 'gone') return { ...subscription, disabled: { at: now, reason: 'gone' } };
  if (result.kind === 'delivered') return well(subscription);
  const { failing_since: since, warned = 0 } = subscription;
  if (since === undefined) return { ...subscription, failing_since: now };
  if (now - since >= DISABLED_AFTER_MS) return { ...subscription, disabled: { at: now, reason: 'failing' } };
  const due = WARNED_AFTER_MS.filter((after) => now - since >= after).length;
  return due > warned ? { ...subscription, warned: due } : subscription;
}

function well(subscription: Subscription): Subscription {
  if (subscription.failing_since === undefined) return subscription;
  const { failing_since: _, warned: __, ...rest } = subscription;
  return rest;
}

/**
 * What others are told of a change of health; undefined: nothing. The id is the same for all who saw the same version of the document
 * change: several attempts may end together.
 */
export function announcementOf(
  before: Subscription,
  after: Subscription,
  version: number,
  now: number,
): Outcome | undefined {
  const time = new Date(now).toISOString();
  const { id, disabled, failing_since: since = now } = after;
  if (disabled !== undefined && disabled.reason !== 'by_hand' && before.disabled === undefined) {
    const data = { subscription: id, reason: disabled.reason };
    return { id: eventId('subscription.disabled', id, version), type: 'subscription.disabled', time, data };
  }
  if ((after.warned ?? 0) <= (before.warned ?? 0)) return undefined;
  const data = {
    subscription: id,
    since: new Date(since).toISOString(),
    disabled_at: new Date(since + DISABLED_AFTER_MS).toISOString(),
  };
  return {
    id: eventId('subscription.failing', id, since, after.warned ?? 0),
    type: 'subscription.failing',
    time,
    data,
  };
}
