import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { Secret } from '../telemetry/secret.ts';
import { appRoleAuth } from '../vault/auth/approle.ts';
import { awsAddressSchema } from '../vault/auth/aws-endpoint.ts';
import { awsIamAuth } from '../vault/auth/aws-iam.ts';
import { isGlobalSts, SIGNING_ALGORITHMS, type StsOptions } from '../vault/auth/aws-sts.ts';
import { awsWebIdentityAuth } from '../vault/auth/aws-web-identity.ts';
import { certAuth } from '../vault/auth/cert.ts';
import { jwtInFile, readCredentialFile } from '../vault/auth/credential-file.ts';
import { jwtAuth } from '../vault/auth/jwt.ts';
import { kubernetesAuth } from '../vault/auth/kubernetes.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import { tokenAuth } from '../vault/auth/token.ts';
import { tokenFileAuth } from '../vault/auth/token-file.ts';
import { type ClientCertificate, readClientCertificate } from '../vault/client-certificate.ts';

/** The ways to log in that plain settings choose from. */
const AUTH_METHODS = [
  'kubernetes',
  'jwt',
  'approle',
  'aws-iam',
  'aws-web-identity',
  'cert',
  'token',
  'token-file',
] as const;
type AuthMethodName = (typeof AUTH_METHODS)[number];

/** Where a method is mounted unless it is said, if not at its own name. */
const MOUNTS: Partial<Record<AuthMethodName, string>> = { 'aws-iam': 'aws', 'aws-web-identity': 'jwt' };

const DEFAULT_ROLE = 'inference-service';

const text = z.string().min(1);
const secret = z.union([text.transform((value) => new Secret(value)), z.instanceof(Secret<string>)]);

/** The settings of the login. Files are read at each login: whoever writes them replaces them. */
export const authSettings = {
  /** The name of the service: the role to log in with unless another is said. */
  service: text.default(DEFAULT_ROLE),
  /** VAULT_AUTH_METHOD. Left out: `token` if there is one, else `kubernetes`. */
  authMethod: z.enum(AUTH_METHODS).optional(),
  /** VAULT_AUTH_MOUNT: where the method is mounted. */
  authMount: text.optional(),
  /** VAULT_ROLE: the role to log in with. AppRole takes it from the role id; without it cert lets Vault find one that fits. */
  role: text.optional(),
  /** VAULT_TOKEN: used in place of a login. */
  token: secret.optional(),
  /** VAULT_TOKEN_FILE: for token-file, a token that somebody else renews and replaces there. */
  tokenFile: text.optional(),
  /** For kubernetes: the service account's token. */
  serviceAccountTokenFile: text.default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
  /** VAULT_JWT_FILE: for jwt. */
  jwtFile: text.optional(),
  /** VAULT_ROLE_ID: for approle, with one of the next two. */
  roleId: text.optional(),
  /** VAULT_SECRET_ID. */
  secretId: secret.optional(),
  /** VAULT_SECRET_ID_FILE: in place of `secretId`. */
  secretIdFile: text.optional(),
  /** VAULT_CLIENT_CERT: a file in PEM, shown to Vault whatever the method; cert logs in with it. */
  clientCertFile: text.optional(),
  /** VAULT_CLIENT_KEY: the key to it. */
  clientKeyFile: text.optional(),
  /** AWS_REGION or AWS_DEFAULT_REGION: whose STS is asked. Of AWS's own variables the form is looked at only where they are used. */
  awsRegion: text.optional(),
  /** AWS_ENDPOINT_URL_STS: another address of STS. */
  stsEndpoint: text.optional(),
  /** VAULT_AWS_IAM_SERVER_ID: for aws-iam, what the method is configured with as `iam_server_id_header_value`. */
  iamServerId: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'expected one word')
    .optional(),
  /** VAULT_JWT_AUDIENCE: for aws-web-identity, whom the JWT is for. */
  jwtAudience: text.max(1_000).optional(),
  /** VAULT_JWT_ALGORITHM: for aws-web-identity, what STS signs with. */
  jwtAlgorithm: z.enum(SIGNING_ALGORITHMS).optional(),
};

/** Where each is looked up when it is not given. Of two variables the later one counts. */
export const AUTH_VARIABLES = [
  ['authMethod', 'VAULT_AUTH_METHOD'],
  ['authMount', 'VAULT_AUTH_MOUNT'],
  ['role', 'VAULT_ROLE'],
  ['token', 'VAULT_TOKEN'],
  ['tokenFile', 'VAULT_TOKEN_FILE'],
  ['jwtFile', 'VAULT_JWT_FILE'],
  ['roleId', 'VAULT_ROLE_ID'],
  ['secretId', 'VAULT_SECRET_ID'],
  ['secretIdFile', 'VAULT_SECRET_ID_FILE'],
  ['clientCertFile', 'VAULT_CLIENT_CERT'],
  ['clientKeyFile', 'VAULT_CLIENT_KEY'],
  ['awsRegion', 'AWS_DEFAULT_REGION'],
  ['awsRegion', 'AWS_REGION'],
  ['stsEndpoint', 'AWS_ENDPOINT_URL_STS'],
  ['iamServerId', 'VAULT_AWS_IAM_SERVER_ID'],
  ['jwtAudience', 'VAULT_JWT_AUDIENCE'],
  ['jwtAlgorithm', 'VAULT_JWT_ALGORITHM'],
] as const satisfies readonly (readonly [keyof typeof authSettings, variable: string])[];

const settingsShape = z.object(authSettings);
type AuthSettings = z.output<typeof settingsShape>;

