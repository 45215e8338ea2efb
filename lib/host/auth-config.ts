import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { type AwsOptions, awsAddressSchema } from '../vault/auth/aws-endpoint.ts';
import {
  isGlobalSts,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
  type StsOptions,
} from '../vault/auth/aws-sts.ts';

/** A blank variable counts as not set: deployment tools often cannot leave one out. */
const text = z.string().trim().min(1);

const METHODS = ['approle', 'kubernetes', 'jwt', 'aws-iam', 'aws-web-identity', 'token'] as const;

/** The variables that say how the functions log in. */
export const authVariables = {
  VAULT_TOKEN: text.optional(),
  LEASEKEEPER_AUTH: z.enum(METHODS).default('approle'),
  LEASEKEEPER_AUTH_MOUNT: text.optional(),
  LEASEKEEPER_ROLE_PREFIX: text.default('leasekeeper-'),
  LEASEKEEPER_APPROLE_FILE: text.optional(),
  LEASEKEEPER_APPROLE_PARAMETER: text.optional(),
  LEASEKEEPER_APPROLE_SECRET: text.optional(),
  LEASEKEEPER_ROLE_ID: text.optional(),
  LEASEKEEPER_SECRET_ID: text.optional(),
  LEASEKEEPER_JWT_FILE: text.default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
  LEASEKEEPER_JWT_AUDIENCE: text.max(1_000).optional(),
  LEASEKEEPER_JWT_ALGORITHM: z.enum(SIGNING_ALGORITHMS).default('RS256'),
  LEASEKEEPER_IAM_SERVER_ID: text.regex(/^[\x21-\x7e]+$/, 'expected one word').optional(),
  /** Set by AWS Lambda; elsewhere by whoever logs in with AWS. Their form is looked at only where they are used. */
  AWS_REGION: text.optional(),
  AWS_DEFAULT_REGION: text.optional(),
  AWS_ENDPOINT_URL: text.optional(),
  AWS_ENDPOINT_URL_STS: text.optional(),
  AWS_ENDPOINT_URL_SSM: text.optional(),
  AWS_ENDPOINT_URL_SECRETS_MANAGER: text.optional(),
};

const authEnvironment = z.object(authVariables);
type AuthEnvironment = z.infer<typeof authEnvironment>;

/** How the functions log in to Vault. Each has a role of its own, named by prefix and function where Vault has roles by name. */
export type AuthConfig =
  | { readonly kind: 'token'; readonly token: string }
  | (ByRole & { readonly kind: 'kubernetes'; readonly jwtFile: string })
  | (ByRole & { readonly kind: 'jwt'; readonly jwtFile: string })
  | (ByRole & {
      readonly kind: 'aws-iam';
      readonly sts: StsOptions;
      /** Vault's `iam_server_id_header_value`. */
      readonly serverId: string | undefined;
    })
  | (ByRole & {
      readonly kind: 'aws-web-identity';
      readonly sts: StsOptions;
      readonly audience: string;
      readonly signingAlgorithm: SigningAlgorithm;
    })
  | { readonly kind: 'approle'; readonly mount: string; readonly file: string }
  | {
      readonly kind: 'approle-parameter';
      readonly mount: string;
      /** Name or ARN of the parameter in AWS Systems Manager that holds the role id and the secret id of this function. */
      readonly parameter: string;
      readonly aws: AwsOptions;
    }
  | {
      readonly kind: 'approle-secret';
      readonly mount: string;
      /** Name or ARN of the secret in AWS Secrets Manager that holds them. */
      readonly secret: string;
      readonly aws: AwsOptions;
    }
  | {
      readonly kind: 'approle-one';
      readonly mount: string;
      readonly roleId: string;
      readonly secretId: string;
    };

interface ByRole {
  readonly mount: string;
  readonly rolePrefix: string;
}

