import { type AuthMethod, loginAt } from './login.ts';

export interface CertAuthOptions {
  /** The certificate role to log in with. Left out, Vault tries all that the certificate fits. */
  readonly role?: string;
  /** Where the method is mounted. */
  readonly mount?: string;
  readonly authNamespace?: string;
}

/**
 * Vault's cert auth method. The certificate is that of the connection: the transport must have one (`clientCertificate`). So must the
 * transport that renews the token, which Vault binds to the certificate it was issued for.
 */
export function certAuth(options: CertAuthOptions = {}): AuthMethod {
  return {
    name: 'cert',
    login: (client) =>
      loginAt(client, options.authNamespace ?? '', options.mount ?? 'cert', {
        ...(options.role === undefined ? {} : { name: options.role }),
      }),
  };
}
