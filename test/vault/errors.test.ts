import { describe, expect, it } from 'vitest';
import { isTransient, presentable, refusalOf, VaultError } from '../../lib/vault/errors.ts';

describe('what an answer means', () => {
  it.each([
    // By status.
    [503, ['Vault is sealed'], 'vault_sealed'],
    [503, ['Vault is not initialized'], 'vault_sealed'],
    [403, ['permission denied'], 'vault_denied'],
    [403, ['2 errors occurred: permission denied, invalid token'], 'vault_denied'],
    [404, [], 'vault_not_found'],
    [404, ['namespace not found'], 'vault_not_found'],
    [404, ['no handler for route "none/x". route entry not found.'], 'vault_not_found'],
    [400, ['invalid role or secret ID'], 'vault_bad_request'],
    [400, ['failed to parse JSON input: invalid character'], 'vault_bad_request'],
    [405, ['unsupported operation'], 'vault_bad_request'],
    [413, ['http: request body too large'], 'vault_bad_request'],
    [307, [], 'vault_standby'],
    [429, ['request path "x": rate limit quota exceeded'], 'vault_rate_limited'],
    [429, ['request path "x": lease count quota exceeded'], 'vault_lease_quota_exceeded'],
    [429, [], 'vault_standby'],
    [412, ['required index state not present'], 'vault_standby'],
    [472, [], 'vault_standby'],
    [500, ['local node not active but active cluster node not found'], 'vault_unavailable'],
    [500, ['1 error occurred: failed to find entry for connection'], 'vault_unavailable'],
    [502, [], 'vault_unavailable'],
    // By text: the status says too little.
    [400, ['check-and-set parameter did not match the current version'], 'vault_cas_mismatch'],
    [400, ['check-and-set parameter required for this call'], 'vault_bad_request'],
    [400, ['lease not found'], 'vault_lease_not_found'],
    [400, ['invalid lease'], 'vault_lease_not_found'],
    [400, ['lease expired'], 'vault_lease_not_found'],
    [400, ['lease is not renewable'], 'vault_lease_not_renewable'],
    [400, ['lease is expired and has failed previous revocation attempts'], 'vault_lease_irrevocable'],
    [400, ['failed to renew entry: failed to run existence check (lease not found)'], 'vault_renew_failed'],
    [400, ['failed to revoke entry: resp: (*logical.Response)(nil) err: dial tcp'], 'vault_revoke_failed'],
    [400, ['invalid accessor'], 'vault_unknown_accessor'],
    [403, ['invalid accessor'], 'vault_unknown_accessor'],
    [400, ['token not found'], 'vault_unknown_accessor'],
    [400, ['Upgrading from non-versioned to versioned data.'], 'vault_unavailable'],
    [400, ['Waiting for the primary to upgrade from non-versioned to versioned data.'], 'vault_unavailable'],
    [500, ['failed to persist: put failed due to value being too large'], 'vault_entry_too_large'],
  ])('%i %j is %s', (status, reasons, code) => {
    expect(refusalOf(status, reasons).code).toBe(code);
  });

  it('leaves open whether a request was carried out only where the server itself failed', () => {
    expect(refusalOf(500, [])).toMatchObject({ processed: 'maybe' });
    expect(refusalOf(502, [])).toMatchObject({ processed: 'maybe' });
    for (const [status, text] of [
      [503, 'Vault is sealed'],
      [307, ''],
      [429, 'rate limit quota exceeded'],
      [400, 'Upgrading from non-versioned'],
    ] as const) {
      expect(refusalOf(status, [text]).processed).toBeUndefined();
    }
  });

  it('tells faults that pass by themselves from refusals that do not', () => {
    const transient = (code: ConstructorParameters<typeof VaultError>[0]) =>
      isTransient(new VaultError(code, ''));
    expect(transient('vault_sealed')).toBe(true);
    expect(transient('vault_unreachable')).toBe(true);
    expect(transient('vault_denied')).toBe(false);
    expect(transient('vault_cas_mismatch')).toBe(false);
    expect(transient('vault_lease_quota_exceeded')).toBe(false);
    expect(isTransient(new Error('fetch failed'))).toBe(false);
  });

  it('has a hint for every code', () => {
    expect(new VaultError('vault_denied', 'no').hint).toMatch(/policy/);
    expect(new VaultError('vault_denied', 'no', { hint: 'Ask Ann.' }).hint).toBe('Ask Ann.');
  });
});

describe('reasons made presentable', () => {
  it.each([
    ['failed to connect to `postgres://app:hunter2@db:5432/app`', 'hunter2'],
    ['dial tcp: postgresql://v-root-x:a%40b@127.0.0.1/app?sslmode=off failed', 'a%40b'],
    ['dsn host=db user=app password=hunter2 dbname=app', 'hunter2'],
    ['dsn PASSWORD=hunter2', 'hunter2'],
    [`dsn password='hun ter2' host=db`, 'ter2'],
    ['amqp://guest:hunter2@mq/ and redis://:hunter3@cache', 'hunter'],
    ['mongodb://app:hun/ter2@db', 'ter2'],
    ['pq: authentication failed: {"password":"hunter2"}', 'hunter2'],
    ['token hvs.CAESIJ0123456789abcdefghij is bad', 'CAESIJ'],
    ['token s.0123456789abcdefghijklmn is bad', '0123456789abcdefghijklmn'],
  ])('%s', (reason, secret) => {
    const [shown] = presentable([reason]);
    expect(shown).not.toContain(secret);
  });

  it('are few, short and on one line each', () => {
    const shown = presentable(['a\n\tb'.repeat(200), 'b', 'c', 'd']);
    expect(shown).toHaveLength(3);
    for (const one of shown) {
      expect(one.length).toBeLessThanOrEqual(300);
      expect(one).not.toMatch(/\n|\t/);
    }
  });

  it('keep what helps', () => {
    const reason = 'failed to renew entry: dial tcp 127.0.0.1:5432: connect: connection refused';
    expect(presentable([reason])).toEqual([reason]);
  });
});
