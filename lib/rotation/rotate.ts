import type { Book } from '../agenda/book.ts';
import { GONE, type Hint, workOnHints } from '../agenda/hint.ts';
import type { EventData, LeasekeeperEvent, RotationReason } from '../bus/events.ts';
import { type EngineReport, rotateSecret } from './engine.ts';
import type { EngineDependencies } from './engine-dependencies.ts';
import { sendWorker } from './send-worker.ts';
import { demanded } from './upkeep.ts';

export interface RotateDependencies extends EngineDependencies {
  readonly book: Book<Hint>;
}

const CLAIM_MS = 120_000;
const PARALLEL_ROTATIONS = 4;

/** Works on one shard of the book `rotations`: carries each secret forward that is due. */
export async function rotateShard(
  deps: RotateDependencies,
  { shard }: EventData<'rotation.due'>,
): Promise<readonly EngineReport[]> {
  const reports: EngineReport[] = [];
  await workOnHints(deps.book, shard, {
    now: deps.now,
    claimMs: CLAIM_MS,
    parallel: PARALLEL_ROTATIONS,
    onError: deps.onError,
    work: async ({ id, for: forVersion }) => {
      const report = await rotateSecret(deps, id);
      if (report === undefined) return GONE;
      reports.push(report);
      // A writer that died between hint and document left a hint for a version that never came; now it comes.
      const version = Math.max(report.version, await deps.secrets.raiseTo(id, forVersion, report.version));
      return { version, due: report.due };
    },
  });
  return reports;
}

/** Asks for a rotation and has a worker sent at once. Throws `managed_secret_unknown`. */
export async function demandRotation(
  deps: RotateDependencies,
  name: string,
  reason: RotationReason,
): Promise<void> {
  await deps.secrets.change(name, (state) => demanded(state, { reason }, deps.now()));
  await sendWorkerTo(deps, name);
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
    state.cur?.g === managed.generation ? demanded(state, { reason }, deps.now()) : state,
  );
  await sendWorkerTo(deps, managed.name);
}

function sendWorkerTo(deps: RotateDependencies, name: string): Promise<void> {
  return sendWorker({ ...deps, shardOf: (one) => deps.book.shardOf(one) }, name);
}
