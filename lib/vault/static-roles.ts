import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

/** A database user whose password Vault keeps and changes, without the password. Times in milliseconds. */
export interface StaticRole {
  readonly username: string;
  /** When Vault last changed the password; 0: never. It moves with every change, ours or Vault's own. */
  readonly rotatedAt: number;
  /** After this long Vault changes it by itself; undefined for a role with a schedule, which Vault has and OpenBao has not. */
  readonly periodMs: number | undefined;
}

/** The same with the password. */
export interface StaticCredentials {
  readonly username: string;
  readonly password: string;
  readonly rotatedAt: number;
}

/** Go's RFC 3339 with nanoseconds. */
const timeSchema = z
  .string()
  .transform((text) => Date.parse(text))
  .pipe(z.number())
  .nullish()
  .transform((time) => time ?? 0);
const roleAnswer = z.object({
  data: z.object({
    username: z.string(),
    last_vault_rotation: timeSchema,
    rotation_period: z.number().optional(),
  }),
});
const credentialsAnswer = z.object({
  data: z.object({ username: z.string(), password: z.string(), last_vault_rotation: timeSchema }),
});

/** Static roles of one database mount (documented under "Static role" of Vault's database secrets engine). */
export class StaticRoles {
  readonly #vault: Vault;
  readonly #mount: string;

  /** `mount` is a full path. */
  constructor(vault: Vault, mount: string) {
    this.#vault = vault;
    this.#mount = mount;
  }

  /** Undefined when there is no such role. */
  async read(role: string): Promise<StaticRole | undefined> {
    const answer = await this.#vault.request({
      method: 'GET',
      path: joinPath(this.#mount, 'static-roles', role),
      repeatable: true,
      missingIsAnswer: true,
    });
    if (answer.status === 404) return undefined;
    const { data } = parseAnswer(roleAnswer, answer, 'reading a static role');
    return {
      username: data.username,
      rotatedAt: data.last_vault_rotation,
      periodMs: data.rotation_period === undefined ? undefined : data.rotation_period * 1_000,
    };
  }

  /** Throws `vault_bad_request` for an unknown role. */
  async credentials(role: string): Promise<StaticCredentials> {
    const answer = await this.#vault.request({
      method: 'GET',
      path: joinPath(this.#mount, 'static-creds', role),
      repeatable: true,
    });
    const { data } = parseAnswer(credentialsAnswer, answer, 'reading static credentials');
    return { username: data.username, password: data.password, rotatedAt: data.last_vault_rotation };
  }

  /**
   * Changes the password at once; the old one is refused from then on. Throws `vault_unavailable` when the database does not answer: the
   * old password stays, and Vault tries again by itself every 10 s. Never at the same time as another rotation of the role: OpenBao 2.7
   * then answers one of them 204 and keeps a password that the database does not have, until the role is rotated once more.
   */
  async rotate(role: string): Promise<void> {
    await this.#vault.request({
      method: 'POST',
      path: joinPath(this.#mount, 'rotate-role', role),
      repeatable: false,
    });
  }
}
