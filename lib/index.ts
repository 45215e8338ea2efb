/** The package's export: the class that services embed, and the types around it. */
export { LeasekeeperError } from './errors.ts';
export type { SecretsManagerParts } from './secrets-manager/assemble.ts';
export type { Environment, SecretsManagerSettings } from './secrets-manager/configuration.ts';
export type {
  SecretIdentity,
  SecretsManagerEventName,
  SecretsManagerEvents,
  SecretsManagerHandler,
} from './secrets-manager/events.ts';
export { SecretData } from './secrets-manager/secret-data.ts';
export type {
  DynamicSecret,
  GetDynamicSecretOptions,
  GetSecretOptions,
  SecretGenerations,
  StaticSecret,
} from './secrets-manager/secret-types.ts';
export { SecretsManager, type SecretsManagerOptions } from './secrets-manager/secrets-manager.ts';
export {
  type Audit,
  type AuditInput,
  type AuditLine,
  auditLineSchema,
  createAudit,
} from './telemetry/audit.ts';
export { createLogger, type Logger, type LoggerOptions } from './telemetry/log.ts';
export type { Metrics } from './telemetry/metrics.ts';
export { noMetrics } from './telemetry/no-metrics.ts';
export { createPrometheusMetrics, type PrometheusMetrics } from './telemetry/prometheus-metrics.ts';
export { isSecret, Secret } from './telemetry/secret.ts';
export { type AppRoleAuthOptions, appRoleAuth } from './vault/auth/approle.ts';
export { type KubernetesAuthOptions, kubernetesAuth } from './vault/auth/kubernetes.ts';
export type { AuthMethod } from './vault/auth/login.ts';
export { tokenAuth } from './vault/auth/token.ts';
export { VaultError, type VaultErrorCode } from './vault/errors.ts';
export type { RetryPolicy } from './vault/retry.ts';
export type { Transport, TransportAnswer, TransportRequest } from './vault/transport.ts';
