/** A small map as plain data. Its keys are kept in order, so that equal maps have equal JSON. */
export type Sorted<T> = Readonly<Record<string, T>>;

/** The map with `key` set. */
export function put<T>(map: Sorted<T>, key: string, value: T): Sorted<T> {
  if (Object.hasOwn(map, key)) return { ...map, [key]: value };
  const entries: [string, T][] = [...Object.entries(map), [key, value]];
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The map without `key`. */
export function drop<T>(map: Sorted<T>, key: string): Sorted<T> {
  if (!Object.hasOwn(map, key)) return map;
  return Object.fromEntries(Object.entries(map).filter(([other]) => other !== key));
}
