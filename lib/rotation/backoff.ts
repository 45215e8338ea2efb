const FIRST_MS = 10_000;
const LONGEST_MS = 3_600_000;

/** How long to wait after the n-th failure on end (from 1), in milliseconds: doubling up to an hour, ±20%. */
export function backoff(failures: number, random: () => number): number {
  const bound = Math.min(LONGEST_MS, FIRST_MS * 2 ** (failures - 1));
  return Math.floor(bound * (0.8 + 0.4 * random()));
}
