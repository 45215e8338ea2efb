import { type HttpAnswer, httpRoute } from '../http-function.ts';

/** How the process is. Milliseconds since the epoch. */
export interface Health {
  /** When a scan succeeded last; 0 before the first. */
  scannedAt: number;
  /** Whether the last scan failed. */
  failing: boolean;
  /** When a scan ended last, well or badly; before the first the start of the process. */
  triedAt: number;
  /** It was told to end. */
  stopping: boolean;
}

export interface ProcessRoutesOptions {
  readonly health: Readonly<Health>;
  readonly scanIntervalMs: number;
  readonly now: () => number;
  readonly metrics: { text(): Promise<string>; readonly contentType: string };
}

/** The routes of the one-process host itself. They ask nobody who they are: they tell no names but those in metrics' labels. */
export function processRoutes(options: ProcessRoutesOptions) {
  return [
    { method: 'GET' as const, path: '/healthz', handler: httpRoute(async () => healthAnswer(options)) },
    { method: 'GET' as const, path: '/livez', handler: httpRoute(async () => lifeAnswer(options)) },
    { method: 'GET' as const, path: '/readyz', handler: httpRoute(async () => readinessAnswer(options)) },
    { method: 'GET' as const, path: '/metrics', handler: httpRoute(() => metricsAnswer(options)) },
  ];
}

/** Healthy while scans succeed: two intervals without one is what an operator must know of. */
function healthAnswer({ health, scanIntervalMs, now }: ProcessRoutesOptions): HttpAnswer {
  const sinceScanMs = now() - health.scannedAt;
  const ok = !health.failing && sinceScanMs < 3 * scanIntervalMs + 10_000;
  return {
    status: ok ? 200 : 503,
    body: { status: ok ? 'ok' : 'failing', seconds_since_scan: Math.round(sinceScanMs / 1_000) },
  };
}

/** No scan takes as long as this, however badly Vault answers: each of its few requests in turn has timeouts. */
const LONGEST_SCAN_MS = 600_000;

/**
 * Whether a new start would help: only when the schedule stands still. That Vault is sealed or away is none of it, because a process
 * that waits goes on with the next scan, and one that is started again and again does not.
 */
function lifeAnswer({ health, scanIntervalMs, now }: ProcessRoutesOptions): HttpAnswer {
  const alive = now() - health.triedAt < 3 * scanIntervalMs + LONGEST_SCAN_MS;
  return { status: alive ? 200 : 503, body: { status: alive ? 'ok' : 'stuck' } };
}

/**
 * Whether callers should be sent here: from the first scan that succeeded, which shows that address, identity and state are right, until
 * the end. Not by what Vault does later: all replicas have the same one, and a caller is better told `vault_sealed` than nothing.
 */
function readinessAnswer({ health }: ProcessRoutesOptions): HttpAnswer {
  if (health.stopping) return { status: 503, body: { status: 'stopping' } };
  if (health.scannedAt === 0) return { status: 503, body: { status: 'starting' } };
  return { status: 200, body: { status: 'ok' } };
}

async function metricsAnswer({ metrics }: ProcessRoutesOptions): Promise<HttpAnswer> {
  return { status: 200, headers: { 'content-type': metrics.contentType }, text: await metrics.text() };
}
