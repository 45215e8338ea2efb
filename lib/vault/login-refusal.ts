import type { VaultError } from './errors.ts';

/** Why Vault's kubernetes auth method let nobody in. `denied`: it says no more than "permission denied". */
export type LoginRefusal =
  | 'role-unknown'
  | 'service-account-not-bound'
  | 'namespace-not-bound'
  | 'audience-mismatch'
  | 'token-expired'
  | 'mount-unknown'
  | 'not-configured'
  | 'denied'
  | 'other';

/** Texts of Vault's plugin vault-plugin-auth-kubernetes (`path_login.go`), and those seen on OpenBao 2.7. The first match wins. */
const BY_TEXT: readonly (readonly [pattern: RegExp, refusal: LoginRefusal])[] = [
  [/invalid role name|missing role/, 'role-unknown'],
  [/service account name not authorized/, 'service-account-not-bound'],
  [/namespace not authorized/, 'namespace-not-bound'],
  [/audience|\(aud\)|"aud"/, 'audience-mismatch'],
  [/token is expired|\(exp\)|"exp"/, 'token-expired'],
  [/no handler for route|unsupported path/, 'mount-unknown'],
  [/could not load (backend )?config/, 'not-configured'],
];

/** What a refused login was refused for, as far as Vault says. HashiCorp Vault answers 403 for an auth method that is not there, too. */
export function loginRefusalOf(error: VaultError): LoginRefusal {
  const text = error.reasons.join('\n');
  const known = BY_TEXT.find(([pattern]) => pattern.test(text));
  if (known) return known[1];
  if (error.code === 'vault_denied') return 'denied';
  return error.code === 'vault_not_found' ? 'mount-unknown' : 'other';
}
