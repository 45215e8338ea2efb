import type { Check } from './finding.ts';

/** Every point, in the order in which each rests on those before. docs/doctor.md names them. */
export const CHECKS = {
  address: { id: 'address', title: 'VAULT_ADDR' },
  ca: { id: 'ca', title: 'CA file' },
  dns: { id: 'dns', title: 'Name resolution' },
  tcp: { id: 'tcp', title: 'Connection' },
  tls: { id: 'tls', title: 'TLS' },
  vault: { id: 'vault', title: 'Vault server' },
  clock: { id: 'clock', title: 'Clock' },
  serviceAccountToken: { id: 'service-account-token', title: 'Service account token' },
  role: { id: 'role', title: 'Role binding' },
  login: { id: 'login', title: 'Login' },
  token: { id: 'token', title: 'Token and policies' },
  tokenRenewal: { id: 'token-renewal', title: 'Token renewal' },
  namespace: { id: 'namespace', title: 'VAULT_NAMESPACE' },
  secret: { id: 'secret', title: 'Secrets' },
  dynamic: { id: 'dynamic', title: 'Dynamic secrets' },
  leaseRenewal: { id: 'lease-renewal', title: 'Lease renewal' },
  leaseRevocation: { id: 'lease-revocation', title: 'Lease revocation' },
  cache: { id: 'cache', title: 'Cache settings' },
  cacheMetrics: { id: 'cache-metrics', title: 'Cache hit rate' },
  leasekeeper: { id: 'leasekeeper', title: 'Leasekeeper' },
} as const satisfies Readonly<Record<string, Check>>;

export const secretCheck = (path: string): Check => ({ id: `secret:${path}`, title: `Secret ${path}` });
export const dynamicCheck = (path: string): Check => ({ id: `dynamic:${path}`, title: `Dynamic ${path}` });
export const leaseTtlCheck = (path: string): Check => ({
  id: `lease-ttl:${path}`,
  title: `Lease TTL ${path}`,
});
export const acknowledgementCheck = (consumer: string): Check => ({
  id: 'acknowledgement',
  title: `Acknowledging as ${consumer}`,
});

/** What somebody asked to have looked at. */
export interface Wanted {
  readonly secrets: readonly string[];
  readonly dynamic: readonly string[];
  readonly consumer: string | undefined;
}

/** All that there is to say something about, in order. */
export function checksFor({ secrets, dynamic, consumer }: Wanted): readonly Check[] {
  const c = CHECKS;
  return [
    ...[c.address, c.ca, c.dns, c.tcp, c.tls, c.vault, c.clock],
    ...[c.serviceAccountToken, c.role, c.login, c.token, c.tokenRenewal, c.namespace],
    ...(secrets.length === 0 ? [c.secret] : secrets.map(secretCheck)),
    ...[c.leaseRenewal, c.leaseRevocation],
    ...(dynamic.length === 0
      ? [c.dynamic]
      : dynamic.flatMap((path) => [dynamicCheck(path), leaseTtlCheck(path)])),
    ...[c.cache, c.cacheMetrics, c.leasekeeper],
    ...(consumer === undefined ? [] : [acknowledgementCheck(consumer)]),
  ];
}
