import * as z from 'zod';

/** Who holds a token, as far as Vault says so at login and at lookup. Nothing here is a secret. */
export interface TokenHolder {
  /** Vault's name for whoever holds it: `kubernetes-lotabots-api-gateway`, `approle`, `token`. */
  readonly displayName?: string;
  /** Vault's id of the entity; tokens without an entity have none. */
  readonly entityId?: string;
  /** The role of the auth method that Vault has checked at the login. */
  readonly role?: string;
  /** `<namespace>/<name>` of the Kubernetes service account that logged in. */
  readonly serviceAccount?: string;
}

/** The fields of `auth` in a login's answer, and of `data` in a lookup's, that say who it is. */
export const holderFields = {
  display_name: z.string().nullish(),
  entity_id: z.string().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
  meta: z.record(z.string(), z.string()).nullish(),
};
const holderShape = z.object(holderFields);

/**
 * The metadata names are those of each auth method: `role` of kubernetes and jwt, `role_name` of approle, `cert_name` of cert, `role_id` of
 * aws is no name and left out.
 */
export function holderIn(fields: z.output<typeof holderShape>): TokenHolder {
  const metadata = fields.metadata ?? fields.meta ?? {};
  const role = metadata.role ?? metadata.role_name ?? metadata.cert_name;
  const { service_account_namespace: namespace, service_account_name: account } = metadata;
  return {
    ...(fields.display_name ? { displayName: fields.display_name } : {}),
    ...(fields.entity_id ? { entityId: fields.entity_id } : {}),
    ...(role ? { role } : {}),
    ...(namespace && account ? { serviceAccount: `${namespace}/${account}` } : {}),
  };
}
