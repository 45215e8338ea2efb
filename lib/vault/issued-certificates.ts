import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';
import { isVaultError } from './errors.ts';

/** What the authority knows of a certificate it has issued. */
export interface IssuedCertificate {
  /** Milliseconds since the epoch; undefined: it is not revoked. */
  readonly revokedAt: number | undefined;
}

const certificateAnswer = z.object({ data: z.object({ revocation_time: z.number() }).optional() });

/** `cert/*` of one PKI mount, which Vault answers to anybody ("Read certificate" in the PKI engine's HTTP API). */
export class IssuedCertificates {
  readonly #vault: Vault;
  readonly #mount: string;

  /** `mount` with the namespace. */
  constructor(vault: Vault, mount: string) {
    this.#vault = vault;
    this.#mount = mount;
  }

  /**
   * By serial number, as `issue` answers it. Undefined for one that the mount does not have, and for a mount that is gone: a denial can
   * mean nothing else here.
   */
  async read(serial: string): Promise<IssuedCertificate | undefined> {
    try {
      const answer = await this.#vault.request({
        method: 'GET',
        path: joinPath(this.#mount, 'cert', serial),
        repeatable: true,
        missingIsAnswer: true,
      });
      const { data } = parseAnswer(certificateAnswer, answer, 'reading a certificate');
      if (data === undefined) return undefined;
      return { revokedAt: data.revocation_time === 0 ? undefined : data.revocation_time * 1_000 };
    } catch (error) {
      if (isVaultError(error, 'vault_denied')) return undefined;
      throw error;
    }
  }
}
