import * as z from 'zod';
import { Secret } from '../../telemetry/secret.ts';
import { joinPath } from '../../vault/addressing.ts';
import { parseAnswer, type Vault } from '../../vault/client.ts';
import type { FunctionName } from '../identities.ts';

/** What a function logs in with. */
export interface FunctionCredentials {
  readonly roleId: string;
  readonly secretId: Secret;
}

const roleIdAnswer = z.object({ data: z.object({ role_id: z.string() }) });
const secretIdAnswer = z.object({ data: z.object({ secret_id: z.string() }) });

/** Makes a new secret id for the AppRole identity of a function. Acting as somebody who may. Throws VaultError. */
export async function issueFunctionCredentials(
  vault: Vault,
  options: { readonly authNamespace: string; readonly mount: string; readonly name: FunctionName },
): Promise<FunctionCredentials> {
  const role = joinPath(options.authNamespace, 'auth', options.mount, 'role', `leasekeeper-${options.name}`);
  const id = await vault.request({ method: 'GET', path: joinPath(role, 'role-id'), repeatable: true });
  const made = await vault.request({ method: 'POST', path: joinPath(role, 'secret-id'), repeatable: true });
  return {
    roleId: parseAnswer(roleIdAnswer, id, 'reading a role id').data.role_id,
    secretId: new Secret(parseAnswer(secretIdAnswer, made, 'making a secret id').data.secret_id),
  };
}
