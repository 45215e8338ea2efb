import { type Command, InvalidArgumentError, Option } from 'commander';
import { nameSchema } from '../rotation/name.ts';
import type { CliIo } from './io.ts';
import {
  acknowledgeManaged,
  applyFile,
  pauseManaged,
  removeManaged,
  resumeManaged,
  rotateManaged,
  supplyManaged,
} from './managed-commands.ts';
import { listManaged, showHistory, showManaged } from './managed-views.ts';

/** Sets the exit code of the command that ran. */
export type SetExit = (code: number) => void;

/** The commands that show and change what is managed. */
export function addManagedCommands(program: Command, io: CliIo, setExit: SetExit): void {
  program
    .command('apply')
    .description('create or change managed secrets')
    .requiredOption('-f, --file <file>', 'JSON or YAML: one specification, or a list; - for standard input')
    .action(async ({ file }: { file: string }) => setExit(await applyFile(io, file)));
  addViews(program, io, setExit);
  program
    .command('rotate')
    .description('rotate a managed secret now')
    .argument('<name>', 'its name', managedName)
    .option('--leak', 'it has leaked: revoke the old generation as soon as the new one is published', false)
    .action(async (name: string, options: { leak: boolean }) =>
      setExit(await rotateManaged(io, name, options)),
    );
  program
    .command('pause')
    .description('rotate and retire nothing of a managed secret until it is resumed')
    .argument('<name>', 'its name', managedName)
    .action(async (name: string) => setExit(await pauseManaged(io, name)));
  program
    .command('resume')
    .description('let a paused managed secret go on')
    .argument('<name>', 'its name', managedName)
    .action(async (name: string) => setExit(await resumeManaged(io, name)));
  addRemoveCommand(program, io, setExit);
  program
    .command('supply')
    .description('give the next value of a managed secret of kind manual')
    .argument('<name>', 'its name', managedName)
    .option('-f, --file <file>', 'a JSON object with the fields; - for standard input', '-')
    .action(async (name: string, { file }: { file: string }) => setExit(await supplyManaged(io, name, file)));
  program
    .command('ack')
    .description('say for a consumer that it has adopted a generation')
    .argument('<name>', 'of the managed secret', managedName)
    .requiredOption('--consumer <name>', 'the consumer, as the specification names it', managedName)
    .requiredOption('--generation <number>', 'the generation that it uses now', generation)
    .action(async (name: string, options: { consumer: string; generation: number }) =>
      setExit(await acknowledgeManaged(io, name, options)),
    );
}

function addViews(program: Command, io: CliIo, setExit: SetExit): void {
  program
    .command('list')
    .description('what is managed, and in what phase')
    .option('--json', 'as JSON', false)
    .option('--removed', 'also what is no longer managed', false)
    .action(async (options: { json: boolean; removed: boolean }) => setExit(await listManaged(io, options)));
  program
    .command('show')
    .description('specification and rotation state of one managed secret, as JSON; by HTTP without handles')
    .argument('<name>', 'its name', managedName)
    .action(async (name: string) => setExit(await showManaged(io, name)));
  program
    .command('history')
    .description('the last rotations of one managed secret')
    .argument('<name>', 'its name', managedName)
    .option('--json', 'as JSON', false)
    .action(async (name: string, options: { json: boolean }) =>
      setExit(await showHistory(io, name, options)),
    );
}

function addRemoveCommand(program: Command, io: CliIo, setExit: SetExit): void {
  program
    .command('remove')
    .description('manage a secret no more')
    .argument('<name>', 'its name', managedName)
    .addOption(
      new Option(
        '--credentials <what>',
        'revoke: its credentials end once the grace is over; keep: they are forgotten, and work until they end by themselves',
      )
        .choices(['revoke', 'keep'])
        .makeOptionMandatory(),
    )
    .action(async (name: string, options: { credentials: 'revoke' | 'keep' }) =>
      setExit(await removeManaged(io, name, options)),
    );
}

/** A name that could mean something else in a path never gets there. */
function managedName(text: string): string {
  const parsed = nameSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(
    parsed.error.issues[0]?.message.replace(/^e/, 'E') ?? 'That cannot be a name.',
  );
}

function generation(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number from 1 on.');
}
