import { Secret } from '../../telemetry/secret.ts';
import { type AuthMethod, loginAt } from './login.ts';

export interface AppRoleAuthOptions {
  readonly roleId: string;
  /** The secret id; as a function it is asked at every login, so that it may be replaced under a running process. */
  readonly secretId: Secret | (() => Promise<Secret>);
  readonly mount?: string;
  readonly authNamespace?: string;
}

/** Vault's AppRole auth method. */
export function appRoleAuth(options: AppRoleAuthOptions): AuthMethod {
  const { secretId } = options;
  return {
    name: 'approle',
    login: async (client) =>
      loginAt(client, options.authNamespace ?? '', options.mount ?? 'approle', {
        role_id: options.roleId,
        secret_id: (secretId instanceof Secret ? secretId : await secretId()).expose(),
      }),
  };
}
