import pLimit from 'p-limit';
import { ulid } from 'ulid';
import type { Book, ShardDelta } from '../agenda/book.ts';
import { type Hint, settleHint } from '../agenda/hint.ts';
import type { ShardState } from '../agenda/shard.ts';
import { type EventData, eventId, type LeasekeeperEvent, type RotationReason } from '../bus/events.ts';
import { type EngineDependencies, type EngineReport, rotateSecret } from './engine.ts';
import { demanded, dueOf } from './machine.ts';

export interface RotateDependencies extends EngineDependencies {
  readonly book: Book<Hint>;
}

/** How long a worker has for the secrets of one shard before another may look at them. The machine is safe either way. */
const CLAIM_MS = 120_000;
const PARALLEL_ROTATIONS = 4;

/** Works on one shard of the book `rotations`: claims the hints that are due, carries each secret forward, settles the hints. */
export async function rotateShard(
  deps: RotateDependencies,
  { shard }: EventData<'rotation.due'>,
): Promise<readonly EngineReport[]> {
  const nonce = ulid();
  const claimed = await deps.book.visit(shard, (state) => claim(state, deps.now(), nonce));
  const mine = [...claimed.state.entries.values()].filter(({ claim }) => claim === nonce);
  if (mine.length === 0) return [];
  const limit = pLimit(PARALLEL_ROTATIONS);
  const reports = new Map<string, EngineReport | 'gone'>();
  await Promise.all(mine.map(({ id }) => limit(() => rotateOne(deps, id, reports))));
  await deps.book.visit(shard, (state) => settle(state, reports, nonce));
  return [...reports.values()].filter((report) => report !== 'gone');
}

async function rotateOne(
  deps: RotateDependencies,
  name: string,
  reports: Map<string, EngineReport | 'gone'>,
): Promise<void> {
  try {
    reports.set(name, (await rotateSecret(deps, name)) ?? 'gone');
  } catch (error) {
    // Its claim runs out and the next scan sends a worker again; the others in this shard go on.
    deps.onError(error, name);
  }
}

function claim(state: ShardState<Hint>, now: number, nonce: string): ShardDelta<Hint> {
  const due = [...state.entries.values()].filter((hint) => hint.due <= now && hint.claim !== nonce);
  return { set: due.map((hint) => ({ ...hint, due: now + CLAIM_MS, claim: nonce })) };
}

function settle(
  state: ShardState<Hint>,
  reports: ReadonlyMap<string, EngineReport | 'gone'>,
  nonce: string,
): ShardDelta<Hint> {
  const set: Hint[] = [];
  const forget: string[] = [];
  for (const [id, report] of reports) {
    const hint = state.entries.get(id);
    if (hint === undefined || (hint.claim !== undefined && hint.claim !== nonce)) continue;
    const settled =
      report === 'gone'
        ? settleHint(hint, Number.POSITIVE_INFINITY, undefined)
        : settleHint(hint, report.version, dueOf(report.state));
    if (settled === undefined) continue;
    if ('set' in settled) set.push(settled.set);
    else forget.push(settled.forget);
  }
  return { set, forget };
}

/** Asks for a rotation and has a worker sent at once. Throws `managed_secret_unknown`. */
export async function demandRotation(
  deps: RotateDependencies,
  name: string,
  reason: RotationReason,
): Promise<void> {
  await deps.secrets.change(name, (state) => demanded(state, reason, deps.now()));
  await sendWorker(deps, name);
}

/** The lease of a generation nears its end, or is lost: if that generation is the current one, it is replaced. */
export async function onLeaseOutcome(
  deps: RotateDependencies,
  event: LeasekeeperEvent<'lease.expiring' | 'lease.lost'>,
): Promise<void> {
  const managed = event.data.managed;
  if (managed === undefined) return;
  const reason = event.type === 'lease.lost' ? 'lease_lost' : 'lease_expiring';
  await deps.secrets.change(managed.name, (state) =>
    state.cur?.g === managed.generation ? demanded(state, reason, deps.now()) : state,
  );
  await sendWorker(deps, managed.name);
}

async function sendWorker(deps: RotateDependencies, name: string): Promise<void> {
  const now = deps.now();
  await deps.bus.publish([
    {
      id: eventId('rotation.due', name, ulid()),
      type: 'rotation.due',
      time: new Date(now).toISOString(),
      data: { shard: await deps.book.shardOf(name) },
    },
  ]);
}
