import { readCredentialFile } from './credential-file.ts';
import type { AuthMethod } from './login.ts';
import { takeUp } from './token.ts';

export interface TokenFileAuthOptions {
  /** Holds a token and nothing else, such as the file sink of Vault Agent or of `bao agent`. */
  readonly file: string;
  /** Where the tokens live. */
  readonly authNamespace?: string;
}

/**
 * Tokens that somebody else keeps in a file. Whoever writes the file renews and replaces them: to renew one here too would shorten what the
 * other was granted. The session reads the file again when Vault refuses the token, when most of its life is over, and now and then.
 * Logging in throws `credential_file_unreadable`, and `vault_denied` when the token in the file is no longer good.
 */
export function tokenFileAuth({ file, authNamespace = '' }: TokenFileAuthOptions): AuthMethod {
  const read = () => readCredentialFile(file, 'token');
  return {
    name: 'token-file',
    given: {
      isReplaced: async (token) => {
        const inFile = await read().catch(() => token);
        return inFile.expose() !== token.expose();
      },
    },
    login: async (client) => ({ ...(await takeUp(client, await read(), authNamespace)), renewable: false }),
  };
}
