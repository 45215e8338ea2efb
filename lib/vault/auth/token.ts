import type { Secret } from '../../telemetry/secret.ts';
import { actingWith } from '../acting-with.ts';
import type { VaultClient } from '../client.ts';
import { type IssuedToken, lookupSelf } from '../tokens.ts';
import type { AuthMethod } from './login.ts';

/** A token that is given. `authNamespace` is where it lives. Its life is read once; it is never replaced by us. */
export function tokenAuth(token: Secret, authNamespace = ''): AuthMethod {
  return {
    name: 'token',
    given: { isReplaced: async () => false },
    login: (client) => takeUp(client, token, authNamespace),
  };
}

/** A token that exists, as if it had just been issued for as long as it still lives. Throws `vault_denied` for one that is gone. */
export async function takeUp(
  client: VaultClient,
  token: Secret,
  authNamespace: string,
): Promise<IssuedToken> {
  const self = await lookupSelf(actingWith(client, token), authNamespace);
  return {
    token: token.expose(),
    accessor: self.accessor,
    // A root token has no end and says so with a TTL of 0.
    ttlSeconds: self.expireTime === undefined ? Number.POSITIVE_INFINITY : self.ttlSeconds,
    renewable: self.renewable,
    holder: self.holder,
  };
}
