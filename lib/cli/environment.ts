import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { Secret } from '../telemetry/secret.ts';

/** What a command against a Vault takes from the environment. */
export interface VaultEnvironment {
  readonly address: string;
  /** The prefix or namespace of all secrets, as a full path. */
  readonly namespace: string;
  readonly authNamespace: string;
  readonly ca: string | undefined;
  /** Undefined when none is set: see `tokenOf`. */
  readonly token: Secret | undefined;
  /** The state mount as a full path. */
  readonly state: string;
  /** Where notices may be sent besides public https (lib/notices/allow-list.ts). */
  readonly noticeAllow: readonly string[];
}

/** The variables as the process has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

const text = z.string().trim().min(1);
const environmentSchema = z.object({
  VAULT_ADDR: z.url({ protocol: /^https?$/ }).default('http://vault.lotabots.svc:8200'),
  VAULT_NAMESPACE: text.default('lotabots'),
  VAULT_AUTH_NAMESPACE: z.string().default(''),
  VAULT_CACERT_PEM: text.optional(),
  VAULT_CACERT: text.optional(),
  VAULT_TOKEN: text.optional(),
  LEASEKEEPER_STATE_MOUNT: text.default('leasekeeper'),
  LEASEKEEPER_NOTICE_ALLOW: text.default(''),
});

/**
 * Reads the variables that the commands share. The host's own settings (config.ts) ask for more than a person at a terminal has. Throws
 * `configuration_invalid`.
 */
export async function readVaultEnvironment(environment: Environment): Promise<VaultEnvironment> {
  const env = parsedVariables(environmentSchema, environment, 'Set VAULT_ADDR as http(s)://host:port.');
  return {
    address: env.VAULT_ADDR,
    namespace: trimmed(env.VAULT_NAMESPACE),
    authNamespace: trimmed(env.VAULT_AUTH_NAMESPACE),
    ca: env.VAULT_CACERT_PEM ?? (await readCa('VAULT_CACERT', env.VAULT_CACERT)),
    token: env.VAULT_TOKEN === undefined ? undefined : new Secret(env.VAULT_TOKEN),
    state: trimmed(env.LEASEKEEPER_STATE_MOUNT),
    noticeAllow: env.LEASEKEEPER_NOTICE_ALLOW.split(',').filter((entry) => entry.trim() !== ''),
  };
}

/** The token to act with. Throws `vault_token_missing`. */
export function tokenOf(environment: VaultEnvironment): Secret {
  if (environment.token !== undefined) return environment.token;
  throw new LeasekeeperError('vault_token_missing', 'VAULT_TOKEN is not set.', {
    hint: 'Log in to Vault and set VAULT_TOKEN to the token you got.',
  });
}

/** The variables by a schema; a blank one counts as not set. Throws `configuration_invalid`, naming variables and never what was in them. */
export function parsedVariables<T extends z.ZodType>(
  schema: T,
  environment: Environment,
  hint: string,
): z.output<T> {
  const given = Object.entries(environment).filter(([, value]) => value !== undefined && value.trim() !== '');
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new LeasekeeperError('configuration_invalid', `The environment will not do: ${faults.join('; ')}.`, {
    hint,
  });
}

/** The PEM of a private CA in the file that a variable names; undefined when it names none. Throws `configuration_invalid`. */
export async function readCa(variable: string, file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new LeasekeeperError('configuration_invalid', `${variable} names ${file}, which cannot be read.`, {
      hint: 'Point it to a file in PEM form.',
      cause,
    });
  }
}

/** Namespaces are often written with a slash at the end. */
function trimmed(path: string): string {
  return path.replace(/^\/+|\/+$/g, '');
}
