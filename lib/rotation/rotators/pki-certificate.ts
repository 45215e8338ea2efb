import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import * as z from 'zod';
import { identityOf, lifeFault } from '../probes/certificate.ts';
import type { ProbeFailure } from '../probes/probe-result.ts';
import type { Value } from './rotator.ts';

/** What a certificate was asked to be, and what came: pure. Times in milliseconds. */

export interface AskedCertificate {
  readonly common_name: string;
  /** DNS names and mail addresses. */
  readonly alt_names: readonly string[];
  readonly ip_sans: readonly string[];
  readonly uri_sans: readonly string[];
  /** How long it was asked to live; undefined: as the role has it. */
  readonly ttl?: number | undefined;
}

/** The part of Vault's answer to `issue` that a handle is made of. */
const issuedSchema = z.object({
  certificate: z.string(),
  issuing_ca: z.string(),
  serial_number: z.string().min(1),
});

/**
 * Its serial number, and when it ends: with its authority if that ends first, which an issuer with `leaf_not_after_behavior=permit`
 * allows. Throws for an answer that holds no certificate.
 */
export function issuedCertificate(value: Value): { readonly serial: string; readonly endsAt: number } {
  const { certificate, issuing_ca, serial_number } = issuedSchema.parse(value);
  const ends = [certificate, issuing_ca].map((pem) => Date.parse(new X509Certificate(pem).validTo));
  return { serial: serial_number, endsAt: Math.min(...ends) };
}

/** Less than this share of the life asked for is no rotation but a hint that the role's limit or the authority's end is near. */
const LEAST_SHARE = 0.5;

/**
 * Whether the certificate is what was asked for: key and certificate belong together, `issuing_ca` has signed it, it is valid now and long
 * enough, and it is for every name. `leastLifeMs`: below it no schedule can keep up. `test_certificate_key_mismatch`,
 * `test_certificate_untrusted`, `test_certificate_ends_too_soon`, `test_certificate_name_mismatch` and the others of `identityOf` and
 * `lifeFault`.
 */
export function certificateFault(
  value: Value,
  asked: AskedCertificate,
  now: number,
  leastLifeMs: number,
): ProbeFailure | undefined {
  const identity = identityOf(value);
  if (!identity.ok) return identity;
  const { leaf } = identity;
  const authority = issuedSchema.shape.issuing_ca.safeParse(value.issuing_ca).data;
  if (authority === undefined) return { ok: false, code: 'test_value_incomplete', refused: false };
  if (!isSignedBy(leaf, new X509Certificate(authority))) {
    return { ok: false, code: 'test_certificate_untrusted', refused: false };
  }
  const least = Math.max(leastLifeMs, (asked.ttl ?? 0) * LEAST_SHARE);
  return lifeFault(leaf, now, 0) ?? endFault(value, now + least) ?? nameFault(leaf, asked);
}

function isSignedBy(leaf: X509Certificate, authority: X509Certificate): boolean {
  return leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
}

function endFault(value: Value, least: number): ProbeFailure | undefined {
  if (issuedCertificate(value).endsAt >= least) return undefined;
  return { ok: false, code: 'test_certificate_ends_too_soon', refused: false };
}

function nameFault(leaf: X509Certificate, asked: AskedCertificate): ProbeFailure | undefined {
  const { subject } = leaf.toLegacyObject();
  const there = new Set((leaf.subjectAltName ?? '').split(', ').map((name) => name.toLowerCase()));
  const has = (kind: string, name: string) => there.has(`${kind}:${name}`.toLowerCase());
  const isThere =
    subject.CN === asked.common_name &&
    asked.alt_names.every((name) => has(name.includes('@') ? 'email' : 'DNS', name)) &&
    asked.ip_sans.every((ip) => isIP(ip) !== 0 && leaf.checkIP(ip) !== undefined) &&
    asked.uri_sans.every((uri) => has('URI', uri));
  return isThere ? undefined : { ok: false, code: 'test_certificate_name_mismatch', refused: false };
}
