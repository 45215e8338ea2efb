import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { joinPath } from '../vault/addressing.ts';
import { isManagedName } from '../vault/published-generation.ts';
import {
  AUTH_VARIABLES,
  authSettings,
  invalidConfiguration,
  nameWithVariable,
  withAuthDefaults,
} from './auth-configuration.ts';

/** Vault's name for the namespace that has none. */
const ROOT = 'root';

const namespace = z.string().transform((name) => (name === ROOT ? '' : joinPath(name)));
const milliseconds = z.number().nonnegative();

/** What a SecretsManager works with. Times in milliseconds. */
const settingsSchema = z.strictObject({
  /** VAULT_ADDR. */
  address: z.url({ protocol: /^https?$/ }).default('http://vault.lotabots.svc:8200'),
  /** VAULT_NAMESPACE: what every path starts with; a real namespace, or only a prefix of mounts. `root` is none. */
  namespace: namespace.default('lotabots'),
  /** VAULT_AUTH_NAMESPACE: where to log in. */
  authNamespace: namespace.default(''),
  ...authSettings,
  /** VAULT_CACERT: a file in PEM with the CA of Vault's certificate. */
  caCertFile: z.string().min(1).optional(),
  /** How long a static secret is kept, less up to a tenth. */
  cacheTtlMs: milliseconds.default(300_000),
  /** How long past that it may stand in while Vault cannot be reached. */
  staleMs: milliseconds.default(300_000),
  /** How long it is remembered that there is no secret at a path. */
  notFoundTtlMs: milliseconds.default(10_000),
  /** The most static secrets kept; the least recently used goes first. */
  maxEntries: z.int().positive().default(1_000),
  /** The greatest age of what `getDynamicSecret` reads at a path without a lease. */
  refreshMs: milliseconds.default(5_000),
  /** How long a lease that was replaced still works, once every `rotated` handler has finished. */
  overlapMs: milliseconds.default(60_000),
  /** How long to wait for a handler of `rotated`. */
  handlerTimeoutMs: milliseconds.default(30_000),
  /**
   * Whether leases are cared for between calls. `false` where the process is frozen between calls, as AWS Lambda does: no timer is set, and
   * what is due is done within the next call or by `settle`.
   */
  background: z.boolean().default(true),
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

/** Everything that may be set, with what the services' documents have in the environment. */
export type SecretsManagerSettings = z.input<typeof settingsSchema>;

export type Configuration = Readonly<ReturnType<typeof withAuthDefaults<z.output<typeof settingsSchema>>>>;

export type Environment = Readonly<Record<string, string | undefined>>;

const VARIABLES: readonly (readonly [setting: string, variable: string])[] = [
  ['address', 'VAULT_ADDR'],
  ['namespace', 'VAULT_NAMESPACE'],
  ['authNamespace', 'VAULT_AUTH_NAMESPACE'],
  ['caCertFile', 'VAULT_CACERT'],
  ...AUTH_VARIABLES,
];

/**
 * Settings from the options, then the environment (an empty variable counts as unset), then the defaults. Throws
 * `secrets_manager_configuration_invalid`, which names what is wrong and no value.
 */
export function configurationOf(
  settings: SecretsManagerSettings,
  environment: Environment = process.env,
): Configuration {
  const fromEnvironment = Object.fromEntries(
    VARIABLES.flatMap(([name, variable]) => {
      const value = environment[variable];
      return value === undefined || value === '' ? [] : [[name, value]];
    }),
  );
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  const parsed = settingsSchema.safeParse({ ...fromEnvironment, ...given });
  if (parsed.success) return withAuthDefaults(parsed.data);
  const faults = parsed.error.issues.map(({ path: [name], message }) =>
    name === undefined ? message : `${nameWithVariable(String(name), VARIABLES)}: ${message}`,
  );
  throw invalidConfiguration(faults.join('; '));
}

/** The PEM of VAULT_CACERT. Throws `secrets_manager_configuration_invalid`. */
export function caCertificateOf({ caCertFile }: Configuration): string | undefined {
  if (caCertFile === undefined) return undefined;
  try {
    return readFileSync(caCertFile, 'utf8');
  } catch (cause) {
    throw invalidConfiguration('VAULT_CACERT: the file cannot be read', cause);
  }
}
