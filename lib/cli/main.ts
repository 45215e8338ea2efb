import { Command, CommanderError, Option } from 'commander';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { DEFAULT_SHARDS } from '../host/setup/options.ts';
import { addDoctorCommand } from './doctor-command.ts';
import { type CliIo, EXIT, processIo } from './io.ts';
import { addManagedCommands, type SetExit } from './managed-program.ts';
import { collect, countUpTo, milliseconds } from './option-values.ts';
import { setUp } from './setup-command.ts';
import { addStatusCommand } from './status-command.ts';
import { addSubscribeCommands } from './subscription-program.ts';

/** Runs one command line, without the program's own name. Never throws: errors are told on `io.error`, one line and a hint. */
export async function main(args: readonly string[], io: CliIo = processIo): Promise<number> {
  let exit = 0;
  const program = programOf(io, (code) => {
    exit = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exit;
  } catch (error) {
    // Commander has said itself what was wrong; --help and --version come here too, with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT.usage;
    io.error(told(error));
    return EXIT.failed;
  }
}

function told(error: unknown): string {
  if (!(error instanceof LeasekeeperError)) {
    const message = error instanceof Error ? error.message : 'something that is no error was thrown';
    return `leasekeeper: ${codeOf(error)}: ${message}`;
  }
  const hint = error.hint === undefined ? '' : `\n  ${error.hint}`;
  return `leasekeeper: ${error.code}: ${error.message}${hint}`;
}

function programOf(io: CliIo, setExit: SetExit): Command {
  const program = new Command('leasekeeper')
    .description(
      'Keeps Vault leases alive, rotates secrets before they die, and tells the services that use them.',
    )
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: (text) => io.error(text.trimEnd()),
    })
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', ENVIRONMENT_HELP);
  addHostCommands(program, setExit);
  addSetupCommand(program, io, setExit);
  addManagedCommands(program, io, setExit);
  addSubscribeCommands(program, io, setExit);
  addStatusCommand(program, io, setExit);
  addDoctorCommand(program, io, setExit);
  return program;
}

const ENVIRONMENT_HELP = `
Environment:
  VAULT_ADDR, VAULT_TOKEN, VAULT_CACERT  the Vault, and whom to act as (start ignores them: it runs its own)
  VAULT_NAMESPACE                        prefix or namespace of all secrets (default: lotabots)
  VAULT_AUTH_NAMESPACE                   where tokens and policies live (default: the root namespace)
  LEASEKEEPER_STATE_MOUNT                the state mount (default: leasekeeper)
  LEASEKEEPER_NOTICE_ALLOW               where notices may go besides public https, as the functions have it

To go by the HTTP API of a Leasekeeper in place of Vault (all commands but start, serve, setup and doctor):
  LEASEKEEPER_URL                        its address: https://…, or http:// on this machine
  VAULT_TOKEN                            whom to act as; or a JWT:
  VAULT_JWT_FILE or VAULT_JWT, VAULT_ROLE  with the Vault role; VAULT_AUTH_MOUNT, if not the API's first
  LEASEKEEPER_CACERT                     a file with the private CA of its certificate
  LEASEKEEPER_ALLOW_HTTP                 true: http:// to another machine, where the way is safe by other means

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 setup left something that differs`;

function addHostCommands(program: Command, setExit: SetExit): void {
  program
    .command('start')
    .description('run everything here, on servers of its own: OpenBao, PostgreSQL, sample consumers')
    .option('--for <duration>', 'run for this long, then print a summary: 90s, 5m', milliseconds)
    .option('--json', 'one JSON object a line', false)
    .action(async (options: { for?: number; json: boolean }) => {
      const { runStart } = await import('../host/local/start.ts');
      const bounded = options.for === undefined ? {} : { forMs: options.for };
      setExit(await runStart({ ...bounded, json: options.json }));
    });
  program
    .command('serve')
    .description('run the functions as one process, on your Vault')
    .action(async () => {
      const { runServe } = await import('../host/local/serve.ts');
      setExit(await runServe());
    });
}

