import { eventId, type LeasekeeperEvent } from '../../lib/bus/events.ts';
import type { Subscription } from '../../lib/notices/subscription.ts';

export const TIME = '2026-11-21T20:00:00.000Z';
/** Every byte the same: a signing secret that protects nothing. */
const signingSecret = (byte: number) => `whsec_${Buffer.alloc(24, byte).toString('base64')}`;

export const OLD_SECRET = signingSecret(1);
export const NEW_SECRET = signingSecret(2);

/** A managed secret has a new generation. Another `generation` is another event. */
export function rotated(
  name: string,
  consumers: readonly string[] = [],
  generation = 1,
): LeasekeeperEvent<'secret.rotated'> {
  return {
    id: eventId('secret.rotated', name, generation),
    type: 'secret.rotated',
    time: TIME,
    data: { name, generation, path: `app/${name}`, consumers: [...consumers], reason: 'demand' },
  };
}

export function expiring(consumer: string): LeasekeeperEvent<'lease.expiring'> {
  return {
    id: eventId('lease.expiring', consumer),
    type: 'lease.expiring',
    time: TIME,
    data: { lease_id: 'database/creds/app/1', path: 'database/creds/app', consumer, expires_at: TIME },
  };
}

export function disabled(subscription: string): LeasekeeperEvent<'subscription.disabled'> {
  return {
    id: eventId('subscription.disabled', subscription),
    type: 'subscription.disabled',
    time: TIME,
    data: { subscription, reason: 'gone' },
  };
}

/** A subscription to everything. */
export function subscriptionOf(changes: Partial<Subscription> = {}): Subscription {
  return {
    id: '_all:everything',
    url: 'https://hooks.example.com/',
    types: ['*'],
    names: ['*'],
    secrets: [{ secret: NEW_SECRET }],
    ...changes,
  };
}
