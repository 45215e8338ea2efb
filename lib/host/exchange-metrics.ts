import type { Metrics } from '../telemetry/metrics.ts';
import type { VaultExchange } from '../vault/client.ts';

/** What kinds of requests there are; the first match wins. Few, and without names, so that the label stays bounded. */
const OPERATIONS: readonly (readonly [pattern: RegExp, operation: string])[] = [
  [/(^|\/)sys\/leases\/(renew|revoke|lookup)/, 'lease'],
  [/(^|\/)auth\/token\//, 'token'],
  [/(^|\/)auth\/.+\/login$/, 'login'],
  [/(^|\/)sys\/wrapping\//, 'wrapping'],
  [/(^|\/)sys\//, 'system'],
  [/\/data\/agenda\/|\/metadata\/agenda\//, 'agenda'],
  [/\/(data|metadata)\//, 'kv'],
];

/**
 * Counts every request sent to Vault, repetitions too, by what it was for and how it was answered, and keeps whether Vault is there: 503
 * is a sealed Vault, or one that was never initialised (Vault's HTTP API, "HTTP Status Codes").
 */
export function countExchanges(metrics: Metrics): (exchange: VaultExchange) => void {
  return ({ path, status }) => {
    const operation = OPERATIONS.find(([pattern]) => pattern.test(path))?.[1] ?? 'secret';
    const outcome = status === undefined ? 'no_answer' : `${Math.floor(status / 100)}xx`;
    metrics.increment('leasekeeper_vault_requests_total', { operation, outcome });
    metrics.set('leasekeeper_vault_up', status === undefined || status === 503 ? 0 : 1);
  };
}
