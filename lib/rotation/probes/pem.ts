import { X509Certificate } from 'node:crypto';

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** The certificates of a PEM text, each a PEM text of its own, in their order. */
export function certificatesIn(pem: string): string[] {
  return pem.match(BLOCK) ?? [];
}

/** A certificate, read; undefined if it cannot be. */
export function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}
