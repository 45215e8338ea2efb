import { joinPath } from './addressing.ts';
import type { Vault } from './client.ts';

/** Whether there is a policy of this name: a role may name one that nobody has written. Throws `vault_denied`. */
export async function policyExists(vault: Vault, authNamespace: string, name: string): Promise<boolean> {
  const answer = await vault.request({
    method: 'GET',
    path: joinPath(authNamespace, 'sys/policies/acl', name),
    repeatable: true,
    missingIsAnswer: true,
  });
  return answer.status !== 404;
}
