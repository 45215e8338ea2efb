import { type Command, InvalidArgumentError } from 'commander';
import * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { nameSchema } from '../rotation/name.ts';
import { configurationOf } from '../secrets-manager/configuration.ts';
import { Secret } from '../telemetry/secret.ts';
import { isPlainPath, joinPath } from '../vault/addressing.ts';
import { readCredentialFile } from '../vault/auth/credential-file.ts';
import { judgeAddress } from './doctor/address.ts';
import { examine } from './doctor/examine.ts';
import { report } from './doctor/report.ts';
import type { DoctorRequest } from './doctor/request.ts';
import { type CliIo, EXIT } from './io.ts';
import type { SetExit } from './managed-program.ts';
import { countUpTo, milliseconds } from './option-values.ts';

/** The options of `doctor`. Times in milliseconds. */
export interface DoctorFlags {
  readonly role?: string;
  readonly secret: readonly string[];
  readonly dynamic: readonly string[];
  readonly serviceAccountToken?: string;
  readonly operatorTokenFile?: string;
  readonly consumer?: string;
  readonly issue: boolean;
  readonly cacheTtl?: number;
  readonly cacheStale?: number;
  readonly cacheMaxEntries?: number;
  readonly json: boolean;
}

export function addDoctorCommand(program: Command, io: CliIo, setExit: SetExit): void {
  program
    .command('doctor')
    .description("look for what keeps a service from its secrets, with that service's own rights")
    .option('--role <role>', 'its Vault role; default: VAULT_ROLE', oneWord)
    .option(
      '--secret <path>',
      'a static secret that it reads, after VAULT_NAMESPACE; may be repeated',
      paths,
      [],
    )
    .option('--dynamic <path>', 'a dynamic secret; may be repeated', paths, [])
    .option('--service-account-token <file>', 'its token, where it is not mounted at the usual place')
    .option('--operator-token-file <file>', 'a token to look further with; or LEASEKEEPER_OPERATOR_TOKEN')
    .option('--consumer <name>', 'the consumer as which it acknowledges generations', consumerName)
    .option('--issue', 'issue, renew and revoke a lease at each --dynamic path', false)
    .option('--cache-ttl <duration>', 'its cacheTtlMs', milliseconds)
    .option('--cache-stale <duration>', 'its staleMs', milliseconds)
    .option('--cache-max-entries <count>', 'its maxEntries', countUpTo(100_000_000))
    .option('--json', 'as JSON', false)
    .action(async (flags: DoctorFlags) => setExit(await diagnose(io, flags)));
}

/** Tells of every point; exit code 1 when one is wrong. `now` in milliseconds since the epoch. */
export async function diagnose(io: CliIo, flags: DoctorFlags, now: () => number = Date.now): Promise<number> {
  const findings = await examine(await requestOf(io, flags), now);
  io.out(flags.json ? JSON.stringify(findings, null, 2) : report(findings));
  return findings.some(({ verdict }) => verdict === 'wrong') ? EXIT.failed : 0;
}

const intervalSchema = z.coerce.number().positive().default(60);
const ADDRESS_THAT_WILL_DO = 'http://vault.invalid:8200';

async function requestOf({ environment }: CliIo, flags: DoctorFlags): Promise<DoctorRequest> {
  const given = (name: string) => {
    const value = environment[name]?.trim();
    return value === '' ? undefined : value;
  };
  const address = given('VAULT_ADDR');
  // One that will not do is told as a finding, beside all that can be said without.
  const { target } = judgeAddress(address, ADDRESS_THAT_WILL_DO);
  const configuration = configurationOf(
    {
      address: target?.origin ?? ADDRESS_THAT_WILL_DO,
      ...(flags.role === undefined ? {} : { role: flags.role }),
      ...(flags.serviceAccountToken === undefined
        ? {}
        : { serviceAccountTokenFile: flags.serviceAccountToken }),
      ...(flags.cacheTtl === undefined ? {} : { cacheTtlMs: flags.cacheTtl }),
      ...(flags.cacheStale === undefined ? {} : { staleMs: flags.cacheStale }),
      ...(flags.cacheMaxEntries === undefined ? {} : { maxEntries: flags.cacheMaxEntries }),
    },
    environment,
  );
  return {
    configuration,
    address,
    operatorToken: await operatorToken(flags.operatorTokenFile, given('LEASEKEEPER_OPERATOR_TOKEN')),
    secrets: flags.secret,
    dynamic: flags.dynamic,
    consumer: flags.consumer,
    issue: flags.issue,
    state: joinPath(given('LEASEKEEPER_STATE_MOUNT') ?? 'leasekeeper'),
    scanIntervalMs: scanInterval(given('LEASEKEEPER_SCAN_INTERVAL')) * 1_000,
  };
}

async function operatorToken(
  file: string | undefined,
  token: string | undefined,
): Promise<Secret | undefined> {
  if (file !== undefined) return readCredentialFile(file, 'token');
  return token === undefined ? undefined : new Secret(token);
}

/** Seconds. */
function scanInterval(text: string | undefined): number {
  const parsed = intervalSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new LeasekeeperError(
    'configuration_invalid',
    'The environment will not do: LEASEKEEPER_SCAN_INTERVAL: expected a number of seconds.',
    { hint: 'Leave it out for 60.' },
  );
}

/** A path as SecretsManager takes it; a slash at either end is forgiven. */
function paths(text: string, before: readonly string[]): readonly string[] {
  const path = text.replace(/^\/+|\/+$/g, '');
  if (!isPlainPath(path)) {
    throw new InvalidArgumentError('Expected a path after VAULT_NAMESPACE such as nvidia/api-key.');
  }
  return before.includes(path) ? before : [...before, path];
}

function oneWord(text: string): string {
  if (/^[\w.:@-]{1,128}$/.test(text)) return text;
  throw new InvalidArgumentError('Expected the name of a role.');
}

function consumerName(text: string): string {
  const parsed = nameSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError('Expected lower-case letters, digits and dashes.');
}
