import { expect, it } from 'vitest';
import { countExchanges } from '../../lib/host/exchange-metrics.ts';
import { createPrometheusMetrics } from '../../lib/telemetry/prometheus-metrics.ts';

/** What the metrics say after Vault's answers, one after the other. */
async function after(...answers: readonly (readonly [path: string, status: number | undefined])[]) {
  const metrics = createPrometheusMetrics({ exporter: 'system' });
  const count = countExchanges(metrics);
  for (const [path, status] of answers)
    count({ method: 'GET', path, status, durationMs: 1, bytesSent: 0, bytesReceived: 0 });
  return metrics.text();
}

it.each([
  ['sys/leases/renew', 200, 'lease', '2xx'],
  ['lotabots/sys/leases/revoke', 204, 'lease', '2xx'],
  ['auth/token/renew-accessor', 400, 'token', '4xx'],
  ['lotabots/auth/kubernetes/login', 403, 'login', '4xx'],
  ['sys/wrapping/wrap', 200, 'wrapping', '2xx'],
  ['sys/internal/ui/mounts/lotabots/app', 500, 'system', '5xx'],
  ['leasekeeper/data/agenda/leases/shards/0', 200, 'agenda', '2xx'],
  ['lotabots/app/data/static', undefined, 'kv', 'no_answer'],
  ['lotabots/database/creds/app', 500, 'secret', '5xx'],
] as const)('%s answered %s is %s %s', async (path, status, operation, outcome) => {
  expect(await after([path, status])).toContain(
    `leasekeeper_vault_requests_total{operation="${operation}",outcome="${outcome}"} 1\n`,
  );
});

it.each([
  ['an answer', [200], 1],
  ['a refusal, which is an answer', [200, 403], 1],
  ['an engine that fails', [200, 500], 1],
  ['no answer', [200, undefined], 0],
  ['a sealed Vault', [200, 503], 0],
  ['a Vault that is back', [503, undefined, 404], 1],
] as const)('whether Vault is up, after %s', async (_case, statuses, up) => {
  const text = await after(...statuses.map((status) => ['sys/leases/renew', status] as const));
  expect(text).toContain(`\nleasekeeper_vault_up ${up}\n`);
});

it('before the first request nobody knows', async () => {
  expect(await after()).not.toMatch(/^leasekeeper_vault_up/m);
});
