import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { Secret } from '../telemetry/secret.ts';
import { appRoleAuth } from '../vault/auth/approle.ts';
import { awsIamAuth } from '../vault/auth/aws-iam.ts';
import { readAwsParameter } from '../vault/auth/aws-parameter.ts';
import { awsWebIdentityAuth } from '../vault/auth/aws-web-identity.ts';
import { jwtInFile } from '../vault/auth/credential-file.ts';
import { jwtAuth } from '../vault/auth/jwt.ts';
import { kubernetesAuth } from '../vault/auth/kubernetes.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import { tokenAuth } from '../vault/auth/token.ts';
import type { AuthConfig } from './auth-config.ts';
import type { Config } from './config.ts';

/** The functions, each with an identity of its own in Vault. */
export const FUNCTIONS = ['scan', 'renew', 'rotate', 'notify', 'fetch', 'manage'] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** What one function logs in with; also what its parameter in AWS Systems Manager holds, as JSON. */
const appRoleSchema = z.object({ role_id: z.string(), secret_id: z.string() });

/** The file that LEASEKEEPER_APPROLE_FILE names: for each function its role id and secret id. */
export const appRoleFileSchema = z.record(z.string(), appRoleSchema);

/**
 * How one function logs in, by the configuration. Logging in throws `identity_missing` when the file does not name the function, and
 * `identity_unreadable` when what was read is not in its form; what else it throws, each file in vault/auth says.
 */
export function identityOf(config: Config, name: FunctionName): AuthMethod {
  const { auth, authNamespace } = config;
  switch (auth.kind) {
    case 'token':
      return tokenAuth(new Secret(auth.token), authNamespace);
    case 'kubernetes':
      return kubernetesAuth({ ...roleOf(config, auth, name), jwt: jwtInFile(auth.jwtFile) });
    case 'jwt':
      return jwtAuth({ ...roleOf(config, auth, name), jwt: jwtInFile(auth.jwtFile) });
    case 'aws-iam': {
      const server = auth.serverId === undefined ? {} : { serverId: auth.serverId };
      return awsIamAuth({ ...roleOf(config, auth, name), ...auth.sts, ...server });
    }
    case 'aws-web-identity': {
      const { sts, audience, signingAlgorithm } = auth;
      return awsWebIdentityAuth({ ...roleOf(config, auth, name), ...sts, audience, signingAlgorithm });
    }
    case 'approle-one':
      return appRoleAuth({
        roleId: auth.roleId,
        secretId: new Secret(auth.secretId),
        mount: auth.mount,
        authNamespace,
      });
    case 'approle':
      return appRoleReadBy(() => roleInFile(auth.file, name), auth.mount, authNamespace);
    case 'approle-secret':
      throw new LeasekeeperError('configuration_invalid', 'AWS Secrets Manager cannot be read yet.', {
        hint: 'Use LEASEKEEPER_APPROLE_PARAMETER.',
      });
    case 'approle-parameter':
      return appRoleReadBy(() => roleInParameter(auth), auth.mount, authNamespace);
  }
}

/** The role of a function where Vault has roles by name. */
function roleOf(
  { authNamespace }: Config,
  auth: { readonly mount: string; readonly rolePrefix: string },
  name: FunctionName,
) {
  return { role: `${auth.rolePrefix}${name}`, mount: auth.mount, authNamespace };
}

type AppRole = z.infer<typeof appRoleSchema>;

/** Read at every login, so that a secret id may be replaced under a running process. */
function appRoleReadBy(read: () => Promise<AppRole>, mount: string, authNamespace: string): AuthMethod {
  return {
    name: 'approle',
    login: async (client) => {
      const { role_id: roleId, secret_id } = await read();
      const secretId = new Secret(secret_id);
      return appRoleAuth({ roleId, secretId, mount, authNamespace }).login(client);
    },
  };
}

async function roleInFile(file: string, name: FunctionName): Promise<AppRole> {
  const roles = parseIdentity(appRoleFileSchema, await readFile(file, 'utf8'));
  const role = roles[name];
  if (role !== undefined) return role;
  throw new LeasekeeperError('identity_missing', `The AppRole file does not name the function ${name}.`, {
    hint: 'Run `leasekeeper setup` again and keep what it writes.',
  });
}

async function roleInParameter(auth: Extract<AuthConfig, { kind: 'approle-parameter' }>): Promise<AppRole> {
  const value = await readAwsParameter({
    name: auth.parameter,
    port: auth.extensionPort,
    sessionToken: new Secret(auth.sessionToken),
  });
  return parseIdentity(appRoleSchema, value.expose());
}

/** Without the parser's own error: JSON.parse quotes what it stumbles on, here a secret id. */
function parseIdentity<T extends z.ZodType>(schema: T, text: string): z.infer<T> {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new LeasekeeperError('identity_unreadable', 'The AppRole credentials are not in their form.', {
      hint: 'They are JSON with `role_id` and `secret_id`; in a file, one such object under the name of each function.',
    });
  }
}
