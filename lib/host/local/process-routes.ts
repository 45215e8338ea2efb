import { type HttpAnswer, httpRoute } from '../http-function.ts';

/** What /healthz tells. Milliseconds since the epoch; `scannedAt` is 0 before the first scan that succeeded. */
export interface Health {
  scannedAt: number;
  failing: boolean;
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

async function metricsAnswer({ metrics }: ProcessRoutesOptions): Promise<HttpAnswer> {
  return { status: 200, headers: { 'content-type': metrics.contentType }, text: await metrics.text() };
}
