import { describe, expect, it } from 'vitest';
import { judgeAddress, type Target } from '../../../lib/cli/doctor/address.ts';
import { judgeCaFile, judgePlain, judgeTls, type TlsFacts } from '../../../lib/cli/doctor/certificate.ts';
import { judgeConnection, judgeResolution } from '../../../lib/cli/doctor/network.ts';
import { judgeClock, judgeHealth } from '../../../lib/cli/doctor/server.ts';
import { issue } from '../../rotation/probes/certificates.ts';

const NOW = Date.parse('2026-11-22T00:00:00Z');
const DAY = 86_400_000;

describe('VAULT_ADDR', () => {
  it.each([
    ['http://vault.lotabots.svc:8200', 'http://vault.lotabots.svc:8200'],
    ['https://vault.example.com', 'https://vault.example.com, which is port 443'],
    ['https://[::1]:8200', 'https://[::1]:8200'],
  ])('%s will do', (given, what) => {
    const { finding, target } = judgeAddress(given, '');
    expect([finding.verdict, target === undefined]).toEqual(['fine', false]);
    expect(finding.what).toContain(what);
  });

  it.each([
    ['vault:8200', 'no scheme', 'http://vault:8200'],
    ['ftp://vault', 'neither http', 'https://vault.example.com:8200'],
    ['not an address', 'no URL', 'https://vault.example.com:8200'],
    ['https://vault:8200/v1/', 'more than scheme', 'https://vault:8200'],
    ['https://user:canary@vault:8200', 'a password', 'https://vault:8200'],
  ])('%s will not', (given, what, mended) => {
    const { finding, target } = judgeAddress(given, '');
    expect([finding.verdict, target, finding.mend]).toEqual([
      'wrong',
      undefined,
      [`export VAULT_ADDR=${mended}`],
    ]);
    expect(finding.what).toContain(what);
    expect(JSON.stringify(finding)).not.toContain('canary');
  });

  it('is said to be the default where it is not set', () => {
    expect(judgeAddress(undefined, 'http://vault:8200').finding.what).toContain('not set');
  });
});

const target: Target = {
  secure: true,
  hostname: 'vault.lotabots.svc',
  port: 8200,
  origin: 'https://vault.lotabots.svc:8200',
};

describe('the network', () => {
  it.each([
    ['ENOTFOUND', 'inside the cluster only', 'kubectl -n lotabots get service vault'],
    ['EAI_AGAIN', 'port 53', 'kubectl -n kube-system get pods -l k8s-app=kube-dns'],
  ])('resolution: %s', (code, what, mend) => {
    const finding = judgeResolution('vault.lotabots.svc', { code });
    expect([finding.verdict, finding.mend[0]]).toEqual(['wrong', mend]);
    expect(finding.what).toContain(what);
  });

  it('a refusal is no network policy, silence may be one', () => {
    const refused = judgeConnection(target, { code: 'ECONNREFUSED' }, 'apps');
    expect([refused.what.includes('policy'), refused.mend]).toEqual([
      false,
      ['kubectl -n lotabots get endpoints vault'],
    ]);
    const silent = judgeConnection(target, { code: 'TIMEOUT' }, 'apps');
    expect(silent.what).toContain('egress to TCP 8200');
    expect(silent.mend).toEqual([
      'kubectl -n apps get networkpolicies -o yaml',
      'kubectl -n lotabots get networkpolicies -o yaml',
    ]);
  });
});

