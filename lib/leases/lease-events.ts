import { eventId, type Outcome } from '../bus/events.ts';
import type { LeaseEntry, LeaseNotice } from './entry.ts';

export interface LeaseEvent {
  readonly entry: LeaseEntry;
  readonly notice: LeaseNotice;
  readonly event: Outcome;
}

/** The events that a lease has to tell. Ids and bodies are derived from the entry, so that whoever publishes them publishes the same. */
export function leaseEvents(entry: LeaseEntry, now: number): readonly LeaseEvent[] {
  return (entry.unpublished ?? []).map((notice) => ({ entry, notice, event: eventOf(entry, notice, now) }));
}

function eventOf(entry: LeaseEntry, notice: LeaseNotice, now: number): Outcome {
  const id = eventId('lease', entry.id, notice, entry.expire);
  const time = new Date(now).toISOString();
  const data = {
    lease_id: entry.id,
    path: entry.path,
    consumer: entry.consumer,
    expires_at: new Date(entry.expire).toISOString(),
    ...(entry.managed === undefined ? {} : { managed: entry.managed }),
  };
  switch (notice) {
    case 'expiring':
      return { id, time, type: 'lease.expiring', data };
    case 'lost':
      return { id, time, type: 'lease.lost', data };
    case 'renewal_failing':
      return { id, time, type: 'lease.renewal_failing', data: { ...data, failures: entry.failures ?? 0 } };
  }
}
