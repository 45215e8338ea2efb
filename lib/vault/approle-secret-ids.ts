import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault, type VaultAnswer, type VaultRequest } from './client.ts';
import { isVaultError } from './errors.ts';

/** Where a role is. */
export interface AppRolePlace {
  readonly namespace: string;
  /** Of the auth method, without `auth/`. */
  readonly mount: string;
  readonly role: string;
}

/** What a secret id is to be. What is left out is as the role has it. */
export interface SecretIdRequest {
  /** Goes into the metadata of every token that is made with it. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Not longer than the role's `secret_id_ttl`. */
  readonly ttlSeconds?: number | undefined;
  /** From where it may be used. */
  readonly cidrList?: readonly string[] | undefined;
  readonly numUses?: number | undefined;
}

export interface IssuedSecretId {
  readonly secretId: string;
  readonly accessor: string;
  /** 0: it does not end by itself. */
  readonly ttlSeconds: number;
  /** 0: without a bound. */
  readonly numUses: number;
}

const roleIdAnswer = z.object({ data: z.object({ role_id: z.string().min(1) }) });
const issueAnswer = z.object({
  data: z.object({
    secret_id: z.string().min(1),
    secret_id_accessor: z.string().min(1),
    secret_id_ttl: z.number().default(0),
    secret_id_num_uses: z.number().default(0),
  }),
});
const listAnswer = z.object({ data: z.object({ keys: z.array(z.string()) }) });
const lookupAnswer = z.object({
  data: z.object({ metadata: z.record(z.string(), z.string()).nullish() }),
});

/** The secret ids of one AppRole role, by accessor ("AppRole auth method" of Vault's HTTP API). */
export class AppRoleSecretIds {
  readonly #vault: Vault;
  readonly #path: string;

  constructor(vault: Vault, { namespace, mount, role }: AppRolePlace) {
    this.#vault = vault;
    this.#path = joinPath(namespace, 'auth', mount, 'role', role);
  }

  /** The role's own id; undefined when there is no such role. */
  async roleId(): Promise<string | undefined> {
    const answer = await unlessAbsent(this.#request({ method: 'GET', path: 'role-id', repeatable: true }));
    return answer && parseAnswer(roleIdAnswer, answer, 'reading a role id').data.role_id;
  }

  /**
   * Not repeated when it may have been made: each repetition would be a further live secret id. Throws `vault_not_found` for an unknown
   * role, `vault_bad_request` when the role does not allow what is asked for.
   */
  async issue({ metadata, ttlSeconds, cidrList, numUses }: SecretIdRequest): Promise<IssuedSecretId> {
    const answer = await this.#request({
      method: 'POST',
      path: 'secret-id',
      body: {
        // A JSON text within JSON: so Vault wants it.
        metadata: JSON.stringify(metadata),
        ...(ttlSeconds === undefined ? {} : { ttl: `${ttlSeconds}s` }),
        ...(cidrList === undefined ? {} : { cidr_list: cidrList }),
        ...(numUses === undefined ? {} : { num_uses: numUses }),
      },
      repeatable: false,
    });
    const { data } = parseAnswer(issueAnswer, answer, 'issuing a secret id');
    return {
      secretId: data.secret_id,
      accessor: data.secret_id_accessor,
      ttlSeconds: data.secret_id_ttl,
      numUses: data.secret_id_num_uses,
    };
  }

  /** The accessors of all secret ids of the role, in no order. An unknown role has none. */
  async accessors(): Promise<readonly string[]> {
    const listing = this.#request({ method: 'LIST', path: 'secret-id', repeatable: true });
    const answer = await this.#unlessRoleGone(unlessAbsent(listing));
    return answer === undefined ? [] : parseAnswer(listAnswer, answer, 'listing secret ids').data.keys;
  }

  /** The metadata of one; undefined when it is gone: expired, used up, destroyed, or its role is deleted. */
  async metadataOf(accessor: string): Promise<Readonly<Record<string, string>> | undefined> {
    const looking = this.#byAccessor('lookup', accessor, true);
    const answer = await this.#unlessRoleGone(unlessAbsent(looking));
    // 204 is the answer for one that has expired and is not yet tidied away.
    if (answer === undefined || answer.status === 204) return undefined;
    return parseAnswer(lookupAnswer, answer, 'looking up a secret id').data.metadata ?? {};
  }

  /** One that is gone already, or goes meanwhile, counts as destroyed. */
  async destroy(accessor: string): Promise<void> {
    // To destroy an unknown one is answered with 500, as a fault of Vault is: so it is looked for first, and once more after a fault.
    if ((await this.metadataOf(accessor)) === undefined) return;
    try {
      await this.#byAccessor('destroy', accessor, false);
    } catch (error) {
      if ((await this.metadataOf(accessor)) !== undefined) throw error;
    }
  }

  #byAccessor(operation: string, accessor: string, repeatable: boolean): Promise<VaultAnswer> {
    const body = { secret_id_accessor: accessor };
    return this.#request({ method: 'POST', path: `secret-id-accessor/${operation}`, body, repeatable });
  }

  #request(request: VaultRequest): Promise<VaultAnswer> {
    return this.#vault.request({ ...request, path: joinPath(this.#path, request.path) });
  }

  /** Secret ids go with their role. Of an unknown role a list is answered with 400, a lookup with 500. */
  async #unlessRoleGone(asking: Promise<VaultAnswer | undefined>): Promise<VaultAnswer | undefined> {
    try {
      return await asking;
    } catch (error) {
      if (!isVaultError(error, 'vault_bad_request', 'vault_unavailable')) throw error;
      if ((await this.roleId()) !== undefined) throw error;
      return undefined;
    }
  }
}

/** A 404 with a reason comes from Vault itself: the auth method is not mounted here, which says nothing of what it held. */
async function unlessAbsent(asking: Promise<VaultAnswer>): Promise<VaultAnswer | undefined> {
  try {
    return await asking;
  } catch (error) {
    if (isVaultError(error, 'vault_not_found') && error.reasons.length === 0) return undefined;
    throw error;
  }
}
