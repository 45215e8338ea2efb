import type { Book } from '../agenda/book.ts';
import { type Hint, workOnHints } from '../agenda/hint.ts';
import type { EventData } from '../bus/events.ts';
import { batchIn, sendBatch } from './batch.ts';
import { type DeliverDependencies, deliverDispatch } from './deliver.ts';
import { deleteDay, keptDayIn } from './retention.ts';

export interface DueDependencies extends DeliverDependencies {
  readonly book: Book<Hint>;
}

const CLAIM_MS = 120_000;
/** Most documents in hand at once; what bounds the sending is each endpoint's lane. */
const PARALLEL_DOCUMENTS = 1_000;

/** Works on what is due in one shard of the book `deliveries`: dispatches, batches that have closed, and days that go. Returns how much it was. */
export async function workOnDue(
  deps: DueDependencies,
  { shard }: EventData<'delivery.due'>,
): Promise<number> {
  const addHints = (hints: readonly Hint[]) => deps.book.addAll(hints);
  const left = await workOnHints(deps.book, shard, {
    now: deps.now,
    claimMs: CLAIM_MS,
    parallel: PARALLEL_DOCUMENTS,
    onError: deps.onError,
    work: ({ id }) => {
      const batch = batchIn(id);
      if (batch !== undefined) return sendBatch({ ...deps, addHints }, batch);
      const day = keptDayIn(id);
      return day === undefined ? deliverDispatch(deps, id) : deleteDay(deps.notices, day, deps.now());
    },
  });
  return left.length;
}
