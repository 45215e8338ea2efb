import { describe, expect, it } from 'vitest';
import { type HealthFacts, healthOf } from '../../lib/secrets-manager/health.ts';

const WELL: HealthFacts = {
  login: { expiresAt: 5_000 },
  isAnswering: true,
  leases: [{ path: 'database/creds/a', state: 'held', expiresAt: 4_000 }],
  cache: { entries: 3, stale: 0 },
};

describe('healthOf', () => {
  it('all well is ready', () => {
    const { leases, cache } = WELL;
    expect(healthOf(WELL)).toEqual({
      status: 'ready',
      ready: true,
      reasons: [],
      token: { expiresAt: 5_000 },
      leases,
      cache,
    });
  });

  it('before the first answer it is ready, too', () => {
    expect(healthOf({ ...WELL, isAnswering: undefined }).status).toBe('ready');
  });

  it.each<[string, Partial<HealthFacts>, object]>([
    ['Vault does not answer', { isAnswering: false }, { code: 'vault_not_answering' }],
    [
      'a renewal fails',
      { leases: [{ path: 'database/creds/a', state: 'failing', expiresAt: 4_000 }] },
      { code: 'lease_renewal_failing', path: 'database/creds/a' },
    ],
    ['a value stands in', { cache: { entries: 3, stale: 1 } }, { code: 'secrets_stale' }],
  ])('%s: degraded, but ready', (_name, facts, reason) => {
    expect(healthOf({ ...WELL, ...facts })).toMatchObject({
      status: 'degraded',
      ready: true,
      reasons: [reason],
    });
  });

  it.each<[string, Partial<HealthFacts>, object]>([
    ['there is no login', { login: { code: 'vault_denied' } }, { code: 'vault_denied' }],
    [
      'a credential is gone',
      { leases: [{ path: 'database/creds/a', state: 'lost', expiresAt: undefined }] },
      { code: 'lease_lost', path: 'database/creds/a' },
    ],
  ])('%s: not ready', (_name, facts, reason) => {
    expect(healthOf({ ...WELL, ...facts })).toMatchObject({
      status: 'unready',
      ready: false,
      reasons: [reason],
    });
  });

  it('tells everything, the gravest first', () => {
    const all = healthOf({
      login: { code: 'vault_sealed' },
      isAnswering: false,
      leases: [
        { path: 'b', state: 'failing', expiresAt: 1 },
        { path: 'a', state: 'lost', expiresAt: undefined },
      ],
      cache: { entries: 1, stale: 1 },
    });
    expect(all.reasons.map(({ code }) => code)).toEqual([
      'vault_sealed',
      'lease_lost',
      'vault_not_answering',
      'lease_renewal_failing',
      'secrets_stale',
    ]);
    expect(all.token).toBeUndefined();
  });
});
