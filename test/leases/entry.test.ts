import { describe, expect, it } from 'vitest';
import { afterRenewal } from '../../lib/leases/decide.ts';
import { LEASES, type LeaseEntry } from '../../lib/leases/entry.ts';
import { lease as anyLease } from './entries.ts';

const HOUR = 3_600_000;
const POLICY = { scanIntervalMs: 5_000, lookAheadMs: 7_000 };

const lease = (changes: Partial<LeaseEntry> = {}) => anyLease({ due: 40, ...changes });
function merged(existing: LeaseEntry, incoming: LeaseEntry): LeaseEntry {
  const entry = LEASES.merge(existing, incoming);
  if (entry.kind !== 'lease') throw new Error('It has become something else.');
  return entry;
}

describe('a renewal by its consumer, as a message', () => {
  const renewed = lease({ renewed: 10, ttl: 7_200, expire: 2 * HOUR, due: 90 });

  it('makes later renewals ask for more, and puts off none', () => {
    expect(merged(lease(), renewed)).toEqual(lease({ renewed: 10, ttl: 7_200, expire: 2 * HOUR, due: 40 }));
  });

  it('counts once, and not after a later one', () => {
    const once = merged(lease(), renewed);
    expect(merged(once, renewed)).toBe(once);
    const later = merged(lease(), lease({ renewed: 20, ttl: 9_000, expire: 3 * HOUR }));
    expect(merged(later, renewed)).toBe(later);
  });

  it('takes nothing away: neither life, nor a claim, nor that it is to be retired', () => {
    const there = lease({ ttl: 9_000, expire: 3 * HOUR, claim: 'worker', retire_at: 30, due: 30 });
    expect(merged(there, renewed)).toMatchObject({
      ttl: 9_000,
      expire: 3 * HOUR,
      claim: 'worker',
      retire_at: 30,
      due: 30,
    });
  });

  it('extends the time that was asked for, of those that have one', () => {
    expect(merged(lease({ until: HOUR }), { ...renewed, until: 2 * HOUR }).until).toBe(2 * HOUR);
    expect(merged(lease({ until: 3 * HOUR }), { ...renewed, until: 2 * HOUR }).until).toBe(3 * HOUR);
    expect(merged(lease(), { ...renewed, until: 2 * HOUR })).not.toHaveProperty('until');
  });

  it('has one whose end was fixed looked at by its new end, and told of it anew', () => {
    const final = lease({ final: true, told: ['expiring'], until: HOUR });
    const message = { ...renewed, final: true, told: [], unpublished: [], until: 2 * HOUR };
    expect(merged(final, message)).toMatchObject({ final: true, expire: 2 * HOUR, due: 90, told: [] });
  });

  it('does not unfix an end that a worker has found meanwhile', () => {
    const final = lease({ final: true, told: ['expiring'], due: 35 });
    expect(merged(final, renewed)).toMatchObject({ final: true, due: 35, told: ['expiring'] });
  });
});

describe('a lease that is gone', () => {
  const lost = (entry: LeaseEntry) => afterRenewal(entry, { kind: 'lost' }, 100, POLICY, () => 0.5);

  it('is told, unless its end was asked for by then', () => {
    expect(lost(lease())).toMatchObject({ unpublished: ['lost'] });
    expect(lost(lease({ retire_at: 101 }))).toMatchObject({ unpublished: ['lost'] });
    expect(lost(lease({ retire_at: 100 }))).toBeUndefined();
  });
});
