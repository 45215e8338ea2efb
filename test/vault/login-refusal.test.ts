import { expect, it } from 'vitest';
import { VaultError } from '../../lib/vault/errors.ts';
import { loginRefusalOf } from '../../lib/vault/login-refusal.ts';

it.each([
  ['vault_bad_request', 'invalid role name "x"', 'role-unknown'],
  ['vault_denied', 'service account name not authorized', 'service-account-not-bound'],
  ['vault_denied', 'namespace not authorized', 'namespace-not-bound'],
  [
    'vault_denied',
    'invalid audience (aud) claim: audience claim does not match any expected audience',
    'audience-mismatch',
  ],
  ['vault_denied', 'invalid expiration time (exp) claim: token is expired', 'token-expired'],
  ['vault_not_found', 'no handler for route "auth/x/login". route entry not found.', 'mount-unknown'],
  ['vault_bad_request', 'could not load backend configuration', 'not-configured'],
  ['vault_denied', 'permission denied', 'denied'],
  ['vault_unavailable', 'internal error', 'other'],
] as const)('%s "%s" is %s', (code, reason, expected) => {
  expect(loginRefusalOf(new VaultError(code, reason, { reasons: [reason] }))).toBe(expected);
});
