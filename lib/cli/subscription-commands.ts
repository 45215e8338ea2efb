import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ulid } from 'ulid';
import type * as z from 'zod';
import { LeasekeeperError } from '../errors.ts';
import { replayNotices, testSubscription } from '../host/subscription-notices.ts';
import {
  changeSubscription,
  createSubscription,
  deleteSubscription,
  disableSubscription,
  enableSubscription,
  rotateSigningSecret,
  type WithSecret,
} from '../host/subscription-operations.ts';
import { createAddressGuard } from '../notices/address-guard.ts';
import { noticeView } from '../notices/attempt-log.ts';
import type { Replay } from '../notices/replay.ts';
import type { Subscription } from '../notices/subscription.ts';
import {
  newSubscriptionSchema,
  showable,
  subscriptionChangesSchema,
} from '../notices/subscription-changes.ts';
import { isVaultError } from '../vault/errors.ts';
import { type Connection, withVault } from './connection.ts';
import { readVaultEnvironment } from './environment.ts';
import { type CliIo, EXIT } from './io.ts';
import { lastAttempt } from './subscription-views.ts';

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
export async function create(
  io: CliIo,
  { json, ...flags }: Flags & { readonly json: boolean },
): Promise<number> {
  const { consumer, ...fields } = fieldsOf(flags);
  const wanted = checked(newSubscriptionSchema, { ...fields, consumer });
  return asActor(io, async (actor) => {
    const made = await createSubscription(actor, wanted);
    tellSecret(
      io,
      made,
      json,
      'created; verify its notices with this signing secret, which is not shown again:',
    );
    return 0;
  });
}

export async function modify(io: CliIo, id: string, flags: Flags): Promise<number> {
  const { consumer: _, ...fields } = fieldsOf(flags);
  const changes = checked(subscriptionChangesSchema, fields);
  if (Object.values(changes).every((value) => value === undefined)) {
    throw new LeasekeeperError('subscription_invalid', 'Nothing is to be changed.', {
      hint: 'Say what: --url, --type, --name, --batch, --cloudevents or --description.',
    });
  }
  return change(io, (actor) => changeSubscription(actor, id, changes), 'changed');
}

export function turnOff(io: CliIo, id: string): Promise<number> {
  return change(
    io,
    (actor) => disableSubscription(actor, id),
    'disabled; nothing is sent to it until it is enabled',
  );
}

export function turnOn(io: CliIo, id: string): Promise<number> {
  return change(
    io,
    (actor) => enableSubscription(actor, id),
    'enabled; `subscribe replay` sends again what it has missed',
  );
}

export function remove(io: CliIo, id: string): Promise<number> {
  return asActor(io, async (actor) => {
    await deleteSubscription(actor, id);
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
  return asActor(io, async (actor) => {
    const made = await rotateSigningSecret(actor, id, { overlapMs: overlap });
    const old = showable(made.subscription).secrets.flatMap(({ until }) => until ?? []);
    const both = old.length === 0 ? 'signs alone' : `signs beside the old one until ${old.toSorted().at(-1)}`;
    tellSecret(io, made, json, `this signing secret, which is not shown again, ${both}:`);
    return 0;
  });
}

const POLL_MS = 500;

/** Waits at most `waitMs` for the first attempt. Exit code 1 unless it was answered with 2xx. */
export function sendTest(io: CliIo, id: string, waitMs: number): Promise<number> {
  return asActor(io, async (actor) => {
    const key = await testSubscription(actor, id);
    const end = performance.now() + waitMs;
    for (;;) {
      const told = await testResult(actor, id, key);
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

async function testResult({ notices }: Pick<Connection, 'notices'>, id: string, key: string) {
  const found = await notices.dispatch(key);
  const notice = found?.document.notices[id];
  if (found === undefined || notice === undefined) return undefined;
  const { state, ...view } = noticeView(key, found.document, notice);
  const last = view.attempts.at(-1);
  const isOver = last?.status !== undefined || last?.reason !== undefined;
  if (!isOver && state === 'pending') return undefined;
  const well = state === 'delivered';
  const more = state === 'pending' ? `; tried again at ${view.due}` : '';
  return {
    well,
    text: isOver ? `${lastAttempt(view, !well)}${more}` : 'was not sent: it is disabled or deleted',
  };
}

/** Goes through all pages. Exit code 1 when something could not be read. */
export function replay(io: CliIo, id: string, what: Replay): Promise<number> {
  return asActor(io, async (actor) => {
    let count = 0;
    const unreadable: string[] = [];
    let after: string | undefined;
    do {
      const page = { limit: 200, ...(after === undefined ? {} : { after }) };
      const replayed = await replayNotices(actor, id, what, page);
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

/** Throws `subscription_invalid`, naming the options at fault. */
function checked<T extends z.ZodType>(schema: T, fields: Readonly<Record<string, unknown>>): z.output<T> {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path: [field], message }) => {
    return `--${FLAGS[String(field)] ?? String(field)}: ${message}`;
  });
  throw new LeasekeeperError('subscription_invalid', `The subscription will not do: ${faults.join('; ')}.`, {
    hint: 'Correct the options named. Nothing was changed.',
  });
}

function tellSecret(io: CliIo, { subscription, secret }: WithSecret, json: boolean, words: string): void {
  if (json) {
    io.out(JSON.stringify({ ...showable(subscription), secret }, null, 2));
    return;
  }
  io.out(`${subscription.id}: ${words}`);
  io.out(secret);
}

type Actor = ReturnType<typeof actorOf>;

function actorOf({ notices, deliveries, now }: Connection, allow: readonly string[]) {
  const guard = createAddressGuard(allow);
  return {
    notices,
    dispatches: notices,
    addHints: deliveries.addAll.bind(deliveries),
    checkUrl: (url: string) => void guard.checkUrl(url),
    now,
    randomBytes,
    newName: ulid,
  };
}

async function asActor(io: CliIo, work: (actor: Actor) => Promise<number>): Promise<number> {
  const environment = await readVaultEnvironment(io.environment);
  return withVault(environment, async (connection) => {
    try {
      return await work(actorOf(connection, environment.noticeAllow));
    } catch (error) {
      // A mount that is not there is most likely a Vault that was never prepared.
      if (isVaultError(error, 'vault_not_found')) await connection.requirePrepared();
      throw error;
    }
  });
}

function change(io: CliIo, work: (actor: Actor) => Promise<Subscription>, told: string): Promise<number> {
  return asActor(io, async (actor) => {
    const { id } = await work(actor);
    io.out(`${id}: ${told}`);
    return 0;
  });
}
