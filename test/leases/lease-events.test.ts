import { describe, expect, it } from 'vitest';
import { eventSchema } from '../../lib/bus/events.ts';
import { leaseEvents } from '../../lib/leases/lease-events.ts';
import { lease } from './entries.ts';

describe('the events of a lease', () => {
  const entry = lease({ unpublished: ['expiring', 'renewal_failing', 'lost'], failures: 2, parent: 'acc' });

  it('have the same id whoever derives them and whenever, and another for another occurrence', () => {
    const ids = (one = entry, now = 1) => leaseEvents(one, now).map(({ event }) => event.id);
    expect(ids(entry, 2)).toEqual(ids());
    expect(new Set(ids()).size).toBe(3);
    expect(ids({ ...entry, expire: entry.expire + 1 })).not.toEqual(ids());
    expect(ids({ ...entry, id: 'database/creds/app/def' })).not.toEqual(ids());
  });

  it('fit the contract, and name neither the parent token nor its accessor', () => {
    const events = leaseEvents(entry, 1_800_000_000_000).map(({ event }) => event);
    for (const event of events) expect(eventSchema.parse(event)).toEqual(event);
    expect(events.map(({ type }) => type)).toEqual(['lease.expiring', 'lease.renewal_failing', 'lease.lost']);
    expect(JSON.stringify(events)).not.toContain('acc"');
  });

  it('are none when there is nothing to tell', () => {
    expect(leaseEvents(lease(), 1)).toEqual([]);
  });
});
