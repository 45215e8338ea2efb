import { type AuthMethod, loginAt } from './login.ts';

export interface JwtAuthOptions {
  readonly role: string;
  /** Gives the JWT; asked at every login, because whoever issues it replaces it before it expires. */
  readonly jwt: () => Promise<string>;
  /** Where the method is mounted. */
  readonly mount?: string;
  readonly authNamespace?: string;
}

/** Vault's jwt auth method, for whatever signs tokens: an OIDC provider, a CI system, a Kubernetes cluster by its public keys. */
export function jwtAuth(options: JwtAuthOptions): AuthMethod {
  return {
    name: 'jwt',
    login: async (client) =>
      loginAt(client, options.authNamespace ?? '', options.mount ?? 'jwt', {
        role: options.role,
        jwt: await options.jwt(),
      }),
  };
}
