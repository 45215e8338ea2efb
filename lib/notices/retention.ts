import { GONE, type Hint, type LeftDocument } from '../agenda/hint.ts';
import { endOfKeeping } from './dispatch.ts';
import type { NoticeStore } from './notice-store.ts';

const PREFIX = 'kept/';
/** So many are deleted before the claim on the hint may run out. */
const MOST_AT_ONCE = 5_000;

/** What has a worker delete the dispatches of a day once they have been kept for long enough. */
export function keepingHint(day: string): Hint {
  return { id: `${PREFIX}${day}`, due: endOfKeeping(day), for: 1 };
}

/** The day that a hint is for; undefined when it is for something else. */
export function keptDayIn(hintId: string): string | undefined {
  return hintId.startsWith(PREFIX) ? hintId.slice(PREFIX.length) : undefined;
}

/** Deletes the dispatches of a day. The hint goes once nothing was left twice: one may still be on its way. Throws VaultError. */
export async function deleteDay(notices: NoticeStore, day: string, now: number): Promise<LeftDocument> {
  const keys = await notices.dispatchesOf(day);
  await Promise.all(keys.slice(0, MOST_AT_ONCE).map((key) => notices.deleteDispatch(key)));
  return keys.length > MOST_AT_ONCE ? { version: 1, due: now } : GONE;
}
