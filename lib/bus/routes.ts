import type { EventType } from './events.ts';

/** The functions that work on events of the bus. */
export type Worker = 'renew' | 'rotate' | 'notify';

/** Which worker gets which events. The rules of serverless.yml are the same table; a test compares them. */
export const ROUTES: Readonly<Record<Worker, readonly EventType[]>> = {
  renew: ['leases.due'],
  rotate: ['rotation.due', 'lease.expiring', 'lease.lost'],
  notify: [
    'delivery.due',
    'lease.expiring',
    'lease.renewal_failing',
    'lease.lost',
    'secret.rotated',
    'secret.retired',
    'secret.rotation_failed',
    'secret.retire_failing',
    'secret.retire_overdue',
    'secret.removed',
    'secret.drift',
    'subscription.failing',
    'subscription.test',
    'subscription.disabled',
  ],
};

export function workersFor(type: EventType): readonly Worker[] {
  const workers: readonly Worker[] = ['renew', 'rotate', 'notify'];
  return workers.filter((worker) => ROUTES[worker].includes(type));
}