/** What is taken where nothing was said, which depends on the method. */
export function withAuthDefaults<Settings extends AuthSettings>(settings: Settings) {
  const authMethod = settings.authMethod ?? (settings.token === undefined ? 'kubernetes' : 'token');
  return {
    ...settings,
    authMethod,
    authMount: settings.authMount ?? MOUNTS[authMethod] ?? authMethod,
    role: settings.role ?? settings.service,
    /** Only what was said: the default is a name that no certificate role need have. */
    certRole: settings.role,
  };
}

type AuthConfiguration = ReturnType<typeof withAuthDefaults<AuthSettings>> & {
  readonly address: string;
  readonly authNamespace: string;
};

/** The way to log in that was chosen. Throws `secrets_manager_configuration_invalid` when a setting that it needs is missing. */
export function authMethodOf(configuration: AuthConfiguration): AuthMethod {
  const { authMethod, authNamespace, authMount: mount, role, certRole } = configuration;
  const needed = needOf(configuration);
  const at = { mount, authNamespace };
  switch (authMethod) {
    case 'kubernetes':
      return kubernetesAuth({ ...at, role, jwt: () => readServiceAccountToken(configuration) });
    case 'jwt':
      return jwtAuth({ ...at, role, jwt: jwtInFile(needed('jwtFile')) });
    case 'approle':
      return appRoleAuth({ ...at, roleId: needed('roleId'), secretId: secretIdOf(configuration) });
    case 'aws-iam': {
      const { iamServerId: serverId } = configuration;
      return awsIamAuth({ ...at, ...stsOf(configuration), role, ...(serverId ? { serverId } : {}) });
    }
    case 'aws-web-identity': {
      const { jwtAlgorithm: signingAlgorithm } = configuration;
      if (isGlobalSts(stsOf(configuration))) throw missing('awsRegion', authMethod);
      const audience = needed('jwtAudience');
      const algorithm = signingAlgorithm === undefined ? {} : { signingAlgorithm };
      return awsWebIdentityAuth({ ...at, ...stsOf(configuration), role, audience, ...algorithm });
    }
    case 'cert':
      if (!configuration.address.startsWith('https:')) {
        throw invalidConfiguration('address (VAULT_ADDR): expected https, for cert');
      }
      needed('clientCertFile');
      return certAuth({ ...at, ...(certRole === undefined ? {} : { role: certRole }) });
    case 'token':
      return tokenAuth(needed('token'), authNamespace);
    case 'token-file':
      return tokenFileAuth({ file: needed('tokenFile'), authNamespace });
  }
}

/** What to show to Vault as a TLS client. Throws `client_certificate_unreadable`; `secrets_manager_configuration_invalid` for one file alone. */
export function clientCertificateOf(settings: AuthSettings): (() => ClientCertificate) | undefined {
  const { clientCertFile, clientKeyFile } = settings;
  if (clientCertFile === undefined && clientKeyFile === undefined) return undefined;
  if (clientCertFile === undefined) throw missing('clientCertFile', 'clientKeyFile');
  if (clientKeyFile === undefined) throw missing('clientKeyFile', 'clientCertFile');
  const read = () => readClientCertificate(clientCertFile, clientKeyFile);
  // Better said now than as a Vault that cannot be reached.
  read();
  return read;
}

type Name = keyof AuthSettings;

/** Gives a setting, and throws when there is none. */
function needOf(configuration: AuthConfiguration) {
  return <N extends Name>(name: N): NonNullable<AuthConfiguration[N]> => {
    const value = configuration[name];
    if (value === undefined || value === null) throw missing(name, configuration.authMethod);
    return value;
  };
}

function secretIdOf({ secretId, secretIdFile }: AuthSettings): Secret | (() => Promise<Secret>) {
  if (secretId !== undefined) return secretId;
  if (secretIdFile === undefined) throw missing('secretIdFile', 'approle');
  return () => readCredentialFile(secretIdFile, 'secret id');
}

function stsOf({ awsRegion, stsEndpoint }: AuthSettings): StsOptions {
  const parsed = awsAddressSchema.safeParse({ region: awsRegion, endpoint: stsEndpoint });
  if (parsed.success) return parsed.data;
  const at = parsed.error.issues[0]?.path[0] === 'region' ? 'awsRegion' : 'stsEndpoint';
  throw invalidConfiguration(`${nameWithVariable(at)}: ${parsed.error.issues[0]?.message}`);
}

async function readServiceAccountToken({ serviceAccountTokenFile: file }: AuthSettings): Promise<string> {
  try {
    return (await readCredentialFile(file, 'token')).expose();
  } catch (cause) {
    throw new LeasekeeperError(
      'service_account_token_unreadable',
      `The service account token cannot be read from ${file}.`,
      {
        hint: 'Check that the Kubernetes service account token is mounted, or choose another way to log in with VAULT_AUTH_METHOD, or give a token in VAULT_TOKEN.',
        cause,
      },
    );
  }
}

function missing(name: Name, by: string): LeasekeeperError {
  return invalidConfiguration(`${nameWithVariable(name)}: needed by ${by}`);
}

/** A setting, and in brackets the variable that it may also come from. */
export function nameWithVariable(
  name: string,
  variables: readonly (readonly [setting: string, variable: string])[] = AUTH_VARIABLES,
): string {
  const variable = variables.findLast(([setting]) => setting === name)?.[1];
  return variable === undefined ? name : `${name} (${variable})`;
}

export function invalidConfiguration(what: string, cause?: unknown): LeasekeeperError {
  return new LeasekeeperError(
    'secrets_manager_configuration_invalid',
    `The secrets manager cannot work with: ${what}.`,
    { hint: 'Correct the option, or the environment variable in brackets.', cause },
  );
}
