import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { Secret } from '../telemetry/secret.ts';
import { appRoleAuth } from '../vault/auth/approle.ts';
import { kubernetesAuth } from '../vault/auth/kubernetes.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import { tokenAuth } from '../vault/auth/token.ts';
import type { Config } from './config.ts';

/** The functions, each with an identity of its own in Vault. */
export const FUNCTIONS = ['scan', 'renew', 'rotate', 'notify', 'fetch', 'manage'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** The file that LEASEKEEPER_APPROLE_FILE names: for each function its role id and secret id. */
export const appRoleFileSchema = z.record(
  z.string(),
  z.object({ role_id: z.string(), secret_id: z.string() }),
);

/** How one function logs in, by the configuration. Throws `identity_missing` when the file does not name the function. */
export function identityOf(config: Config, name: FunctionName): AuthMethod {
  const { auth, authNamespace } = config;
  switch (auth.kind) {
    case 'token':
      return tokenAuth(new Secret(auth.token), authNamespace);
    case 'kubernetes':
      return kubernetesAuth({
        role: `${auth.rolePrefix}${name}`,
        jwt: async () => (await readFile(auth.jwtFile, 'utf8')).trim(),
        mount: auth.mount,
        authNamespace,
      });
    case 'approle-one':
      return appRoleAuth({
        roleId: auth.roleId,
        secretId: new Secret(auth.secretId),
        mount: auth.mount,
        authNamespace,
      });
    case 'approle':
      return appRoleFromFile(auth.file, auth.mount, authNamespace, name);
  }
}

/** The file is read at every login, so that a secret id may be replaced under a running process. */
function appRoleFromFile(file: string, mount: string, authNamespace: string, name: FunctionName): AuthMethod {
  return {
    name: 'approle',
    login: async (client) => {
      const roles = appRoleFileSchema.parse(JSON.parse(await readFile(file, 'utf8')));
      const role = roles[name];
      if (role === undefined) {
        throw new LeasekeeperError(
          'identity_missing',
          `The AppRole file does not name the function ${name}.`,
          {
            hint: 'Run `leasekeeper setup` again and keep what it writes.',
          },
        );
      }
      const method = appRoleAuth({
        roleId: role.role_id,
        secretId: new Secret(role.secret_id),
        mount,
        authNamespace,
      });
      return method.login(client);
    },
  };
}
