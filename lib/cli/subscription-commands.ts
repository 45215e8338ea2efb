import { setTimeout as sleep } from 'node:timers/promises';
import type * as z from 'zod';
import { codeOf, LeasekeeperError } from '../errors.ts';
import type { Replay } from '../notices/replay.ts';
import { newSubscriptionSchema, subscriptionChangesSchema } from '../notices/subscription-changes.ts';
import { type CliIo, EXIT } from './io.ts';
import { withSystem } from './open-system.ts';
import { lastAttempt } from './subscription-views.ts';
import type { SubscriptionCalls, ToldSubscription, ToldSubscriptionWithSecret } from './system.ts';

/** What is asked of a subscription. False: no more. */
export interface Flags {
  readonly url?: string;
  readonly consumer?: string;
  readonly type?: readonly string[];
  readonly name?: readonly string[];
  readonly batch?: string | false;
  readonly cloudevents?: boolean;
  readonly description?: string | false;
}

export interface ReplayFlags {
  readonly event?: string;
  /** Milliseconds since the epoch. */
  readonly since?: number;
  readonly failed?: boolean;
}

/** Prints the signing secret on a line of its own: it is shown this once. */
export function create(io: CliIo, { json, ...flags }: Flags & { readonly json: boolean }): Promise<number> {
  const { consumer, ...fields } = fieldsOf(flags);
  const wanted = checked(newSubscriptionSchema, { ...fields, consumer });
  return withSystem(io, async ({ subscriptions }) => {
    const made = await subscriptions.create(wanted);
    tellSecret(
      io,
      made,
      json,
      'created; verify its notices with this signing secret, which is not shown again:',
    );
    return 0;
  });
}

export function modify(io: CliIo, id: string, flags: Flags): Promise<number> {
  const { consumer: _, ...fields } = fieldsOf(flags);
  const changes = checked(subscriptionChangesSchema, fields);
  if (Object.values(changes).every((value) => value === undefined)) {
    throw new LeasekeeperError('subscription_invalid', 'Nothing is to be changed.', {
      hint: 'Say what: --url, --type, --name, --batch, --cloudevents or --description.',
    });
  }
  return change(io, (subscriptions) => subscriptions.change(id, changes), 'changed');
}

export function turnOff(io: CliIo, id: string): Promise<number> {
  return change(
    io,
    (subscriptions) => subscriptions.disable(id),
    'disabled; nothing is sent to it until it is enabled',
  );
}

export function turnOn(io: CliIo, id: string): Promise<number> {
  return change(
    io,
    (subscriptions) => subscriptions.enable(id),
    'enabled; `subscribe replay` sends again what it has missed',
  );
}

export function remove(io: CliIo, id: string): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    await subscriptions.delete(id);
    io.out(`${id}: deleted`);
    return 0;
  });
}

/** `overlap` in milliseconds. */
export function rotateSecret(
  io: CliIo,
  id: string,
  { overlap, json }: { readonly overlap: number; readonly json: boolean },
): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    const made = await subscriptions.rotateSecret(id, overlap);
    const old = made.secrets.flatMap(({ until }) => until ?? []);
    const both = old.length === 0 ? 'signs alone' : `signs beside the old one until ${old.toSorted().at(-1)}`;
    tellSecret(io, made, json, `this signing secret, which is not shown again, ${both}:`);
    return 0;
  });
}

const POLL_MS = 500;

/** Waits at most `waitMs` for the first attempt. Exit code 1 unless it was answered with 2xx. */
export function sendTest(io: CliIo, id: string, waitMs: number): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    const key = await subscriptions.test(id);
    const end = performance.now() + waitMs;
    for (;;) {
      const told = await testResult(subscriptions, id, key);
      if (told !== undefined) {
        io[told.well ? 'out' : 'error'](`${id}: ${told.text}`);
        return told.well ? 0 : EXIT.failed;
      }
      if (performance.now() >= end) break;
      await sleep(POLL_MS);
    }
    io.error(
      `${id}: nothing was sent in time; the next scan has it sent. See \`subscribe notices\`, and whether \`scan\` and \`notify\` run.`,
    );
    return EXIT.failed;
  });
}

