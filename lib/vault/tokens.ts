import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault, type VaultAnswer } from './client.ts';
import { isVaultError } from './errors.ts';
import { holderFields, holderIn, type TokenHolder } from './token-holder.ts';

/** A token that Vault has just made. The token itself is handed on and never stored; the accessor is. */
export interface IssuedToken {
  readonly token: string;
  readonly accessor: string;
  readonly ttlSeconds: number;
  readonly renewable: boolean;
  readonly holder: TokenHolder;
}

export interface TokenRenewal {
  readonly ttlSeconds: number;
  readonly renewable: boolean;
}

export interface TokenLookup {
  /** Milliseconds since the epoch; undefined for a token without an end. */
  readonly expireTime: number | undefined;
  readonly ttlSeconds: number;
  readonly renewable: boolean;
  readonly holder: TokenHolder;
  readonly path: string;
}

/** The `auth` part of every answer that holds a new token. */
export const authAnswer = z.object({
  auth: z.object({
    client_token: z.string(),
    accessor: z.string(),
    lease_duration: z.number(),
    renewable: z.boolean(),
    ...holderFields,
  }),
});
const renewAnswer = z.object({ auth: z.object({ lease_duration: z.number(), renewable: z.boolean() }) });
const lookupAnswer = z.object({
  data: z.object({
    accessor: z.string().default(''),
    expire_time: z.string().nullish(),
    ttl: z.number(),
    renewable: z.boolean().default(false),
    ...holderFields,
    path: z.string().default(''),
  }),
});

/** `auth/token/*` of one namespace, by accessor. */
export class Tokens {
  readonly #vault: Vault;
  readonly #namespace: string;

  constructor(vault: Vault, namespace: string) {
    this.#vault = vault;
    this.#namespace = namespace;
  }

  /**
   * A token by a token role. Not repeated when it may have been made; one that was made and lost ends at its short TTL. Throws
   * `vault_bad_request` for an unknown role.
   */
  async create(role: string, ttlSeconds: number): Promise<IssuedToken> {
    const answer = await this.#post(`create/${role}`, { ttl: `${ttlSeconds}s` }, false);
    const { auth } = parseAnswer(authAnswer, answer, 'creating a token');
    return {
      token: auth.client_token,
      accessor: auth.accessor,
      ttlSeconds: auth.lease_duration,
      renewable: auth.renewable,
      holder: holderIn(auth),
    };
  }

  /** Throws `vault_unknown_accessor` for a token that is gone. */
  async renewAccessor(accessor: string, incrementSeconds: number): Promise<TokenRenewal> {
    const answer = await this.#post('renew-accessor', { accessor, increment: `${incrementSeconds}s` }, true);
    const { auth } = parseAnswer(renewAnswer, answer, 'renewing a token');
    return { ttlSeconds: auth.lease_duration, renewable: auth.renewable };
  }

  /** Throws `vault_unknown_accessor` for a token that is gone. */
  async lookupAccessor(accessor: string): Promise<TokenLookup> {
    return readLookup(await this.#post('lookup-accessor', { accessor }, true));
  }

  /** Revokes a token and what hangs on it. One that is already gone counts as revoked. */
  async revokeAccessor(accessor: string): Promise<void> {
    try {
      await this.#post('revoke-accessor', { accessor }, true);
    } catch (error) {
      // HashiCorp Vault and OpenBao differ on an unknown accessor; for us both mean: done.
      if (!isVaultError(error, 'vault_unknown_accessor')) throw error;
    }
  }

  #post(operation: string, body: Readonly<Record<string, unknown>>, repeatable: boolean) {
    return this.#vault.request({
      method: 'POST',
      path: joinPath(this.#namespace, 'auth/token', operation),
      body,
      repeatable,
    });
  }
}

/** What a token may know of itself (`lookup-self` is in the default policy). */
export async function lookupSelf(
  vault: Vault,
  namespace: string,
): Promise<TokenLookup & { accessor: string }> {
  return readLookup(await askOfSelf(vault, namespace));
}

/** The answer to that as Vault gave it, for whoever wants more of it. */
export function askOfSelf(vault: Vault, namespace: string): Promise<VaultAnswer> {
  return vault.request({
    method: 'GET',
    path: joinPath(namespace, 'auth/token/lookup-self'),
    repeatable: true,
  });
}

/** Extends the caller's own token to `incrementSeconds` from now, at most to its max TTL. */
export async function renewSelf(
  vault: Vault,
  namespace: string,
  incrementSeconds: number,
): Promise<TokenRenewal> {
  const answer = await vault.request({
    method: 'POST',
    path: joinPath(namespace, 'auth/token/renew-self'),
    body: { increment: `${incrementSeconds}s` },
    repeatable: true,
  });
  const { auth } = parseAnswer(renewAnswer, answer, 'renewing our own token');
  return { ttlSeconds: auth.lease_duration, renewable: auth.renewable };
}

/** Ends the caller's own token and every lease made with it. */
export async function revokeSelf(vault: Vault, namespace: string): Promise<void> {
  await vault.request({
    method: 'POST',
    path: joinPath(namespace, 'auth/token/revoke-self'),
    repeatable: true,
  });
}

function readLookup(answer: VaultAnswer): TokenLookup & { accessor: string } {
  const { data } = parseAnswer(lookupAnswer, answer, 'looking up a token');
  return {
    accessor: data.accessor,
    expireTime: data.expire_time == null ? undefined : Date.parse(data.expire_time),
    ttlSeconds: data.ttl,
    renewable: data.renewable,
    holder: holderIn(data),
    path: data.path,
  };
}
