import { type ErrorDetails, LeasekeeperError } from '../errors.ts';

/**
 * What went wrong between us and Vault. Decide by these, never by text: the text is matched once, in `refusalOf`.
 * Sources: Vault's HTTP API status codes, and the answers seen on OpenBao 2.7 and Vault 1.21.
 */
export const VAULT_ERROR_CODES = [
  'vault_unreachable',
  'vault_timeout',
  'vault_sealed',
  'vault_standby',
  'vault_unavailable',
  'vault_rate_limited',
  'vault_lease_quota_exceeded',
  'vault_denied',
  'vault_not_found',
  'vault_bad_request',
  'vault_cas_mismatch',
  'vault_entry_too_large',
  'vault_lease_not_found',
  'vault_lease_not_renewable',
  'vault_lease_irrevocable',
  'vault_renew_failed',
  'vault_revoke_failed',
  'vault_unknown_accessor',
  'vault_invalid_answer',
] as const;
export type VaultErrorCode = (typeof VAULT_ERROR_CODES)[number];

/** Whether Vault may have carried the request out: a request that may have is repeated only when repeating is harmless. */
export type Processed = 'no' | 'maybe';

export interface VaultErrorDetails extends ErrorDetails {
  readonly status?: number;
  readonly processed?: Processed;
  /** Milliseconds that Vault asked us to wait (Retry-After). */
  readonly retryAfterMs?: number;
  /** Vault's own error strings, shortened, without credentials in addresses. */
  readonly reasons?: readonly string[];
}

export class VaultError extends LeasekeeperError {
  declare readonly code: VaultErrorCode;
  readonly status: number | undefined;
  readonly processed: Processed;
  readonly retryAfterMs: number | undefined;
  readonly reasons: readonly string[];

  constructor(code: VaultErrorCode, message: string, details: VaultErrorDetails = {}) {
    super(code, message, { hint: details.hint ?? HINTS[code], cause: details.cause });
    this.status = details.status;
    this.processed = details.processed ?? 'no';
    this.retryAfterMs = details.retryAfterMs;
    this.reasons = details.reasons ?? [];
  }
}

const HINTS: Record<VaultErrorCode, string> = {
  vault_unreachable:
    'Check VAULT_ADDR, that Vault is running, and that network policies allow the connection.',
  vault_timeout: 'Vault took too long. Check its load and the network between.',
  vault_sealed: 'Unseal Vault; requests go through again by themselves.',
  vault_standby:
    'A standby answered that could not serve this. It is tried again; check that the cluster has a leader.',
  vault_unavailable: 'Vault or the engine behind it failed. See its log; the request may be tried again.',
  vault_rate_limited: 'A rate limit quota applies. Slow down or raise the quota.',
  vault_lease_quota_exceeded:
    'A lease count quota is used up; waiting does not help. Revoke leases or raise the quota.',
  vault_denied:
    'Check that the token is valid, that the Vault policy allows this path, and that the role is bound to the caller.',
  vault_not_found: 'Check the path, the mount and VAULT_NAMESPACE.',
  vault_bad_request: 'Vault refused the request as it stands. Check the path and the engine configuration.',
  vault_cas_mismatch: 'Somebody else wrote first. Read again and decide anew.',
  vault_entry_too_large:
    'The document is larger than one Vault storage entry may be. Set up a further book with more shards.',
  vault_lease_not_found: 'The lease has expired or was revoked. Ask for a new secret.',
  vault_lease_not_renewable: 'This lease cannot be renewed. Ask for a new secret before it expires.',
  vault_lease_irrevocable:
    'Vault gave up revoking this lease. Remove the credential by hand, then force-revoke the lease.',
  vault_renew_failed:
    'The engine could not renew. The lease is unchanged; check the system behind the engine.',
  vault_revoke_failed:
    'The engine could not revoke. The credential still works; check the system behind the engine.',
  vault_unknown_accessor: 'The token has expired or was revoked.',
  vault_invalid_answer:
    'The answer was not what Vault gives. Check that VAULT_ADDR is Vault and not a proxy or a portal.',
};

