import type { UnreadableSubscription } from '../host/subscription-list.ts';
import type { LogPage, NoticeView } from '../notices/attempt-log.ts';
import type { Notice } from '../notices/notice.ts';
import type { CliIo } from './io.ts';
import { withSystem } from './open-system.ts';
import type { ToldSubscription } from './system.ts';
import { table } from './table.ts';

const PAGE = 200;

/** A line for each subscription. */
export function listAll(
  io: CliIo,
  { consumer, json }: { readonly consumer?: string; readonly json: boolean },
): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    const all = await subscriptions.list(consumer);
    if (json) io.out(JSON.stringify(all, null, 2));
    else if (all.length === 0)
      io.out('There is none yet. `leasekeeper subscribe create --url <url>` makes one.');
    else for (const line of table([LIST_HEAD, ...all.map(columnsOf)])) io.out(line);
    return 0;
  });
}

export function show(io: CliIo, id: string): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    io.out(JSON.stringify(await subscriptions.show(id), null, 2));
    return 0;
  });
}

export interface NoticeFlags {
  readonly state?: Notice['state'];
  /** Milliseconds since the epoch. */
  readonly since?: number;
  readonly limit: number;
  readonly json: boolean;
}

/** The newest first. */
export function listNotices(
  io: CliIo,
  id: string,
  { state, since, limit, json }: NoticeFlags,
): Promise<number> {
  return withSystem(io, async ({ subscriptions }) => {
    const found: Logged[] = [];
    let after: string | undefined;
    do {
      const query = { state, since, after, limit: Math.min(PAGE, limit - found.length) };
      const page = await subscriptions.notices(id, query);
      found.push(...page.notices);
      after = page.next;
    } while (after !== undefined && found.length < limit);
    if (json) io.out(JSON.stringify(found, null, 2));
    else if (found.length === 0) io.out(`${id} has no such notices.`);
    else for (const line of table([NOTICES_HEAD, ...found.map(noticeColumnsOf)])) io.out(line);
    if (after !== undefined) io.error('There may be more: --limit shows them.');
    return 0;
  });
}

/** What came of the last attempt, and with `answer` the first bytes that were answered. */
export function lastAttempt(
  { attempts, ...view }: Pick<NoticeView, 'attempts' | 'answer'>,
  answer: boolean,
): string {
  const last = attempts.at(-1);
  if (last === undefined) return '-';
  const { status, reason, duration_ms: duration } = last;
  if (status === undefined) return reason === undefined ? 'under way' : `no answer: ${reason}`;
  const took = duration === undefined ? '' : ` in ${duration} ms`;
  return `answered ${status}${took}${answer && view.answer !== undefined ? `: ${view.answer}` : ''}`;
}

type Logged = LogPage['notices'][number];

const LIST_HEAD = ['ID', 'TYPES', 'NAMES', 'BATCH', 'STATE', 'URL'];
const NOTICES_HEAD = ['RECORDED', 'ID', 'TYPE', 'STATE', 'TRIES', 'NEXT', 'LAST ATTEMPT'];

function columnsOf(one: ToldSubscription | UnreadableSubscription): readonly string[] {
  if ('unreadable' in one) return [one.id, '-', '-', '-', 'unreadable', '-'];
  const { id, types, names, batch } = one;
  return [id, types.join(','), names.join(','), batch ?? '-', stateOf(one), urlOf(one)];
}

function stateOf({ disabled, failing_since: failing }: ToldSubscription): string {
  if (disabled !== undefined) return `disabled (${disabled.reason})`;
  return failing === undefined ? 'well' : `failing since ${failing}`;
}

/** Its owner may have written the document itself: whatever a terminal would act on is written as an URL has it. */
function urlOf({ url }: ToldSubscription): string {
  return URL.parse(url)?.href ?? '-';
}

function noticeColumnsOf(one: Logged): readonly string[] {
  if ('unreadable' in one) return ['-', one.dispatch, '-', 'unreadable', '-', '-', '-'];
  const { created, id, type, state, tries, due } = one;
  return [created, id, type, state, String(tries), due ?? '-', lastAttempt(one, state !== 'delivered')];
}
