import type { Secret } from '../../telemetry/secret.ts';
import { joinPath } from '../addressing.ts';
import { parseAnswer, type Vault, type VaultClient } from '../client.ts';
import { holderIn } from '../token-holder.ts';
import { authAnswer, type IssuedToken } from '../tokens.ts';

/** A way to get a token. One file for each of Vault's auth methods. */
export interface AuthMethod {
  /** For metrics and errors: `kubernetes`, `approle`, `token`. */
  readonly name: string;
  /** Only where somebody else makes the tokens, and this method hands them on. */
  readonly given?: GivenTokens;
  /** Logs in. Throws VaultError `vault_denied` or `vault_bad_request` when Vault refuses the credentials. */
  login(client: VaultClient): Promise<IssuedToken>;
}

/** Tokens that were given to us: they are used, and never ended by us. */
export interface GivenTokens {
  /** Whether there is another token than this by now. Asks nothing of Vault and never throws: what cannot be read is no other token. */
  isReplaced(token: Secret): Promise<boolean>;
}

/** `POST auth/<mount>/login`. Repeating is harmless: a token that was made and lost ends by itself. */
export async function loginAt(
  vault: Vault,
  authNamespace: string,
  mount: string,
  body: Readonly<Record<string, unknown>>,
): Promise<IssuedToken> {
  const answer = await vault.request({
    method: 'POST',
    path: joinPath(authNamespace, 'auth', mount, 'login'),
    body,
    repeatable: true,
  });
  const { auth } = parseAnswer(authAnswer, answer, 'logging in');
  return {
    token: auth.client_token,
    accessor: auth.accessor,
    ttlSeconds: auth.lease_duration,
    renewable: auth.renewable,
    holder: holderIn(auth),
  };
}