/** Whether an error is Vault's and has one of these codes. */
export function isVaultError(error: unknown, ...codes: readonly VaultErrorCode[]): error is VaultError {
  return error instanceof VaultError && (codes.length === 0 || codes.includes(error.code));
}

/** Faults of the way or the server, which pass by themselves, as against refusals, which do not. */
export function isTransient(error: unknown): boolean {
  return isVaultError(
    error,
    'vault_unreachable',
    'vault_timeout',
    'vault_sealed',
    'vault_standby',
    'vault_unavailable',
    'vault_rate_limited',
  );
}

interface Refusal {
  readonly code: VaultErrorCode;
  readonly processed?: Processed;
}

/**
 * Told apart by text because Vault answers 400 for both a lost lease and a database that is down.
 * The first match wins, so the longer texts stand first.
 */
const BY_TEXT: readonly (readonly [pattern: RegExp, code: VaultErrorCode])[] = [
  [/check-and-set parameter did not match/, 'vault_cas_mismatch'],
  [/expired and has failed previous revocation/, 'vault_lease_irrevocable'],
  [/failed to revoke entry/, 'vault_revoke_failed'],
  [/failed to renew entry/, 'vault_renew_failed'],
  [/lease is not renewable/, 'vault_lease_not_renewable'],
  [/lease not found|invalid lease|lease expired/, 'vault_lease_not_found'],
  // The second of two that revoke the same token at the same moment is told the latter.
  [/invalid accessor|token not found/, 'vault_unknown_accessor'],
  // A KV v2 mount says so for a moment after it was made; a standby, "Waiting for the primary to upgrade from …".
  [/upgrad(ing|e) from non-versioned/i, 'vault_unavailable'],
  [/value being too large|entry is too large|exceeds max entry size/i, 'vault_entry_too_large'],
];

/** Which error an answer of 300 or more is. */
export function refusalOf(status: number, reasons: readonly string[]): Refusal {
  const text = reasons.join('\n');
  const known = BY_TEXT.find(([pattern]) => pattern.test(text));
  if (known) return { code: known[1] };
  if (status === 429) return quotaOrStandby(text);
  if (status === 412 || status === 472 || status === 473) return { code: 'vault_standby' };
  if (status === 503 && /sealed|not initialized/i.test(text)) return { code: 'vault_sealed' };
  if (status >= 300 && status < 400) return { code: 'vault_standby' };
  if (status === 403) return { code: 'vault_denied' };
  if (status === 404) return { code: 'vault_not_found' };
  if (status >= 500) return { code: 'vault_unavailable', processed: 'maybe' };
  return { code: 'vault_bad_request' };
}

/** 429 has three meanings: a quota on requests, a quota on leases, and (with no text) a standby that has not caught up. */
function quotaOrStandby(text: string): Refusal {
  if (text === '') return { code: 'vault_standby' };
  return { code: /lease count/i.test(text) ? 'vault_lease_quota_exceeded' : 'vault_rate_limited' };
}

const LONGEST_REASON = 300;
/** To the last `@`: a password may hold any character. */
const USER_INFO = /\/\/[^\s"'`<>]*@/g;
const PASSWORD = /\b(password|passwd|passphrase|pwd)["']?\s*[=:]\s*("[^"]*"?|'[^']*'?|[^\s,;}]+)/gi;
/** Vault's own tokens, of either generation of their form. */
const TOKEN = /\b(?:hv[sbr]|[sbr])\.[\w-]{20,}/g;

/** Vault's error strings made fit for a log: bounded, one line, without what databases quote of credentials. */
export function presentable(reasons: readonly string[]): string[] {
  return reasons
    .slice(0, 3)
    .map((reason) =>
      reason
        .replace(/\s+/g, ' ')
        .replace(USER_INFO, '//[secret]@')
        .replace(PASSWORD, '$1=[secret]')
        .replace(TOKEN, '[secret]')
        .trim()
        .slice(0, LONGEST_REASON),
    );
}
