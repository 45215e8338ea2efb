import { isIP } from 'node:net';
import * as z from 'zod';
import type { CallerProof } from '../../access/proof.ts';
import { LeasekeeperError } from '../../errors.ts';
import { specialRangeOf } from '../../notices/address-ranges.ts';
import { Secret } from '../../telemetry/secret.ts';
import { readCredentialFile } from '../../vault/auth/credential-file.ts';
import { type Environment, parsedVariables, readCa } from '../environment.ts';

/** The HTTP API that commands go by, and who they are there. */
export interface ApiEnvironment {
  /** `http(s)://host:port`. */
  readonly origin: string;
  /** What stands before the path of each route: empty, or `/leasekeeper` behind a proxy. */
  readonly prefix: string;
  /** PEM of a private CA. */
  readonly ca: string | undefined;
  readonly proof: CallerProof;
}

const text = z.string().trim().min(1);
/** It stands in a header. */
const credential = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]+$/, 'expected one word');
const environmentSchema = z.object({
  LEASEKEEPER_URL: text.transform(urlOf),
  LEASEKEEPER_CACERT: text.optional(),
  LEASEKEEPER_ALLOW_HTTP: z.enum(['true', 'false'], { error: 'expected true or false' }).default('false'),
  VAULT_TOKEN: credential.optional(),
  VAULT_JWT: credential.optional(),
  VAULT_JWT_FILE: text.optional(),
  // As the API takes them (lib/host/request-proof.ts).
  VAULT_ROLE: z
    .string()
    .trim()
    .regex(/^[\w.-]{1,128}$/, 'expected the name of a role')
    .optional(),
  VAULT_AUTH_MOUNT: z
    .string()
    .trim()
    .regex(/^\w[\w.-]*(\/\w[\w.-]*)*$/, 'expected the path of an auth mount')
    .optional(),
});
type Variables = z.output<typeof environmentSchema>;

/**
 * Reads the variables of a command that goes by the HTTP API; undefined when LEASEKEEPER_URL is not set. Throws `configuration_invalid`,
 * `api_url_insecure`, `vault_token_missing`, `credential_file_unreadable`; no message holds what was in a variable but the names of files.
 */
export async function readApiEnvironment(environment: Environment): Promise<ApiEnvironment | undefined> {
  if ((environment.LEASEKEEPER_URL ?? '').trim() === '') return undefined;
  const env = parsedVariables(environmentSchema, environment, 'README.md, "Commands", lists the variables.');
  const { LEASEKEEPER_URL: url } = env;
  if (env.LEASEKEEPER_ALLOW_HTTP !== 'true' && !isPrivate(url)) throw insecure();
  return {
    origin: url.origin,
    prefix: url.pathname.replace(/\/+$/, ''),
    ca: await readCa('LEASEKEEPER_CACERT', env.LEASEKEEPER_CACERT),
    proof: await proofOf(env),
  };
}

/** Whatever it holds besides would be left out, or told to whoever reads the log of a proxy. */
function urlOf(written: string, context: z.RefinementCtx): URL {
  const url = URL.parse(written);
  const isPlain =
    url !== null &&
    /^https?:$/.test(url.protocol) &&
    `${url.username}${url.password}${url.search}${url.hash}` === '';
  if (isPlain) return url;
  context.addIssue({ code: 'custom', message: 'expected https://host, with a port or a path at most' });
  return z.NEVER;
}

/** Whether nobody on the way reads along: it is encrypted, or leaves this machine not at all. */
function isPrivate({ protocol, hostname }: URL): boolean {
  if (protocol === 'https:' || hostname === 'localhost') return true;
  const address = hostname.replace(/^\[|\]$/g, '');
  return isIP(address) !== 0 && specialRangeOf(address) === 'loopback';
}

/** As SecretsManager has it: a token comes before a login. */
async function proofOf(env: Variables): Promise<CallerProof> {
  if (env.VAULT_TOKEN !== undefined) return { kind: 'token', token: new Secret(env.VAULT_TOKEN) };
  const jwt = await jwtOf(env);
  if (jwt === undefined) throw unproven();
  if (env.VAULT_ROLE === undefined) {
    throw new LeasekeeperError(
      'configuration_invalid',
      'The environment will not do: VAULT_ROLE is not set.',
      {
        hint: 'A JWT logs in to a Vault role: set VAULT_ROLE to its name.',
      },
    );
  }
  const mount = env.VAULT_AUTH_MOUNT;
  return { kind: 'jwt', jwt, role: env.VAULT_ROLE, ...(mount === undefined ? {} : { mount }) };
}

async function jwtOf({ VAULT_JWT: jwt, VAULT_JWT_FILE: file }: Variables): Promise<Secret | undefined> {
  if (jwt !== undefined) return new Secret(jwt);
  return file === undefined ? undefined : readCredentialFile(file, 'JWT');
}

function unproven(): LeasekeeperError {
  return new LeasekeeperError(
    'vault_token_missing',
    'LEASEKEEPER_URL is set, and none of VAULT_TOKEN, VAULT_JWT and VAULT_JWT_FILE.',
    { hint: 'Set VAULT_TOKEN to a Vault token; or VAULT_JWT_FILE to a file with a JWT, and VAULT_ROLE.' },
  );
}

function insecure(): LeasekeeperError {
  return new LeasekeeperError(
    'api_url_insecure',
    'LEASEKEEPER_URL is http:// to another machine: whoever is on the way could read the token.',
    {
      hint: 'Use https://. Where the way is safe by other means, such as a mesh, set LEASEKEEPER_ALLOW_HTTP=true.',
    },
  );
}
