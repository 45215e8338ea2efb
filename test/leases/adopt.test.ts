import { describe, expect, it } from 'vitest';
import { leaseEntryOf, tokenEntryOf } from '../../lib/leases/adopt.ts';
import type { LeasePolicy } from '../../lib/leases/decide.ts';
import { careEntrySchema } from '../../lib/leases/entry.ts';

const POLICY: LeasePolicy = { scanIntervalMs: 60_000, lookAheadMs: 70_000 };
const NOW = 1_800_000_000_000;
const ISSUED = {
  leaseId: 'database/creds/app/abc',
  namespace: 'team',
  path: 'database/creds/app',
  consumer: 'api-gateway',
  ttlSeconds: 3_600,
  renewable: true,
};

describe('the entry of a lease just issued', () => {
  it('is due at two thirds of its life', () => {
    const entry = leaseEntryOf(ISSUED, NOW, POLICY);
    expect(entry).toMatchObject({ id: ISSUED.leaseId, ns: 'team', expire: NOW + 3_600_000, ttl: 3_600 });
    expect(entry.due).toBeGreaterThan(NOW + 3_600_000 * 0.59);
    expect(entry.due).toBeLessThanOrEqual(NOW + 2_400_000);
    expect(careEntrySchema.parse(JSON.parse(JSON.stringify(entry)))).toEqual(entry);
  });

  it('is final from the beginning when it cannot be renewed, or need not be', () => {
    expect(leaseEntryOf({ ...ISSUED, renewable: false }, NOW, POLICY)).toMatchObject({
      final: true,
      due: NOW + 3_600_000 - 720_000,
    });
    expect(leaseEntryOf({ ...ISSUED, until: NOW + 3_600_000 }, NOW, POLICY).final).toBe(true);
    expect(leaseEntryOf({ ...ISSUED, until: NOW + 3_600_001 }, NOW, POLICY).final).toBeUndefined();
  });

  it.each([true, false])('is looked at when its wrapping ends, renewable or not (%s)', (renewable) => {
    const wrap = { accessor: 'acc', expire: NOW + 300_000 };
    expect(leaseEntryOf({ ...ISSUED, renewable, wrap }, NOW, POLICY).due).toBe(NOW + 300_000);
  });
});

describe('the entry of a parent token', () => {
  const parent = {
    accessor: 'acc',
    namespace: '',
    expiresAt: NOW + 1_000_000,
    ttlSeconds: 3_600,
    renewable: true,
  };

  it('is due by the life it has left', () => {
    const entry = tokenEntryOf(parent, NOW, POLICY);
    expect(entry).toMatchObject({ id: 'token:acc', used: NOW, expire: NOW + 1_000_000 });
    expect(entry.due).toBeLessThanOrEqual(NOW + 666_667);
    expect(entry.due).toBeGreaterThan(NOW + 590_000);
  });

  it('is final when it cannot be renewed', () => {
    expect(tokenEntryOf({ ...parent, renewable: false }, NOW, POLICY)).toMatchObject({
      final: true,
      due: parent.expiresAt,
    });
  });
});
