/** One page of a list; `next` is where the following one begins, undefined on the last. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next?: string | undefined;
}

/** The items of all pages, in their order. */
export async function allPages<T>(
  page: (after: string | undefined) => Promise<Page<T>>,
): Promise<readonly T[]> {
  const all: T[] = [];
  let after: string | undefined;
  do {
    const { items, next } = await page(after);
    all.push(...items);
    // Whoever sends us back to where we were would have us ask for ever.
    if (next !== undefined && next === after) break;
    after = next;
  } while (after !== undefined);
  return all;
}