describe('TLS', () => {
  const shown = {
    fault: undefined,
    subject: 'vault',
    issuer: 'Our CA',
    validFrom: NOW - DAY,
    validTo: NOW + 9.5 * DAY,
    names: ['vault', '10.0.0.1'],
  };
  const judge = (facts: Partial<TlsFacts['shown']>, more: Partial<TlsFacts> = {}) =>
    judgeTls({ target, caFile: undefined, now: NOW, ...more, shown: { ...shown, ...facts } });

  it('trusted', () => {
    expect(judge({})).toMatchObject({ verdict: 'fine', what: expect.stringContaining('ends in 9 days') });
  });

  it.each([
    [
      'ERR_TLS_CERT_ALTNAME_INVALID',
      {},
      'is for vault, 10.0.0.1, not for vault.lotabots.svc',
      'export VAULT_ADDR=https://vault:8200',
    ],
    ['CERT_HAS_EXPIRED', { validTo: NOW - DAY }, 'expired on 2026-11-21', 'openssl s_client'],
    ['CERT_HAS_EXPIRED', {}, 'an authority above', 'openssl s_client'],
    ['CERT_NOT_YET_VALID', { validFrom: NOW + DAY }, 'valid from 2026-11-23 on only', 'date -u'],
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      {},
      'issued by Our CA, which is no public authority',
      'openssl s_client -showcerts',
    ],
  ])('%s', (fault, more, what, mend) => {
    const finding = judge({ fault, ...more });
    expect([finding.verdict, finding.what, finding.mend[0]]).toEqual([
      'wrong',
      expect.stringContaining(what),
      expect.stringContaining(mend),
    ]);
  });

  it('http and https taken for each other, or neither', () => {
    const failed = { code: 'EPROTO' };
    const https = judgeTls({ target, caFile: undefined, shown: failed, plain: 'http', now: NOW });
    expect(https.mend).toEqual(['export VAULT_ADDR=http://vault.lotabots.svc:8200']);
    expect(judgeTls({ target, caFile: undefined, shown: failed, plain: 'none', now: NOW }).what).toContain(
      'no TLS handshake',
    );
    const plain = { ...target, secure: false, origin: 'http://vault:8200' };
    expect(judgePlain(plain, 'tls', undefined).mend).toEqual(['export VAULT_ADDR=https://vault:8200']);
    expect(judgePlain(plain, 'none', shown).mend).toEqual(['export VAULT_ADDR=https://vault:8200']);
    expect(judgePlain(plain, 'none', failed).what).toContain('neither HTTP nor TLS');
  });

  it('the CA file', () => {
    const text = issue({ subject: '/CN=Our CA', authority: true }).certificate;
    const file = '/vault/tls/ca.crt';
    expect(judgeCaFile({ file, text }, true, Date.now())).toMatchObject({
      verdict: 'fine',
      what: expect.stringContaining('CN=Our CA'),
    });
    expect(judgeCaFile({ file, text }, true, Date.now() + 2 * DAY).what).toContain('has expired');
    expect(
      judgeCaFile({ file, text: '-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----' }, true, NOW)
        .verdict,
    ).toBe('wrong');
    expect(judgeCaFile({ file, code: 'EACCES' }, true, NOW).mend).toEqual(['chmod a+r /vault/tls/ca.crt']);
    expect(judgeCaFile({ file, code: 'ENOENT' }, true, NOW).mend).toContain('unset VAULT_CACERT');
    expect(judgeCaFile(undefined, true, NOW).verdict).toBe('fine');
  });
});

describe('the server', () => {
  const health = { initialized: true, sealed: false, standby: false, version: '2.7.2' };
  it.each([
    ['active', {}, {}, 'fine', 'active, version 2.7.2'],
    ['not initialised', { initialized: false }, {}, 'wrong', 'not initialised'],
    ['sealed', { sealed: true }, { seal: { isAutomatic: false, sharesMissing: 3 } }, 'wrong', '3 times more'],
    [
      'sealed by itself',
      { sealed: true },
      { seal: { isAutomatic: true, sharesMissing: 1 } },
      'wrong',
      'unseals itself',
    ],
    ['a standby', { standby: true }, { leader: 'http://a' }, 'fine', 'passes requests on to http://a'],
    ['a standby without a leader', { standby: true }, { leader: '' }, 'wrong', 'no active node'],
  ])('%s', (_what, more, details, verdict, what) => {
    const finding = judgeHealth({ ...health, ...more }, details);
    expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
    expect(finding.mend.length > 0).toBe(verdict === 'wrong');
  });

  it.each([
    [0, 'fine', "as Vault's"],
    [5_000, 'fine', '5 s from'],
    [5_001, 'wrong', '5 s behind'],
    [-61_000, 'wrong', '61 s ahead of'],
  ])('a clock %i ms off', (difference, verdict, what) => {
    const finding = judgeClock(difference);
    expect([finding.verdict, finding.what]).toEqual([verdict, expect.stringContaining(what)]);
  });
});
