import { type AuthMethod, loginAt } from './login.ts';

export interface KubernetesAuthOptions {
  readonly role: string;
  /** Gives the service account's token; asked at every login, because bound tokens are replaced on disk. */
  readonly jwt: () => Promise<string>;
  /** Where the method is mounted. */
  readonly mount?: string;
  readonly authNamespace?: string;
}

/** Vault's kubernetes auth method. */
export function kubernetesAuth(options: KubernetesAuthOptions): AuthMethod {
  return {
    name: 'kubernetes',
    login: async (client) =>
      loginAt(client, options.authNamespace ?? '', options.mount ?? 'kubernetes', {
        role: options.role,
        jwt: await options.jwt(),
      }),
  };
}