interface SetupFlags {
  readonly print: boolean;
  readonly update: boolean;
  readonly layout: 'auto' | 'namespace' | 'prefix';
  readonly leaseShards: number;
  readonly rotationShards: number;
  readonly deliveryShards: number;
  readonly maxVersions: number;
  readonly tokenTtl: number;
  /** False with --no-approle. */
  readonly approle: string | false;
  readonly secretIdTtl: number;
  readonly approleFile?: string;
  readonly kubernetes?: string;
  readonly serviceAccountNamespace: string;
  readonly serviceAccount?: string;
  readonly audience?: string;
  readonly managed: readonly string[];
}

function addSetupCommand(program: Command, io: CliIo, setExit: SetExit): void {
  program
    .command('setup')
    .description(
      'prepare your Vault: state mount, policies, one identity for each function. Makes what is missing',
    )
    .option('--print', 'print policies and calls as a script instead of making them', false)
    .option('--update', 'put leasekeeper-* objects right where they differ', false)
    .option(
      '--managed <file>',
      'also prepare for the managed secrets in this file; may be repeated',
      collect,
      [],
    )
    .addOption(
      new Option('--layout <layout>', 'what VAULT_NAMESPACE is')
        .choices(['auto', 'namespace', 'prefix'])
        .default('auto'),
    )
    .option('--approle <mount>', 'AppRole mount for the identities', 'approle')
    .option('--no-approle', 'make no AppRole identities')
    .option('--secret-id-ttl <duration>', 'how long a secret id can log in; 0s: for ever', milliseconds, 0)
    .option('--approle-file <file>', 'make new secret ids and write them here (mode 0600)')
    .option('--kubernetes <mount>', 'also make roles at this kubernetes auth method')
    .option(
      '--service-account-namespace <name>',
      'of the service accounts leasekeeper-<function>',
      'lotabots',
    )
    .option('--service-account <name>', 'that all functions share, when they run in one pod')
    .option('--audience <audience>', 'that service account tokens must be for')
    .option('--token-ttl <duration>', "of the functions' own tokens", milliseconds, 3_600_000)
    .option('--max-versions <count>', 'versions the state mount keeps of a document', countUpTo(1_024), 4)
    .option(
      '--lease-shards <count>',
      'of a new book; about 6,000 leases each',
      countUpTo(1_024),
      DEFAULT_SHARDS.leases,
    )
    .option('--rotation-shards <count>', 'of a new book', countUpTo(1_024), DEFAULT_SHARDS.rotations)
    .option('--delivery-shards <count>', 'of a new book', countUpTo(1_024), DEFAULT_SHARDS.deliveries)
    .action(async (flags: SetupFlags) => {
      const { print, update, layout, maxVersions, managed, audience, kubernetes, approleFile } = flags;
      setExit(
        await setUp(io, {
          print,
          update,
          layout,
          maxVersions,
          managed,
          audience,
          kubernetes,
          shards: {
            leases: flags.leaseShards,
            rotations: flags.rotationShards,
            deliveries: flags.deliveryShards,
          },
          tokenTtlSeconds: Math.ceil(flags.tokenTtl / 1_000),
          appRole: flags.approle === false ? undefined : flags.approle,
          secretIdTtlSeconds: Math.ceil(flags.secretIdTtl / 1_000),
          appRoleFile: approleFile,
          serviceAccountNamespace: flags.serviceAccountNamespace,
          serviceAccount: flags.serviceAccount,
        }),
      );
    });
}

if (import.meta.main) {
  // A reader that has seen enough (`| head`) closes the pipe; that is no fault of ours.
  process.stdout.on('error', (error) => {
    if (codeOf(error) === 'EPIPE') process.exit(0);
    throw error;
  });
  process.exitCode = await main(process.argv.slice(2));
}
