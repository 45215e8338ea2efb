import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';
import { isVaultError } from './errors.ts';

const answerSchema = z.object({
  data: z.object({ secret: z.record(z.string(), z.object({ type: z.string() })).nullish() }),
});

/** What every namespace has; nobody keeps secrets for a service there. */
const VAULTS_OWN = /^(ns_)?(system|cubbyhole|identity|token)$/;

/**
 * Full paths of the secrets engines of one namespace under which a token has some rule. Undefined: there is no such namespace (404 for
 * root, 403 for anyone else; a token that sees nothing in one that is there gets an empty list).
 */
export async function visibleMounts(vault: Vault, namespace: string): Promise<readonly string[] | undefined> {
  try {
    const answer = await vault.request({
      method: 'GET',
      path: joinPath(namespace, 'sys/internal/ui/mounts'),
      repeatable: true,
    });
    const { secret } = parseAnswer(answerSchema, answer, 'listing mounts').data;
    return Object.entries(secret ?? {})
      .filter(([, { type }]) => !VAULTS_OWN.test(type))
      .map(([path]) => joinPath(namespace, path));
  } catch (error) {
    if (isVaultError(error, 'vault_denied', 'vault_not_found')) return undefined;
    throw error;
  }
}
