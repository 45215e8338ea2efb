import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

const generateAnswer = z.object({ data: z.object({ password: z.string().min(1) }) });

/** `sys/policies/password/*` of one namespace ("/sys/policies/password" of Vault's HTTP API). */
export class PasswordPolicies {
  readonly #vault: Vault;
  readonly #namespace: string;

  constructor(vault: Vault, namespace: string) {
    this.#vault = vault;
    this.#namespace = namespace;
  }

  /** A random text by the policy. Vault keeps nothing of it. Throws `vault_not_found` for an unknown policy. */
  async generate(policy: string): Promise<string> {
    const answer = await this.#vault.request({
      method: 'GET',
      path: joinPath(this.#namespace, 'sys/policies/password', policy, 'generate'),
      repeatable: true,
    });
    return parseAnswer(generateAnswer, answer, 'generating by a password policy').data.password;
  }
}
