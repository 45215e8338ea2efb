import { createHash } from 'node:crypto';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import type { TokenHolder } from '../vault/token-holder.ts';
import type { Logger } from './log.ts';

/** Hex digits of a lease hash: 64 bits, enough to tell 100,000 leases apart (odds of one clash about 3 in 10 billion). */
const LEASE_HASH_LENGTH = 16;

/**
 * The name under which a lease id appears in audit lines. A plain SHA-256 will do: the id ends in 24 random characters,
 * so it cannot be guessed from its hash, and whoever has the id can find its lines without a key.
 */
export function hashLease(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, LEASE_HASH_LENGTH);
}

const accessSchema = z.object({
  /** Who: whatever of these Vault or the caller's login told us. */
  who: z.object({
    entity: z.string().optional(),
    role: z.string().optional(),
    service_account: z.string().optional(),
    display_name: z.string().optional(),
  }),
  action: z.enum(['read', 'issue', 'renew', 'revoke', 'ack', 'manage']),
  path: z.string(),
  outcome: z.enum(['ok', 'denied', 'error']),
  /** The error's code, when there was one. */
  code: z.string().optional(),
  latency_ms: z.number().nonnegative(),
  request_id: z.string().min(1),
  /** Vault's own `request_id`, which its audit log has too. */
  vault_request_id: z.string().optional(),
});

const auditInputSchema = accessSchema.extend({
  /** The lease id as Vault gave it; only its hash is written. */
  lease_id: z.string().min(1).optional(),
});

/** One access, as the caller of the audit log describes it. */
export type AuditInput = z.input<typeof auditInputSchema>;

/** Who holds a token, in the words of an audit line. */
export function whoIs(holder: TokenHolder): AuditInput['who'] {
  const { displayName, entityId, role, serviceAccount } = holder;
  return {
    ...(entityId === undefined ? {} : { entity: entityId }),
    ...(role === undefined ? {} : { role }),
    ...(serviceAccount === undefined ? {} : { service_account: serviceAccount }),
    ...(displayName === undefined ? {} : { display_name: displayName }),
  };
}

/** One line of the audit log. Readers parse with it; unknown fields are no part of a line. */
export const auditLineSchema = accessSchema.extend({
  audit: z.literal(true),
  time: z.iso.datetime(),
  /** {@link hashLease} of the lease id. */
  lease: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  /** As on every line of the host's log. */
  invocation_id: z.string().optional(),
  trace_id: z.string().optional(),
});

export type AuditLine = z.output<typeof auditLineSchema>;

/** Writes one line for an access. Throws `audit_entry_invalid`, naming the fields at fault and never what was in them. */
export type Audit = (access: AuditInput) => void;

export type AuditOptions =
  | { readonly logger: Logger }
  | { readonly write: (line: AuditLine) => void; readonly now?: () => number };

/** An audit log that writes through a logger, whatever its level, or to a function of your own. */
export function createAudit(options: AuditOptions): Audit {
  if ('write' in options) {
    const { write, now = Date.now } = options;
    return (access) => write({ ...lineOf(access), time: new Date(now()).toISOString() });
  }
  // A child with its own level: `level: warn` must silence information, not evidence. pino adds the time.
  const always = options.logger.child({}, { level: 'info' });
  return (access) => always.info(lineOf(access));
}

/** The line but for its time. Fields the schema does not know are dropped here, so that no value slips in beside them. */
function lineOf(access: AuditInput): Omit<AuditLine, 'time'> {
  const parsed = auditInputSchema.safeParse(access);
  if (!parsed.success) {
    const fields = [...new Set(parsed.error.issues.map((issue) => issue.path.join('.')))].join(', ');
    throw new LeasekeeperError(
      'audit_entry_invalid',
      `The audit entry is wrong in: ${fields || 'the whole entry'}`,
      {
        hint: 'Every access needs who, action, path, outcome, latency_ms and request_id.',
      },
    );
  }
  const { lease_id, ...line } = parsed.data;
  return { audit: true, ...line, ...(lease_id !== undefined && { lease: hashLease(lease_id) }) };
}
