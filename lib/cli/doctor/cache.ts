import { CHECKS } from './checks.ts';
import { type Finding, fine, unknown, wrong } from './finding.ts';
import { span } from './service-account-token.ts';

export interface CacheFacts {
  readonly cacheTtlMs: number;
  readonly staleMs: number;
  readonly maxEntries: number;
  /** How many static secrets the service reads, as far as it was said. */
  readonly paths: number;
  /** When the kept versions of each were written, in milliseconds since the epoch; what was not told is empty. */
  readonly histories: readonly { readonly path: string; readonly writtenAt: readonly number[] }[];
  /** What this process may use, in bytes: the container's limit, or the machine's memory. */
  readonly memoryBytes: number;
}

/** A guess at one entry: a few fields, their keys, and what the cache keeps beside them. */
const ENTRY_BYTES = 4 * 1_024;
/** What a cache of secrets may take of the memory before it is worth a look. */
const MEMORY_SHARE = 0.1;
/** Fewer versions say nothing of a rhythm. */
const LEAST_VERSIONS = 3;

export function judgeCache(facts: CacheFacts): Finding {
  const { cacheTtlMs, staleMs, maxEntries, paths, memoryBytes } = facts;
  if (paths > maxEntries) {
    return wrong(
      CHECKS.cache,
      `maxEntries is ${maxEntries}, fewer than the ${paths} secrets that are read: they push each other out`,
      [`new SecretsManager({ maxEntries: ${paths * 2} })`],
    );
  }
  const estimate = maxEntries * ENTRY_BYTES;
  if (estimate > memoryBytes * MEMORY_SHARE) {
    const fitting = Math.max(1, Math.floor((memoryBytes * MEMORY_SHARE) / ENTRY_BYTES));
    return wrong(
      CHECKS.cache,
      `maxEntries is ${maxEntries}: about ${mebibytes(estimate)} when full (4 KiB each), of ${mebibytes(memoryBytes)} of memory`,
      [`new SecretsManager({ maxEntries: ${fitting} })`],
    );
  }
  const quickest = quickestIn(facts.histories);
  if (quickest !== undefined && quickest.everyMs < cacheTtlMs) {
    return wrong(
      CHECKS.cache,
      `${quickest.path} changes about every ${span(quickest.everyMs)}, and is kept for ${span(cacheTtlMs)}: the service uses values that have been replaced`,
      [`new SecretsManager({ cacheTtlMs: ${Math.floor(quickest.everyMs / 3)} })`],
    );
  }
  const rhythm =
    quickest === undefined
      ? ''
      : `; the secret that changes most, ${quickest.path}, does so about every ${span(quickest.everyMs)}`;
  const worst = `a changed secret is seen after ${span(cacheTtlMs)}, while Vault is away after ${span(cacheTtlMs + staleMs)}`;
  return fine(CHECKS.cache, `${worst}; about ${mebibytes(estimate)} when full${rhythm}`);
}

/** By the median of the intervals: a mistake that was corrected at once is no rhythm. */
function quickestIn(
  histories: CacheFacts['histories'],
): { readonly path: string; readonly everyMs: number } | undefined {
  return histories
    .filter(({ writtenAt }) => writtenAt.length >= LEAST_VERSIONS)
    .map(({ path, writtenAt }) => ({ path, everyMs: medianInterval(writtenAt) }))
    .toSorted((a, b) => a.everyMs - b.everyMs)[0];
}

function medianInterval(times: readonly number[]): number {
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  return gaps.toSorted((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? Number.POSITIVE_INFINITY;
}

/** The counters are the service's own: nobody else has them. */
export function judgeCacheMetrics(): Finding {
  return unknown(
    CHECKS.cacheMetrics,
    'the counters are in the service: vault_secret_cache_hits_total / vault_secret_requests_total. A low share in steady use means that cacheTtlMs is too short or maxEntries too small; what the process takes of the memory the platform tells: kubectl top pod',
    [
      `promtool query instant http://prometheus:9090 'sum(rate(vault_secret_cache_hits_total[1h])) / sum(rate(vault_secret_requests_total[1h]))'`,
    ],
  );
}

function mebibytes(bytes: number): string {
  const mib = bytes / 1_048_576;
  return `${mib < 10 ? mib.toFixed(1) : Math.round(mib)} MiB`;
}
