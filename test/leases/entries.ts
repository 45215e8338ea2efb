import fc from 'fast-check';
import type { LeasePolicy } from '../../lib/leases/decide.ts';
import { LEASE_NOTICES, type LeaseEntry, type TokenEntry } from '../../lib/leases/entry.ts';

/** Any moment of this century, so that no result leans on a small number. */
export const moments = fc.integer({ min: 1_700_000_000_000, max: 2_000_000_000_000 });

export const policies: fc.Arbitrary<LeasePolicy> = fc
  .record({
    scanIntervalMs: fc.integer({ min: 5_000, max: 600_000 }),
    slack: fc.integer({ min: 0, max: 30_000 }),
  })
  .map(({ scanIntervalMs, slack }) => ({ scanIntervalMs, lookAheadMs: scanIntervalMs + slack }));

/** An ordinary lease of one hour. */
export function lease(changes: Partial<LeaseEntry> = {}): LeaseEntry {
  return {
    kind: 'lease',
    id: 'database/creds/app/abc',
    due: 2_400_000,
    issue: 0,
    expire: 3_600_000,
    ttl: 3_600,
    ns: '',
    path: 'database/creds/app',
    consumer: 'api-gateway',
    ...changes,
  };
}

export function token(changes: Partial<TokenEntry> = {}): TokenEntry {
  const times = { due: 2_400_000, issue: 0, expire: 3_600_000, ttl: 3_600, used: 0 };
  return { kind: 'token', id: 'token:acc', ns: '', accessor: 'acc', ...times, ...changes };
}

const notices = fc.uniqueArray(fc.constantFrom(...LEASE_NOTICES));

/** Any lease entry that the schema allows, around `now`. */
export function leasesAround(now: number): fc.Arbitrary<LeaseEntry> {
  const near = fc.integer({ min: -10_000_000, max: 10_000_000 }).map((by) => now + by);
  return fc
    .record(
      {
        id: fc.string({ minLength: 1 }),
        due: near,
        expire: near,
        ttl: fc.integer({ min: 1, max: 1_000_000 }),
        failures: fc.nat(50),
        final: fc.boolean(),
        claim: fc.string(),
        handover: fc.nat(10_000_000),
        until: near,
        retire_at: near,
        told: notices,
        unpublished: notices,
        wrap: fc.record({ accessor: fc.string(), expire: near }),
      },
      { requiredKeys: ['id', 'due', 'expire', 'ttl'] },
    )
    .map((changes) => lease(changes));
}
