import type { EventType, LeasekeeperEvent } from '../../lib/bus/events.ts';

const time = '2026-11-21T12:00:00.000Z';
const lease = {
  lease_id: 'database/creds/api-gateway/abc',
  path: 'database/creds/api-gateway',
  consumer: 'api-gateway',
  expires_at: '2026-11-21T13:00:00.000Z',
};
const secret = { name: 'api-gateway-database', generation: 4, consumers: ['api-gateway'] };

/** One event of every type, with every optional field set. */
export const examples: { readonly [T in EventType]: LeasekeeperEvent<T> } = {
  'leases.due': {
    id: 'evt_leases',
    type: 'leases.due',
    time,
    data: {
      shard: 3,
      idle_parents: ['accessor-1'],
      ending_parents: { 'accessor-2': 1_795_262_400_000 },
      scanned_at: 1,
    },
  },
  'rotation.due': { id: 'evt_rotation', type: 'rotation.due', time, data: { shard: 0 } },
  'delivery.due': { id: 'evt_delivery', type: 'delivery.due', time, data: { shard: 0 } },
  'lease.expiring': {
    id: 'evt_expiring',
    type: 'lease.expiring',
    time,
    data: { ...lease, managed: { name: 'api-gateway-database', generation: 3 } },
  },
  'lease.renewal_failing': {
    id: 'evt_failing',
    type: 'lease.renewal_failing',
    time,
    data: { ...lease, failures: 2 },
  },
  'lease.lost': { id: 'evt_lost', type: 'lease.lost', time, data: lease },
  'secret.rotated': {
    id: 'evt_rotated',
    type: 'secret.rotated',
    time,
    data: {
      ...secret,
      path: 'shared/database',
      version: 7,
      previous_generation: 3,
      previous_retires_by: '2026-11-21T12:05:00.000Z',
      reason: 'schedule',
    },
  },
  'secret.retired': {
    id: 'evt_retired',
    type: 'secret.retired',
    time,
    data: { ...secret, reason: 'deadline', not_adopted_by: ['inference-service'] },
  },
  'secret.rotation_failed': {
    id: 'evt_rotation_failed',
    type: 'secret.rotation_failed',
    time,
    data: { ...secret, step: 'test', code: 'probe_refused', failures: 1, next_attempt_at: time },
  },
  'secret.retire_failing': {
    id: 'evt_retire_failing',
    type: 'secret.retire_failing',
    time,
    data: { ...secret, code: 'vault_revoke_failed', failures: 3, next_attempt_at: time },
  },
  'secret.retire_overdue': {
    id: 'evt_retire_overdue',
    type: 'secret.retire_overdue',
    time,
    data: { ...secret, not_adopted_by: ['inference-service'] },
  },
  'secret.removed': {
    id: 'evt_removed',
    type: 'secret.removed',
    time,
    data: { ...secret, credentials: 'revoke' },
  },
  'secret.drift': {
    id: 'evt_drift',
    type: 'secret.drift',
    time,
    data: { ...secret, what: 'published_path' },
  },
  'subscription.failing': {
    id: 'evt_failing_endpoint',
    type: 'subscription.failing',
    time,
    data: { subscription: 'api-gateway:sub-1', since: time, disabled_at: time },
  },
  'subscription.test': {
    id: 'evt_test',
    type: 'subscription.test',
    time,
    data: { subscription: 'api-gateway:sub-1' },
  },
  'subscription.disabled': {
    id: 'evt_disabled',
    type: 'subscription.disabled',
    time,
    data: { subscription: 'sub-1', reason: 'gone' },
  },
};

export const everyExample: readonly LeasekeeperEvent[] = Object.values(examples);
