import * as z from 'zod';
import { LeasekeeperError } from '../../errors.ts';
import { joinPath } from '../../vault/addressing.ts';
import { IssuedCertificates } from '../../vault/issued-certificates.ts';
import { durationSchema } from '../duration.ts';
import { attemptTokenFields, pathSchema, publishedFields, segmentSchema } from '../specification-fields.ts';
import { type RotatorDependencies, rotatorKind } from './kind.ts';
import { issueLeased, putUnderCare, renewAttemptToken, revokeLeased } from './leased-credential.ts';
import { certificateFault, issuedCertificate } from './pki-certificate.ts';
import type { Attempt, Created, Handle } from './rotator.ts';

/** Vault separates names by commas. Names beyond ASCII are written as they stand in certificates: `xn--bcher-kva.example`. */
const altName = z
  .string()
  .max(253)
  .regex(/^((\*\.)?\w([\w.-]*\w)?|[\w.+-]+@[\w.-]+)$/, 'expected a DNS name or a mail address');
const uri = z
  .string()
  .regex(/^[a-z][a-z0-9+.-]*:[\x21\x23-\x2b\x2d-\x7e]+$/i, 'expected a URI without commas');

const schema = z.strictObject({
  kind: z.literal('pki'),
  ...publishedFields,
  token_role: attemptTokenFields.token_role,
  attempt_ttl: attemptTokenFields.attempt_ttl,
  /** The PKI engine, after VAULT_NAMESPACE, and its role, which must have `generate_lease=true`. */
  mount: pathSchema,
  role: segmentSchema,
  common_name: z
    .string()
    .max(64)
    .regex(/^[^\p{Cc},]+$/u, 'expected a name without commas'),
  alt_names: z.array(altName).default([]),
  ip_sans: z.array(z.union([z.ipv4(), z.ipv6()])).default([]),
  uri_sans: z.array(uri).default([]),
  /** How long it lives; without it as long as the role has it. */
  ttl: durationSchema.pipe(z.number().min(1_000, 'expected at least 1s')).optional(),
});
type PkiSpecification = z.infer<typeof schema>;

const handleOfCertificate = z.object({
  mount: z.string(),
  serial: z.string(),
  /** Milliseconds since the epoch. */
  ends_at: z.number(),
});

/** The token outlives the certificate by this: it would take the certificate along. */
const TOKEN_MARGIN_MS = 300_000;
/** What lives for fewer scans than this cannot be replaced in time. */
const LEAST_SCANS = 3;

/** A certificate and its key, replaced well before it ends. */
export const pki = rotatorKind({
  schema,
  begins: 'at_once',
  rights: (spec) => ({
    rotate: [],
    attempt: {
      tokenRole: spec.token_role,
      rights: [{ path: sourceOf(spec), under: 'namespace', capabilities: ['update'] }],
    },
  }),
  open: (deps) => ({
    create: ({ spec }) => issue(deps, spec),
    keep: (attempt, handle) => keep(deps, attempt, handle),
    test: async ({ spec }, _handle, value) => {
      const leastLifeMs = LEAST_SCANS * deps.policy.scanIntervalMs;
      return certificateFault(value ?? {}, spec, deps.now(), leastLifeMs) ?? { ok: true };
    },
    revoke: ({ handle }) => revoke(deps, handle),
    inspect: (_spec, { handle }) => inspect(deps, handle),
  }),
});

function sourceOf({ mount, role }: PkiSpecification): string {
  return joinPath(mount, 'issue', role);
}

/**
 * Issues it with a lease, so that it is revoked with its attempt's token. `pki_lease_required`: without one, what a dead worker has had
 * issued could not be found again. The key of that one is let go of here, so nobody can use it.
 */
async function issue(deps: RotatorDependencies, spec: PkiSpecification): Promise<Created> {
  const { handle, value } = await issueLeased(deps, spec, sourceOf(spec), {
    common_name: spec.common_name,
    alt_names: spec.alt_names.join(','),
    ip_sans: spec.ip_sans.join(','),
    uri_sans: spec.uri_sans.join(','),
    ...(spec.ttl === undefined ? {} : { ttl: `${Math.ceil(spec.ttl / 1_000)}s` }),
  });
  if (handle.lease_id === '') throw leaseRequired(spec);
  const { serial, endsAt } = issuedCertificate(value);
  const ours = { mount: spec.mount, serial, ends_at: endsAt } satisfies z.infer<typeof handleOfCertificate>;
  return { handle: { ...handle, ...ours }, value, endsAt, ttlMs: endsAt - deps.now() };
}

/**
 * A certificate is never renewed, but its token must live as long as it does. One renewal is enough where Vault grants all of it (the max
 * TTL of tokens is 768 h unless it was raised); where it does not, the agenda keeps the token, and has the certificate replaced before the
 * token ends.
 */
async function keep(
  deps: RotatorDependencies,
  attempt: Attempt<PkiSpecification>,
  stored: Handle,
): Promise<boolean> {
  const lifeMs = handleOfCertificate.parse(stored).ends_at - deps.now();
  const renewed = await renewAttemptToken(deps, stored, Math.max(lifeMs, 0) + TOKEN_MARGIN_MS);
  if (renewed === undefined) return false;
  if (renewed.ttlSeconds * 1_000 < lifeMs) {
    await putUnderCare(deps, attempt, sourceOf(attempt.spec), stored, renewed);
  }
  return true;
}

/** With its lease. A lease that somebody has forced away no longer takes its certificate along: then Vault still calls it good. */
async function revoke(deps: RotatorDependencies, stored: Handle): Promise<void> {
  await revokeLeased(deps, stored);
  const { serial, ends_at } = handleOfCertificate.parse(stored);
  const certificate = await certificateOf(deps, stored);
  if (certificate === undefined || certificate.revokedAt !== undefined || ends_at <= deps.now()) return;
  throw notRevoked(serial);
}

async function inspect(deps: RotatorDependencies, stored: Handle): Promise<string | undefined> {
  const certificate = await certificateOf(deps, stored);
  if (certificate === undefined) return 'certificate_unknown';
  return certificate.revokedAt === undefined ? undefined : 'certificate_revoked';
}

function certificateOf(deps: RotatorDependencies, stored: Handle) {
  const { mount, serial } = handleOfCertificate.parse(stored);
  return new IssuedCertificates(deps.vault, joinPath(deps.namespace, mount)).read(serial);
}

function leaseRequired({ mount, role }: PkiSpecification): LeasekeeperError {
  return new LeasekeeperError('pki_lease_required', `The role ${role} of ${mount} issues without a lease.`, {
    hint: 'Set generate_lease=true on the role, and no_store=false.',
  });
}

function notRevoked(serial: string): LeasekeeperError {
  return new LeasekeeperError('pki_certificate_not_revoked', `The certificate ${serial} is not revoked.`, {
    hint: 'Its lease is gone without it. Revoke it by its serial number: vault write <mount>/revoke serial_number=….',
  });
}
