import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { pki } from '../../../lib/rotation/rotators/pki.ts';
import {
  type AskedCertificate,
  certificateFault,
  issuedCertificate,
} from '../../../lib/rotation/rotators/pki-certificate.ts';
import { type Issued, issue } from '../probes/certificates.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const names = 'DNS:app.example,DNS:*.app.example,email:ops@app.example,IP:127.0.0.1,IP:::1,URI:spiffe://a/b';
const root = issue({ subject: '/CN=root', authority: true, days: 30 });
const leaf = issue({ subject: '/CN=app.example', names, signedBy: root, days: 10 });

const asked: AskedCertificate = {
  common_name: 'app.example',
  alt_names: ['app.example', '*.app.example', 'ops@app.example'],
  ip_sans: ['127.0.0.1', '0:0:0:0:0:0:0:1'],
  uri_sans: ['spiffe://a/b'],
  ttl: undefined,
};

/** As Vault's `pki/issue` answers. */
const answered = (one: Issued, authority: Issued = root) => ({
  certificate: one.certificate,
  private_key: one.key,
  issuing_ca: authority.certificate,
  ca_chain: [authority.certificate],
  serial_number: '11:22',
});
/** The same certificate with a signature that is not its own: the last bits of a DER certificate are those of its signature. */
function tampered(pem: string): string {
  const der = new X509Certificate(pem).raw;
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`;
}
const codeFor = (value: object, changes: Partial<AskedCertificate> = {}, least = HOUR, now = Date.now()) =>
  certificateFault({ ...value }, { ...asked, ...changes }, now, least)?.code;

describe('an issued certificate', () => {
  it('that is what was asked for passes', () => {
    expect(codeFor(answered(leaf))).toBeUndefined();
    expect(codeFor(answered(leaf), { ttl: 10 * DAY })).toBeUndefined();
  });

  it('must belong to its key', () => {
    const other = issue({ signedBy: root });
    expect(codeFor({ ...answered(leaf), private_key: other.key })).toBe('test_certificate_key_mismatch');
  });

  it('must be signed by the authority that came with it', () => {
    const namesake = issue({ subject: '/CN=root', authority: true });
    const stranger = issue({ subject: '/CN=stranger', authority: true });
    expect(codeFor(answered(leaf, namesake))).toBe('test_certificate_untrusted');
    expect(codeFor(answered(leaf, stranger))).toBe('test_certificate_untrusted');
  });

  it('must not have been changed since', () => {
    const changed = { ...answered(leaf), certificate: tampered(leaf.certificate) };
    expect(codeFor(changed)).toBe('test_certificate_untrusted');
  });

  it('must come with its authority', () => {
    expect(codeFor({ ...answered(leaf), issuing_ca: undefined })).toBe('test_value_incomplete');
  });

  it.each([
    ['another common name', { common_name: 'other.example' }],
    ['a DNS name that is missing', { alt_names: ['db.example'] }],
    ['a DNS name that only the wildcard covers', { alt_names: ['db.app.example'] }],
    ['a mail address that is missing', { alt_names: ['dev@app.example'] }],
    ['an address that is missing', { ip_sans: ['127.0.0.2'] }],
    ['a URI that is missing', { uri_sans: ['spiffe://a/c'] }],
  ])('must be for every name: %s', (_, changes) => {
    expect(codeFor(answered(leaf), changes)).toBe('test_certificate_name_mismatch');
  });

  it('must be valid now', () => {
    expect(codeFor(answered(leaf), {}, HOUR, Date.now() - DAY)).toBe('test_certificate_not_yet_valid');
    expect(codeFor(answered(leaf), {}, HOUR, Date.now() + 11 * DAY)).toBe('test_certificate_expired');
  });

  it('must live for half of what was asked, and long enough for the schedule', () => {
    expect(codeFor(answered(leaf), { ttl: 19 * DAY })).toBeUndefined();
    expect(codeFor(answered(leaf), { ttl: 21 * DAY })).toBe('test_certificate_ends_too_soon');
    expect(codeFor(answered(leaf), {}, 11 * DAY)).toBe('test_certificate_ends_too_soon');
  });

  it('ends with its authority, if that ends first', () => {
    const short = issue({ subject: '/CN=root', authority: true, days: 2 });
    const long = issue({ subject: '/CN=app.example', names, signedBy: short, days: 10 });
    const { serial, endsAt } = issuedCertificate(answered(long, short));
    expect(serial).toBe('11:22');
    expect(endsAt).toBeLessThan(Date.now() + 3 * DAY);
    expect(codeFor(answered(long, short), {}, 3 * DAY)).toBe('test_certificate_ends_too_soon');
    expect(issuedCertificate(answered(leaf)).endsAt).toBeGreaterThan(Date.now() + 9 * DAY);
  });
});

describe('the specification', () => {
  const input = {
    kind: 'pki',
    name: 'web',
    publish: 'web/certificate',
    grace: '1h',
    deadline: '1d',
    token_role: 'leasekeeper-web',
    mount: 'pki/internal',
    role: 'web',
    common_name: 'web.example',
  };

  it('takes names of every sort', () => {
    const full = { ...input, alt_names: ['*.b.example', 'xn--bcher-kva.example', 'ops@web.example'] };
    const names = { ip_sans: ['10.0.0.1', 'fd00::1'], uri_sans: ['spiffe://cluster/ns/web?a=b#c'] };
    expect(pki.schema.safeParse({ ...full, ...names, ttl: '90d' }).error).toBeUndefined();
  });

  it.each([
    { common_name: 'a,b' },
    { alt_names: ['a.example,b.example'] },
    { alt_names: ['bücher.example'] },
    { ip_sans: ['10.0.0.0/8'] },
    { uri_sans: ['spiffe://a,spiffe://b'] },
    { role: 'web/../../other' },
    { mount: 'pki/../sys' },
    { ttl: '0s' },
    { token_ttl: '1d' },
  ])('refuses $common_name$alt_names$ip_sans$uri_sans$role$mount$ttl$token_ttl', (changes) => {
    expect(pki.schema.safeParse({ ...input, ...changes }).success).toBe(false);
  });

  it('asks for nothing but to issue by that role, and that for the attempt alone', () => {
    expect(pki.rights(pki.schema.parse(input))).toEqual({
      rotate: [],
      attempt: {
        tokenRole: 'leasekeeper-web',
        rights: [{ path: 'pki/internal/issue/web', under: 'namespace', capabilities: ['update'] }],
      },
    });
  });
});
