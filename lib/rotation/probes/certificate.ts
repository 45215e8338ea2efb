import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';
import { certificatesIn, readCertificate } from './pem.ts';
import type { ProbeFailure } from './probe-result.ts';
import { textOf, type Value } from './value-fields.ts';

/** A certificate with its key, as TLS takes them. */
export interface Identity {
  readonly ok: true;
  readonly leaf: X509Certificate;
  /** The leaf and the authorities between it and a root, in PEM. */
  readonly chain: string;
  readonly key: string;
  /** Every authority that came with it, in PEM. */
  readonly authorities: readonly string[];
}

/**
 * Reads what Vault's `pki/issue` answers: `certificate`, `private_key`, and the authorities in `ca_chain` (a list) and `issuing_ca`.
 * Texts that hold several certificates, one after the other, are understood. `test_value_incomplete`, `test_certificate_unreadable`,
 * `test_certificate_key_mismatch`.
 */
export function identityOf(value: Value): Identity | ProbeFailure {
  const certificate = textOf(value, 'certificate');
  const key = textOf(value, 'private_key');
  if (certificate === undefined || key === undefined) {
    return { ok: false, code: 'test_value_incomplete', refused: false };
  }
  const [first = '', ...others] = certificatesIn(certificate);
  const authorities = [...new Set([...others, ...authoritiesIn(value)])];
  const leaf = readCertificate(first);
  const privateKey = readKey(key);
  const read = authorities.map(readCertificate);
  if (leaf === undefined || privateKey === undefined || read.includes(undefined)) {
    return { ok: false, code: 'test_certificate_unreadable', refused: false };
  }
  if (!leaf.checkPrivateKey(privateKey)) {
    return { ok: false, code: 'test_certificate_key_mismatch', refused: false };
  }
  const between = authorities.filter((_, n) => !isRoot(read[n]));
  return { ok: true, leaf, chain: [first, ...between].join('\n'), key, authorities };
}

function authoritiesIn(value: Value): string[] {
  const chain = value.ca_chain;
  const texts = Array.isArray(chain) ? chain : [chain];
  return [...texts, value.issuing_ca].flatMap((text: unknown) =>
    typeof text === 'string' ? certificatesIn(text) : [],
  );
}

function readKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

const isRoot = (certificate: X509Certificate | undefined) => certificate?.issuer === certificate?.subject;

/** Whether a certificate is valid at `now` and for `validFor` after it, both in milliseconds. Undefined: it is. */
export function lifeFault(
  { validFrom, validTo }: Pick<X509Certificate, 'validFrom' | 'validTo'>,
  now: number,
  validFor: number,
): ProbeFailure | undefined {
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  if (!(now >= from)) return { ok: false, code: 'test_certificate_not_yet_valid', refused: false };
  if (!(now < to)) return { ok: false, code: 'test_certificate_expired', refused: false };
  if (now + validFor > to) return { ok: false, code: 'test_certificate_ends_too_soon', refused: false };
  return undefined;
}

/** A name that the certificate is for: its first alternative name, else its common name. A wildcard stands for some host under it. */
export function firstNameOf({
  subjectAltName,
  subject,
}: Pick<X509Certificate, 'subjectAltName' | 'subject'>): string | undefined {
  const name =
    /(?:^|, )(?:DNS|IP Address):([^,"]+)/.exec(subjectAltName ?? '')?.[1] ?? /^CN=(.+)$/m.exec(subject)?.[1];
  return name?.replace(/^\*\./, 'any.');
}
