import type { Secret } from '../../telemetry/secret.ts';
import { type AuthMethod, loginAt } from './login.ts';

export interface AppRoleAuthOptions {
  readonly roleId: string;
  readonly secretId: Secret;
  readonly mount?: string;
  readonly authNamespace?: string;
}

/** Vault's AppRole auth method. */
export function appRoleAuth(options: AppRoleAuthOptions): AuthMethod {
  return {
    name: 'approle',
    login: (client) =>
      loginAt(client, options.authNamespace ?? '', options.mount ?? 'approle', {
        role_id: options.roleId,
        secret_id: options.secretId.expose(),
      }),
  };
}
