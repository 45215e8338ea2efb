import * as z from 'zod';
import type { BookKind } from './book.ts';

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

/** What to leave in the book after a document was read at `version` and said it is due at `due` (undefined: never). */
export function settleHint(
  hint: Hint,
  version: number,
  due: number | undefined,
): { readonly set: Hint } | { readonly forget: string } | undefined {
  if (hint.for > version) return undefined;
  if (due === undefined) return { forget: hint.id };
  return { set: { id: hint.id, due, for: hint.for } };
}
