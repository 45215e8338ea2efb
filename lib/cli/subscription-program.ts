import { type Command, InvalidArgumentError, Option } from 'commander';
import * as z from 'zod';
import { noticeSchema } from '../notices/notice.ts';
import { type Replay, replaySchema } from '../notices/replay.ts';
import { ownerSchema, subscriptionIdSchema } from '../notices/subscription.ts';
import { DEFAULT_OVERLAP_MS } from '../notices/subscription-changes.ts';
import { durationSchema } from '../rotation/duration.ts';
import type { CliIo } from './io.ts';
import type { SetExit } from './managed-program.ts';
import { collect, countUpTo, milliseconds, overlap } from './option-values.ts';
import {
  create,
  type Flags,
  modify,
  type ReplayFlags,
  remove,
  replay,
  rotateSecret,
  sendTest,
  turnOff,
  turnOn,
} from './subscription-commands.ts';
import { listAll, listNotices, type NoticeFlags, show } from './subscription-views.ts';

/** The commands under `subscribe`: who is told, and what became of the notices. */
export function addSubscribeCommands(program: Command, io: CliIo, setExit: SetExit): void {
  const subscribe = program
    .command('subscribe')
    .description('who is told by webhook, and what became of the notices')
    .addHelpText('after', IDS);
  addChanges(subscribe, io, setExit);
  addViews(subscribe, io, setExit);
  addSwitches(subscribe, io, setExit);
  addReplay(subscribe, io, setExit);
}

const IDS = `
A subscription's id is <consumer>:<name>, or _all:<name> for the operators', who hear of everything.
Take it from create or list.`;

function addChanges(subscribe: Command, io: CliIo, setExit: SetExit): void {
  withFilter(
    subscribe
      .command('create')
      .description('have notices sent to an endpoint; prints its signing secret, this once')
      .requiredOption('--url <url>', 'the endpoint: https, or what LEASEKEEPER_NOTICE_ALLOW opens')
      .option('--consumer <name>', "whose it is; left out: the operators'", consumer),
  )
    .option('--json', 'as JSON', false)
    .action(async (flags: Flags & { url: string; json: boolean }) => setExit(await create(io, flags)));
  withFilter(
    subscribe
      .command('change')
      .description('change a subscription; what is left out stays')
      .argument('<id>', 'its id', subscriptionId)
      .option('--url <url>', 'another endpoint'),
  )
    .option('--no-batch', 'send each notice by itself')
    .option('--no-cloudevents', 'send no CloudEvents headers')
    .option('--no-description', 'forget what it is for')
    .action(async (id: string, flags: Flags) => setExit(await modify(io, id, flags)));
}

function withFilter(command: Command): Command {
  return command
    .option('--type <pattern>', "only these types, such as 'secret.*'; may be repeated", collect)
    .option('--name <pattern>', 'only these managed secrets and consumers; may be repeated', collect)
    .option('--batch <duration>', 'gather for this long, from 1s to 1h, and send one notice')
    .option('--cloudevents', 'send CloudEvents headers as well')
    .option('--description <text>', 'what it is for');
}

function addViews(subscribe: Command, io: CliIo, setExit: SetExit): void {
  subscribe
    .command('list')
    .description('all subscriptions, or those of one consumer')
    .option('--consumer <name>', "whose; _all: the operators'", owner)
    .option('--json', 'as JSON', false)
    .action(async (flags: { consumer?: string; json: boolean }) => setExit(await listAll(io, flags)));
  subscribe
    .command('show')
    .description('one subscription as JSON, without its signing secrets')
    .argument('<id>', 'its id', subscriptionId)
    .action(async (id: string) => setExit(await show(io, id)));
  subscribe
    .command('notices')
    .description('its notices of the last 15 days with their attempts, the newest first')
    .argument('<id>', 'its id', subscriptionId)
    .addOption(new Option('--state <state>', 'only these').choices(noticeSchema.shape.state.options))
    .option(
      '--since <time>',
      'of events from then on: 2026-11-21T20:00:00Z, or 6h for the last six hours',
      since,
    )
    .option('--limit <count>', 'so many at most', countUpTo(10_000), 50)
    .option('--json', 'as JSON, with every attempt', false)
    .action(async (id: string, flags: NoticeFlags) => setExit(await listNotices(io, id, flags)));
}

