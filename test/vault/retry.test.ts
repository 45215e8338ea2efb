import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VaultClient, type VaultRequest } from '../../lib/vault/client.ts';
import { VaultError, type VaultErrorCode, type VaultErrorDetails } from '../../lib/vault/errors.ts';
import { backoffMs, DEFAULT_RETRY, retryWait } from '../../lib/vault/retry.ts';
import type { Transport, TransportAnswer, TransportRequest } from '../../lib/vault/transport.ts';

const half = () => 0.5;
const wait = (code: VaultErrorCode, details: VaultErrorDetails, repeatable: boolean, attempt = 0) =>
  retryWait(new VaultError(code, '', details), attempt, repeatable, DEFAULT_RETRY, half);

describe('whether a request is repeated', () => {
  it('never when it may have been carried out and doing it twice is not as good as once', () => {
    expect(wait('vault_unreachable', { processed: 'maybe' }, false)).toBeUndefined();
    expect(wait('vault_timeout', { processed: 'maybe' }, false)).toBeUndefined();
    expect(wait('vault_unavailable', { processed: 'maybe' }, false)).toBeUndefined();
    expect(wait('vault_unreachable', { processed: 'maybe' }, true)).toBeDefined();
  });

  it('always, within its bound, when it surely was not', () => {
    for (const code of ['vault_unreachable', 'vault_sealed', 'vault_standby', 'vault_unavailable'] as const) {
      expect(wait(code, { processed: 'no' }, false)).toBeDefined();
    }
  });

  it('never for a refusal', () => {
    const refusals = ['vault_denied', 'vault_not_found', 'vault_bad_request', 'vault_cas_mismatch'] as const;
    for (const code of [...refusals, 'vault_lease_not_found', 'vault_entry_too_large'] as const) {
      expect(wait(code, {}, true)).toBeUndefined();
    }
    expect(retryWait(new TypeError('a fault of ours'), 0, true, DEFAULT_RETRY, half)).toBeUndefined();
  });

  it('at most three times, and after what Vault asks for unless that is too long', () => {
    expect(wait('vault_sealed', {}, true, 2)).toBeDefined();
    expect(wait('vault_sealed', {}, true, 3)).toBeUndefined();
    expect(wait('vault_rate_limited', { retryAfterMs: 1_234 }, true)).toBe(1_234);
    expect(wait('vault_rate_limited', { retryAfterMs: 5_001 }, true)).toBeUndefined();
  });

  it('after a wait with full jitter, under a bound that doubles', () => {
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.nat(20), random, (attempt, number) => {
        const ms = backoffMs(attempt, DEFAULT_RETRY, () => number);
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(Math.min(2_000, 100 * 2 ** attempt));
      }),
    );
  });
});

/** Answers from a list, so that what the client makes of them can be seen; faults are thrown. */
function scripted(script: readonly (Partial<TransportAnswer> | VaultError)[]) {
  const sent: TransportRequest[] = [];
  const transport: Transport = {
    exchange: async (request) => {
      const next = script[sent.length] ?? {};
      sent.push(request);
      if (next instanceof VaultError) throw next;
      return { status: 200, headers: {}, body: '{}', ...next };
    },
    close: () => Promise.resolve(),
  };
  return { sent, client: new VaultClient({ transport, random: () => 0 }) };
}

const read: VaultRequest = { method: 'GET', path: 'kv/data/a', repeatable: true };
const issue: VaultRequest = { method: 'GET', path: 'database/creds/app', repeatable: false };
const cut = new VaultError('vault_unreachable', '', { processed: 'maybe' });
const refused = new VaultError('vault_unreachable', '', { processed: 'no' });

describe('the client', () => {
  it('repeats a read through faults of the way', async () => {
    const { sent, client } = scripted([
      cut,
      { status: 503, body: '{"errors":["Vault is sealed"]}' },
      refused,
    ]);
    await client.request(read);
    expect(sent).toHaveLength(4);
  });

  it('has a credential made once, and again only when it surely was not', async () => {
    const lost = scripted([cut]);
    await expect(lost.client.request(issue)).rejects.toBe(cut);
    expect(lost.sent).toHaveLength(1);
    const unsent = scripted([refused, { status: 429, body: '{"errors":[]}' }]);
    await unsent.client.request(issue);
    expect(unsent.sent).toHaveLength(3);
    const failed = scripted([{ status: 500, body: '{"errors":["internal error"]}' }]);
    await expect(failed.client.request(issue)).rejects.toMatchObject({ code: 'vault_unavailable' });
    expect(failed.sent).toHaveLength(1);
  });

  it('waits as long as Retry-After says, in either form', async () => {
    const quota = { status: 429, body: '{"errors":["rate limit quota exceeded"]}' };
    const long = scripted([{ ...quota, headers: { 'retry-after': '60' } }]);
    await expect(long.client.request(read)).rejects.toMatchObject({ retryAfterMs: 60_000 });
    const date = scripted([
      { ...quota, headers: { 'retry-after': new Date(Date.now() + 60_000).toUTCString() } },
    ]);
    await expect(date.client.request(read)).rejects.toMatchObject({ code: 'vault_rate_limited' });
    const past = scripted([{ ...quota, headers: { 'retry-after': '0' } }]);
    await past.client.request(read);
    expect(past.sent).toHaveLength(2);
  });

  it('quotes no answer that it cannot read', async () => {
    const { client } = scripted([{ body: 'hunter2 <html>' }]);
    const error = await client.request(read).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'vault_invalid_answer' });
    expect(JSON.stringify(error) + String(error)).not.toContain('hunter2');
  });

  it('sends no token but the one it was given, and never a namespace header', async () => {
    const { sent, client } = scripted([]);
    await client.requestWith('the-token', { ...read, path: '/team//kv/data/a b', query: { version: '1' } });
    await client.request({ ...read, method: 'LIST', path: 'team/kv/metadata' });
    expect(sent[0]).toMatchObject({ path: '/v1/team/kv/data/a%20b?version=1' });
    expect(sent[0]?.headers).toMatchObject({ 'x-vault-token': 'the-token', 'x-vault-request': 'true' });
    expect(sent[1]).toMatchObject({ method: 'GET', path: '/v1/team/kv/metadata?list=true' });
    expect(sent[1]?.headers).not.toHaveProperty('x-vault-token');
    expect(sent[0]?.headers).not.toHaveProperty('x-vault-namespace');
  });
});
