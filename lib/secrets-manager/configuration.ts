import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { Secret } from '../telemetry/secret.ts';
import { joinPath } from '../vault/addressing.ts';
import { kubernetesAuth } from '../vault/auth/kubernetes.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import { tokenAuth } from '../vault/auth/token.ts';
import { isManagedName } from '../vault/published-generation.ts';

/** Vault's name for the namespace that has none. */
const ROOT = 'root';

const namespace = z.string().transform((name) => (name === ROOT ? '' : joinPath(name)));
const milliseconds = z.number().nonnegative();

/** What a SecretsManager works with. Times in milliseconds. */
const settingsSchema = z.strictObject({
  /** VAULT_ADDR. */
  address: z.url({ protocol: /^https?$/ }).default('http://vault.lotabots.svc:8200'),
  /** VAULT_ROLE: the role to log in with by Kubernetes. */
  role: z.string().min(1).default('inference-service'),
  /** VAULT_NAMESPACE: what every path starts with; a real namespace, or only a prefix of mounts. `root` is none. */
  namespace: namespace.default('lotabots'),
  /** VAULT_AUTH_NAMESPACE: where to log in. */
  authNamespace: namespace.default(''),
  /** Where the Kubernetes auth method is mounted. */
  authMount: z.string().min(1).default('kubernetes'),
  /** VAULT_CACERT: a file in PEM with the CA of Vault's certificate. */
  caCertFile: z.string().min(1).optional(),
  /** VAULT_TOKEN: used in place of a login. */
  token: z
    .union([
      z
        .string()
        .min(1)
        .transform((token) => new Secret(token)),
      z.instanceof(Secret<string>),
    ])
    .optional(),
  /** The service account's token. Read at each login, because Kubernetes replaces it. */
  serviceAccountTokenFile: z.string().min(1).default('/var/run/secrets/kubernetes.io/serviceaccount/token'),
  /** How long a static secret is kept, less up to a tenth. */
  cacheTtlMs: milliseconds.default(300_000),
  /** How long past that it may stand in while Vault cannot be reached. */
  staleMs: milliseconds.default(300_000),
  /** The most static secrets kept; the least recently used goes first. */
  maxEntries: z.int().positive().default(1_000),
  /** The greatest age of what `getDynamicSecret` reads at a path without a lease. */
  refreshMs: milliseconds.default(5_000),
  /** How long a lease that was replaced still works, once every `rotated` handler has finished. */
  overlapMs: milliseconds.default(60_000),
  /** How long to wait for a handler of `rotated`. */
  handlerTimeoutMs: milliseconds.default(30_000),
  /** How long `cleanup` may take at most. */
  cleanupTimeoutMs: milliseconds.default(10_000),
  /** Acknowledges generations as the consumer `as`. Its policy must allow `acks/<name of the managed secret>/<as>` in the state mount. */
  acknowledge: z
    .strictObject({
      as: z
        .string()
        .refine(isManagedName, 'expected lower-case letters, digits and dashes, at most 63 characters'),
      /** Leasekeeper's state mount, as a full path. */
      stateMount: z
        .string()
        .transform((mount) => joinPath(mount))
        .default('leasekeeper'),
    })
    .optional(),
});

/** Everything that may be set, with what the seeds of a service have in the environment. */
export type SecretsManagerSettings = z.input<typeof settingsSchema>;

export type Configuration = Readonly<z.output<typeof settingsSchema>>;

export type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLES = {
  address: 'VAULT_ADDR',
  role: 'VAULT_ROLE',
  namespace: 'VAULT_NAMESPACE',
  authNamespace: 'VAULT_AUTH_NAMESPACE',
  caCertFile: 'VAULT_CACERT',
  token: 'VAULT_TOKEN',
} as const;

/**
 * Settings from the options, then the environment (an empty variable counts as unset), then the defaults. Throws
 * `secrets_manager_configuration_invalid`, which names what is wrong and no value.
 */
export function configurationOf(
  settings: SecretsManagerSettings,
  environment: Environment = process.env,
): Configuration {
  const fromEnvironment = Object.fromEntries(
    Object.entries(VARIABLES).flatMap(([name, variable]) => {
      const value = environment[variable];
      return value === undefined || value === '' ? [] : [[name, value]];
    }),
  );
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  const parsed = settingsSchema.safeParse({ ...fromEnvironment, ...given });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path: [name], message }) =>
    name === undefined ? message : `${nameOf(String(name))}: ${message}`,
  );
  throw invalid(faults.join('; '));
}

/** The way to log in: the token if one is given, else Kubernetes. */
export function authMethodOf(configuration: Configuration): AuthMethod {
  const { token, role, authMount, authNamespace, serviceAccountTokenFile } = configuration;
  if (token !== undefined) return tokenAuth(token, authNamespace);
  return kubernetesAuth({
    role,
    mount: authMount,
    authNamespace,
    jwt: () => readServiceAccountToken(serviceAccountTokenFile),
  });
}

/** The PEM of VAULT_CACERT. Throws `secrets_manager_configuration_invalid`. */
export function caCertificateOf({ caCertFile }: Configuration): string | undefined {
  if (caCertFile === undefined) return undefined;
  try {
    return readFileSync(caCertFile, 'utf8');
  } catch (cause) {
    throw invalid('VAULT_CACERT: the file cannot be read', cause);
  }
}

async function readServiceAccountToken(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new LeasekeeperError(
      'service_account_token_unreadable',
      `The service account token cannot be read from ${file}.`,
      {
        hint: 'Check that the Kubernetes service account token is mounted, or give a token in VAULT_TOKEN.',
        cause,
      },
    );
  }
}

function nameOf(setting: string): string {
  const variable = Object.entries(VARIABLES).find(([name]) => name === setting)?.[1];
  return variable === undefined ? setting : `${setting} (${variable})`;
}

function invalid(what: string, cause?: unknown): LeasekeeperError {
  return new LeasekeeperError(
    'secrets_manager_configuration_invalid',
    `The secrets manager cannot work with: ${what}.`,
    { hint: 'Correct the option, or the environment variable in brackets.', cause },
  );
}
