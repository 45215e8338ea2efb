import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault, type VaultAnswer } from './client.ts';

/** A role of the kubernetes auth method: who may log in with it, and what they get. Times in seconds; 0 is Vault's default. */
export interface KubernetesRole {
  readonly serviceAccounts: readonly string[];
  readonly namespaces: readonly string[];
  /** Labels of namespaces, as Kubernetes selects; empty: by name only. */
  readonly namespaceSelector: string;
  /** Empty: tokens for any audience. */
  readonly audience: string;
  readonly policies: readonly string[];
}

export type RoleLookup =
  | { readonly state: 'there'; readonly role: KubernetesRole }
  | { readonly state: 'missing' }
  /** There is no auth method at the mount. */
  | { readonly state: 'mount-missing' };

const strings = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? []);
const roleAnswer = z.object({
  data: z.object({
    bound_service_account_names: strings,
    bound_service_account_namespaces: strings,
    bound_service_account_namespace_selector: z.string().default(''),
    audience: z.string().default(''),
    token_policies: strings,
  }),
});
const errorsAnswer = z.object({ errors: z.array(z.string()) });

/** `auth/<mount>/role/<role>`, which takes an operator's rights. Throws `vault_denied`. */
export async function readKubernetesRole(
  vault: Vault,
  authNamespace: string,
  mount: string,
  role: string,
): Promise<RoleLookup> {
  const answer = await vault.request({
    method: 'GET',
    path: joinPath(authNamespace, 'auth', mount, 'role', role),
    repeatable: true,
    missingIsAnswer: true,
  });
  if (answer.status === 404) return { state: isWithoutHandler(answer) ? 'mount-missing' : 'missing' };
  const { data } = parseAnswer(roleAnswer, answer, 'reading a role');
  return {
    state: 'there',
    role: {
      serviceAccounts: data.bound_service_account_names,
      namespaces: data.bound_service_account_namespaces,
      namespaceSelector: data.bound_service_account_namespace_selector,
      audience: data.audience,
      policies: data.token_policies,
    },
  };
}

/** A missing role is 404 without any text; a path that nothing serves says so. */
function isWithoutHandler({ body }: VaultAnswer): boolean {
  const parsed = errorsAnswer.safeParse(body);
  return parsed.success && parsed.data.errors.some((error) => error.includes('no handler for route'));
}