const NOT_SENT = { well: false, text: 'was not sent: it is disabled or deleted' };

/** Undefined until there is something to tell. */
async function testResult(subscriptions: SubscriptionCalls, id: string, key: string) {
  const notice = await noticeOf(subscriptions, id, key);
  if (notice === 'deleted') return NOT_SENT;
  if (notice === undefined || 'unreadable' in notice) return undefined;
  const last = notice.attempts.at(-1);
  const isOver = last?.status !== undefined || last?.reason !== undefined;
  if (!isOver) return notice.state === 'pending' ? undefined : NOT_SENT;
  const well = notice.state === 'delivered';
  const more = notice.state === 'pending' ? `; tried again at ${notice.due}` : '';
  return { well, text: `${lastAttempt(notice, !well)}${more}` };
}

async function noticeOf(subscriptions: SubscriptionCalls, id: string, key: string) {
  try {
    const { notices } = await subscriptions.notices(id, { dispatch: key, limit: 1 });
    // A system of an earlier version gives others beside it.
    return notices.find(({ dispatch }) => dispatch === key);
  } catch (error) {
    if (codeOf(error) === 'subscription_unknown') return 'deleted';
    throw error;
  }
}

/** Goes through all pages. Exit code 1 when something could not be read. */
export function replay(io: CliIo, id: string, what: Replay): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    let count = 0;
    const unreadable: string[] = [];
    let after: string | undefined;
    do {
      const page = { limit: 200, ...(after === undefined ? {} : { after }) };
      const replayed = await subscriptions.replay(id, what, page);
      count += replayed.replayed.length;
      unreadable.push(...replayed.unreadable);
      after = replayed.next;
    } while (after !== undefined);
    io.out(`${id}: ${count === 1 ? '1 notice is' : `${count} notices are`} on the way again`);
    for (const key of unreadable) io.error(`${key}: cannot be read, so nothing of it was replayed`);
    return unreadable.length === 0 ? 0 : EXIT.failed;
  });
}

/** As HTTP takes them. */
function fieldsOf({ url, consumer, type, name, batch, cloudevents, description }: Flags) {
  return {
    url,
    consumer,
    types: type,
    names: name,
    batch: batch === false ? null : batch,
    cloudevents,
    description: description === false ? null : description,
  };
}

const FLAGS: Readonly<Record<string, string>> = { types: 'type', names: 'name' };

/** The fields, as they are sent. Throws `subscription_invalid`, naming the options at fault. */
function checked<T extends z.ZodType>(schema: T, fields: Readonly<Record<string, unknown>>): z.input<T> {
  if (isInput(schema, fields)) return fields;
  const faults = schema.safeParse(fields).error?.issues.map(({ path: [field], message }) => {
    return `--${FLAGS[String(field)] ?? String(field)}: ${message}`;
  });
  throw new LeasekeeperError('subscription_invalid', `The subscription will not do: ${faults?.join('; ')}.`, {
    hint: 'Correct the options named. Nothing was changed.',
  });
}

function isInput<T extends z.ZodType>(schema: T, value: unknown): value is z.input<T> {
  return schema.safeParse(value).success;
}

function tellSecret(io: CliIo, made: ToldSubscriptionWithSecret, json: boolean, words: string): void {
  if (json) {
    io.out(JSON.stringify(made, null, 2));
    return;
  }
  io.out(`${made.id}: ${words}`);
  io.out(made.secret);
}

function change(
  io: CliIo,
  work: (subscriptions: SubscriptionCalls) => Promise<ToldSubscription>,
  told: string,
): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    const { id } = await work(subscriptions);
    io.out(`${id}: ${told}`);
    return 0;
  });
}
