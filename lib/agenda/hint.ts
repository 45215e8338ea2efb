import pLimit from 'p-limit';
import { ulid } from 'ulid';
import * as z from 'zod';
import type { Book, BookKind } from './book.ts';
import type { ShardState } from './shard.ts';
import type { ShardDelta } from './shard-delta.ts';

/**
 * An entry of the books `rotations` and `deliveries`: a hint, never later than the document it points to. `for` is the version of that
 * document it was written for: only who has read that version or a later one may raise or drop it.
 */
export const hintSchema = z.object({
  id: z.string(),
  due: z.number(),
  for: z.number(),
  /** Who works on it at the moment; `due` is then the end of the claim. */
  claim: z.string().optional(),
  /** Whose claim it was under which no document was found. Its writer posts the hint first, so it may yet come. */
  missing: z.string().optional(),
});
export type Hint = z.infer<typeof hintSchema>;

/** The least time due and the greatest `for` win. */
export function mergeHint(existing: Hint, incoming: Hint): Hint {
  const due = Math.min(existing.due, incoming.due);
  const latest = Math.max(existing.for, incoming.for);
  return due === existing.due && latest === existing.for ? existing : { id: existing.id, due, for: latest };
}

export const ROTATIONS: BookKind<Hint> = { name: 'rotations', entry: hintSchema, merge: mergeHint };
export const DELIVERIES: BookKind<Hint> = { name: 'deliveries', entry: hintSchema, merge: mergeHint };

/** How a worker left the document a hint points to: the version it read or wrote last, and when it is due (undefined: never). */
export interface LeftDocument {
  readonly version: number;
  readonly due: number | undefined;
}

/**
 * There is no document. The hint is dropped once two workers in turn have found none, a claim apart: a hint is posted before its
 * document is made, and one dropped in between would leave a document that nobody looks at.
 */
export const GONE: LeftDocument = { version: Number.POSITIVE_INFINITY, due: undefined };

/** Works on the due hints of one shard: claims them, has `work` do each, settles them. One that throws keeps its claim until it runs out. */
export async function workOnHints(
  book: Book<Hint>,
  shard: number,
  options: {
    readonly now: () => number;
    /** Milliseconds that one worker has before another may look at the same documents. They are safe either way. */
    readonly claimMs: number;
    readonly parallel: number;
    readonly work: (hint: Hint) => Promise<LeftDocument>;
    readonly onError: (error: unknown, id: string) => void;
  },
): Promise<readonly LeftDocument[]> {
  const nonce = ulid();
  const claimed = await book.visit(shard, (state) =>
    claimHints(state, options.now(), options.claimMs, nonce),
  );
  const mine = [...claimed.state.entries.values()].filter(({ claim }) => claim === nonce);
  if (mine.length === 0) return [];
  const limit = pLimit(options.parallel);
  const left = new Map<string, LeftDocument>();
  const workOnOne = async (hint: Hint): Promise<void> => {
    try {
      left.set(hint.id, await options.work(hint));
    } catch (error) {
      options.onError(error, hint.id);
    }
  };
  await Promise.all(mine.map((hint) => limit(() => workOnOne(hint))));
  // Reads the inbox again: the work itself may have posted hints for the versions it wrote.
  await book.visit(shard, (state) => settleHints(state, left, nonce));
  return [...left.values()];
}

function claimHints(state: ShardState<Hint>, now: number, claimMs: number, nonce: string): ShardDelta<Hint> {
  const due = [...state.entries.values()].filter((hint) => hint.due <= now && hint.claim !== nonce);
  return { set: due.map((hint) => ({ ...hint, due: now + claimMs, claim: nonce })) };
}

/** Raises or drops each hint, unless it is for a later version than was read, or another worker has claimed it since. */
export function settleHints(
  state: ShardState<Hint>,
  left: ReadonlyMap<string, LeftDocument>,
  nonce: string,
): ShardDelta<Hint> {
  const set: Hint[] = [];
  const forget: string[] = [];
  for (const [id, { version, due }] of left) {
    const hint = state.entries.get(id);
    if (hint === undefined || hint.for > version) continue;
    const posted = hint.claim === undefined;
    // Where there was no document, a hint posted since may be for one that is on its way.
    if (hint.claim !== nonce && !(posted && version !== GONE.version)) continue;
    // A worker whose answer was lost finds its own mark: that is no second look.
    const lookedFirst = hint.missing === undefined || hint.missing === nonce;
    if (version === GONE.version && lookedFirst) set.push({ ...hint, missing: nonce });
    else if (due === undefined) forget.push(id);
    else set.push({ id, due, for: hint.for });
  }
  return { set, forget };
}