/** Throws `configuration_invalid`, naming the variable that is missing or malformed. */
export function authOf(env: AuthEnvironment): AuthConfig {
  const byRole = (mount: string) => ({
    mount: env.LEASEKEEPER_AUTH_MOUNT ?? mount,
    rolePrefix: env.LEASEKEEPER_ROLE_PREFIX,
  });
  const jwtFile = env.LEASEKEEPER_JWT_FILE;
  switch (env.LEASEKEEPER_AUTH) {
    case 'token':
      return { kind: 'token', token: needed(env, 'VAULT_TOKEN') };
    case 'kubernetes':
      return { kind: 'kubernetes', ...byRole('kubernetes'), jwtFile };
    case 'jwt':
      return { kind: 'jwt', ...byRole('jwt'), jwtFile };
    case 'aws-iam':
      return {
        kind: 'aws-iam',
        ...byRole('aws'),
        sts: stsOf(env),
        serverId: env.LEASEKEEPER_IAM_SERVER_ID,
      };
    case 'aws-web-identity':
      return {
        kind: 'aws-web-identity',
        ...byRole('jwt'),
        sts: regionalStsOf(env),
        audience: needed(env, 'LEASEKEEPER_JWT_AUDIENCE'),
        signingAlgorithm: env.LEASEKEEPER_JWT_ALGORITHM,
      };
    case 'approle':
      return appRoleOf(env);
  }
}

function appRoleOf(env: AuthEnvironment): AuthConfig {
  const mount = env.LEASEKEEPER_AUTH_MOUNT ?? 'approle';
  if (env.LEASEKEEPER_ROLE_ID !== undefined && env.LEASEKEEPER_SECRET_ID !== undefined) {
    return {
      kind: 'approle-one',
      mount,
      roleId: env.LEASEKEEPER_ROLE_ID,
      secretId: env.LEASEKEEPER_SECRET_ID,
    };
  }
  if (env.LEASEKEEPER_APPROLE_PARAMETER !== undefined) {
    return {
      kind: 'approle-parameter',
      mount,
      parameter: env.LEASEKEEPER_APPROLE_PARAMETER,
      aws: awsOf(env, 'AWS_ENDPOINT_URL_SSM'),
    };
  }
  if (env.LEASEKEEPER_APPROLE_SECRET !== undefined) {
    return {
      kind: 'approle-secret',
      mount,
      secret: env.LEASEKEEPER_APPROLE_SECRET,
      aws: awsOf(env, 'AWS_ENDPOINT_URL_SECRETS_MANAGER'),
    };
  }
  return { kind: 'approle', mount, file: needed(env, 'LEASEKEEPER_APPROLE_FILE') };
}

/** A variable that names the address of one service; where it is not set AWS_ENDPOINT_URL counts, as for AWS's own tools. */
type EndpointVariable = Extract<keyof AuthEnvironment, `AWS_ENDPOINT_URL_${string}`>;

/** Where that service is. */
function addressOf(env: AuthEnvironment, variable: EndpointVariable): z.infer<typeof awsAddressSchema> {
  const region = env.AWS_REGION ?? env.AWS_DEFAULT_REGION;
  const named = env[variable] === undefined ? 'AWS_ENDPOINT_URL' : variable;
  const parsed = awsAddressSchema.safeParse({ region, endpoint: env[named] });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    ({ path, message }) => `${path[0] === 'region' ? 'AWS_REGION' : named}: ${message}`,
  );
  throw invalid(`The environment will not do: ${faults.join('; ')}.`);
}

function stsOf(env: AuthEnvironment): StsOptions {
  return addressOf(env, 'AWS_ENDPOINT_URL_STS');
}

/** Where a service of a region is that keeps credentials. */
function awsOf(env: AuthEnvironment, variable: EndpointVariable): AwsOptions {
  const { region, endpoint } = addressOf(env, variable);
  if (region === undefined) throw invalid('AWS_REGION is not set.');
  return { region, endpoint };
}

/** The global endpoint does not know GetWebIdentityToken. */
function regionalStsOf(env: AuthEnvironment): StsOptions {
  const sts = stsOf(env);
  if (isGlobalSts(sts)) throw invalid('AWS_REGION names no region: aws-web-identity needs the STS of one.');
  return sts;
}

type Optional = {
  [Name in keyof AuthEnvironment]-?: undefined extends AuthEnvironment[Name] ? Name : never;
}[keyof AuthEnvironment];

function needed(env: AuthEnvironment, name: Optional): string {
  const value = env[name];
  if (value === undefined) throw invalid(`${name} is not set.`);
  return value;
}

function invalid(message: string): LeasekeeperError {
  return new LeasekeeperError('configuration_invalid', message, {
    hint: 'README.md, "Configuration", lists every variable.',
  });
}
