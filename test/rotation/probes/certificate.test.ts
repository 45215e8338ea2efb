import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { firstNameOf, identityOf, lifeFault } from '../../../lib/rotation/probes/certificate.ts';
import { type Issued, issue } from './certificates.ts';

const failure = (code: string) => ({ ok: false, code, refused: false });

describe('the life of a certificate', () => {
  const validFrom = 'Nov  1 12:00:00 2026 GMT';
  const validTo = 'Nov 11 12:00:00 2026 GMT';
  const at = (time: string) => Date.parse(`2026-11-${time}Z`);
  const DAY_MS = 86_400_000;

  it.each<[string, string, number, object | undefined]>([
    ['a second before it', '01T11:59:59', 0, failure('test_certificate_not_yet_valid')],
    ['its first moment', '01T12:00:00', 0, undefined],
    ['its last second', '11T11:59:59', 0, undefined],
    ['its end', '11T12:00:00', 0, failure('test_certificate_expired')],
    ['just long enough', '10T12:00:00', DAY_MS, undefined],
    ['a second too late', '10T12:00:01', DAY_MS, failure('test_certificate_ends_too_soon')],
    ['past its end', '12T12:00:00', DAY_MS, failure('test_certificate_expired')],
  ])('%s', (_, time, validFor, expected) => {
    expect(lifeFault({ validFrom, validTo }, at(time), validFor)).toEqual(expected);
  });

  it('is none when its times cannot be read', () => {
    expect(lifeFault({ validFrom: '?', validTo }, at('05T00:00:00'), 0)).toBeDefined();
    expect(lifeFault({ validFrom, validTo: '?' }, at('05T00:00:00'), 0)).toBeDefined();
  });
});

describe('the name of a certificate', () => {
  it.each<[string | undefined, string, string | undefined]>([
    ['DNS:app.example, DNS:b.example', 'CN=c.example', 'app.example'],
    ['email:a@b.example, DNS:app.example', '', 'app.example'],
    ['DNS:*.app.example', '', 'any.app.example'],
    ['IP Address:10.0.0.1', '', '10.0.0.1'],
    ['URI:spiffe://a/b', 'O=x\nCN=app.example', 'app.example'],
    [undefined, 'CN=app.example\nO=x', 'app.example'],
    [undefined, 'O=x', undefined],
  ])('of %s and %s is %s', (subjectAltName, subject, expected) => {
    expect(firstNameOf({ subjectAltName, subject })).toBe(expected);
  });
});

describe('an identity', () => {
  let root: Issued;
  let between: Issued;
  let leaf: Issued;
  beforeAll(() => {
    root = issue({ subject: '/CN=root', authority: true });
    between = issue({ subject: '/CN=between', authority: true, signedBy: root });
    leaf = issue({ names: 'DNS:app.example', signedBy: between });
  });
  const value = (more: object = {}) => ({ certificate: leaf.certificate, private_key: leaf.key, ...more });
  const count = (pem: string) => pem.split('BEGIN CERTIFICATE').length - 1;

  it('shows all but the roots, and knows each authority once', () => {
    const identity = identityOf(
      value({ issuing_ca: between.certificate, ca_chain: [between.certificate, root.certificate] }),
    );
    if (!identity.ok) throw new Error(identity.code);
    expect(count(identity.chain)).toBe(2);
    expect(identity.authorities).toHaveLength(2);
    expect(identity.leaf.subjectAltName).toBe('DNS:app.example');
  });

  it('may come with everything in one text', () => {
    const bundle = `${leaf.certificate}${between.certificate}`;
    const identity = identityOf(value({ certificate: bundle, ca_chain: root.certificate }));
    if (!identity.ok) throw new Error(identity.code);
    expect(count(identity.chain)).toBe(2);
    expect(identity.authorities).toHaveLength(2);
  });

  it.each<[string, () => object, string]>([
    ['no certificate', () => ({ certificate: undefined }), 'test_value_incomplete'],
    ['no key', () => ({ private_key: '' }), 'test_value_incomplete'],
    ['a certificate that is none', () => ({ certificate: 'PEM' }), 'test_certificate_unreadable'],
    ['a key that is none', () => ({ private_key: leaf.certificate }), 'test_certificate_unreadable'],
    ['an encrypted key', () => ({ private_key: encryptedKey() }), 'test_certificate_unreadable'],
    [
      'an authority that is none',
      () => ({ issuing_ca: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----' }),
      'test_certificate_unreadable',
    ],
    ['the key of another', () => ({ private_key: root.key }), 'test_certificate_key_mismatch'],
  ])('cannot be made of %s', (_, more, code) => {
    expect(identityOf(value(more()))).toEqual(failure(code));
  });
});

function encryptedKey(): string {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hunter2' },
  });
  return privateKey;
}
