import { type JwtAuthOptions, jwtAuth } from './jwt.ts';
import type { AuthMethod } from './login.ts';

/** `jwt` gives the service account's token; asked at every login, because bound tokens are replaced on disk. */
export type KubernetesAuthOptions = JwtAuthOptions;

/** Vault's kubernetes auth method: a login as by jwt, but that Vault has the token reviewed by the cluster. */
export function kubernetesAuth(options: KubernetesAuthOptions): AuthMethod {
  return { ...jwtAuth({ mount: 'kubernetes', ...options }), name: 'kubernetes' };
}