function addSwitches(subscribe: Command, io: CliIo, setExit: SetExit): void {
  subscribe
    .command('test')
    .description('send a test notice, and say what was answered; exit code 1 unless it was 2xx')
    .argument('<id>', 'its id', subscriptionId)
    .option('--wait <duration>', 'for the answer; a scan has to come first', milliseconds, 90_000)
    .action(async (id: string, { wait }: { wait: number }) => setExit(await sendTest(io, id, wait)));
  subscribe
    .command('disable')
    .description('send nothing to it until it is enabled')
    .argument('<id>', 'its id', subscriptionId)
    .action(async (id: string) => setExit(await turnOff(io, id)));
  subscribe
    .command('enable')
    .description('send to it again, whyever it was disabled')
    .argument('<id>', 'its id', subscriptionId)
    .action(async (id: string) => setExit(await turnOn(io, id)));
  subscribe
    .command('delete')
    .description('end it; its pending notices are given up')
    .argument('<id>', 'its id', subscriptionId)
    .action(async (id: string) => setExit(await remove(io, id)));
  subscribe
    .command('rotate-secret')
    .description('make a new signing secret, and print it, this once')
    .argument('<id>', 'its id', subscriptionId)
    .option(
      '--overlap <duration>',
      'how long the old one signs as well; 0s: it has leaked',
      overlap,
      DEFAULT_OVERLAP_MS,
    )
    .option('--json', 'as JSON', false)
    .action(async (id: string, flags: { overlap: number; json: boolean }) =>
      setExit(await rotateSecret(io, id, flags)),
    );
}

function addReplay(subscribe: Command, io: CliIo, setExit: SetExit): void {
  subscribe
    .command('replay')
    .description('send notices again, each with the id that it had')
    .argument('<id>', 'its id', subscriptionId)
    .addOption(
      new Option('--event <id>', 'one, by the id of the event or batch')
        .argParser(eventName)
        .conflicts(['since', 'failed']),
    )
    .option(
      '--since <time>',
      'all of events from then on: 2026-11-21T20:00:00Z, or 6h for the last six hours',
      since,
    )
    .option('--failed', 'only those that failed')
    .action(async (id: string, flags: ReplayFlags, command: Command) => {
      const what = replayOf(flags);
      if (what === undefined) command.error('error: say what: --event, --since or --failed');
      else setExit(await replay(io, id, what));
    });
}

function replayOf({ event, since: from, failed }: ReplayFlags): Replay | undefined {
  if (event !== undefined) return { event };
  if (from !== undefined) return { since: from, failed };
  return failed === true ? { failed } : undefined;
}

function subscriptionId(text: string): string {
  return parsedBy(subscriptionIdSchema, text, 'Expected an id as create and list print it.');
}

function consumer(text: string): string {
  if (text.startsWith('_')) throw new InvalidArgumentError("Leave it out for the operators' own.");
  return owner(text);
}

function owner(text: string): string {
  return parsedBy(ownerSchema, text, 'Expected lower-case letters, digits and dashes, at most 63.');
}

function eventName(text: string): string {
  const what = parsedBy(replaySchema, { event: text }, 'Expected an id such as evt_… or bat_….');
  return 'event' in what ? what.event : text;
}

const time = z.iso.datetime({ offset: true });

/** Milliseconds since the epoch. */
function since(text: string): number {
  const ago = durationSchema.safeParse(text);
  if (ago.success) return Date.now() - ago.data;
  return Date.parse(parsedBy(time, text, 'Expected 2026-11-21T20:00:00Z, or a duration such as 6h.'));
}

/** A value that could mean something else in a path never gets there. */
function parsedBy<T>(schema: z.ZodType<T>, value: unknown, expected: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(expected);
}
