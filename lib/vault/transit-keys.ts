import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

/** A key of the transit engine. Versions count from 1. */
export interface TransitKey {
  /** What encrypts, signs and computes HMACs where no version is asked for. */
  readonly latestVersion: number;
  /** Ciphertexts of older versions cannot be decrypted, nor their signatures verified. */
  readonly minDecryptionVersion: number;
  /** Older versions cannot encrypt or sign, even when asked for. 0: none is refused. */
  readonly minEncryptionVersion: number;
  /** When each version was made, as Vault writes it. Versions below `minDecryptionVersion` are missing. */
  readonly madeAt: Readonly<Record<string, string>>;
  /** False for a key that was imported without `allow_rotation`. */
  readonly rotatable: boolean;
}

const madeAtAnswer = z.union([
  z.number().transform(String),
  // Of keys with a public half.
  z.object({ creation_time: z.string() }).transform(({ creation_time }) => creation_time),
]);
const keyAnswer = z.object({
  data: z
    .object({
      latest_version: z.number().int(),
      min_decryption_version: z.number().int(),
      min_encryption_version: z.number().int(),
      keys: z.record(z.string(), madeAtAnswer),
      imported_key: z.boolean().default(false),
      imported_key_allow_rotation: z.boolean().default(false),
      // OpenBao only: it refuses every use until it is restored.
      soft_deleted: z.boolean().default(false),
    })
    .optional(),
});

/** `keys/*` of one transit mount (the transit engine's HTTP API). */
export class TransitKeys {
  readonly #vault: Vault;
  readonly #mount: string;

  /** `mount` with the namespace. */
  constructor(vault: Vault, mount: string) {
    this.#vault = vault;
    this.#mount = mount;
  }

  /** Undefined for a key that is not there, or is deleted in a way that can be undone. */
  async read(key: string): Promise<TransitKey | undefined> {
    const answer = await this.#vault.request({
      method: 'GET',
      path: this.#pathOf(key),
      repeatable: true,
      missingIsAnswer: true,
    });
    const { data } = parseAnswer(keyAnswer, answer, 'reading a transit key');
    if (data === undefined || data.soft_deleted) return undefined;
    return {
      latestVersion: data.latest_version,
      minDecryptionVersion: data.min_decryption_version,
      minEncryptionVersion: data.min_encryption_version,
      madeAt: data.keys,
      rotatable: !data.imported_key || data.imported_key_allow_rotation,
    };
  }

  /** Adds a version, which is the latest from then on. Not repeated when it may have been added. Throws `vault_bad_request` for no key. */
  async rotate(key: string): Promise<void> {
    await this.#vault.request({
      method: 'POST',
      path: joinPath(this.#pathOf(key), 'rotate'),
      repeatable: false,
    });
  }

  /** Vault refuses one above the latest version, and `encryption` below `decryption`. What is left out stays. */
  async setMinimumVersions(
    key: string,
    minimum: { readonly encryption: number; readonly decryption?: number },
  ): Promise<void> {
    await this.#vault.request({
      method: 'POST',
      path: joinPath(this.#pathOf(key), 'config'),
      body: {
        min_encryption_version: minimum.encryption,
        ...(minimum.decryption === undefined ? {} : { min_decryption_version: minimum.decryption }),
      },
      repeatable: true,
    });
  }

  #pathOf(key: string): string {
    return joinPath(this.#mount, 'keys', key);
  }
}
