/** The package's export: the class that services embed, and the types around it. */
export { LeasekeeperError } from './errors.ts';
export type { SecretsManagerParts } from './secrets-manager/assemble.ts';
export type { Environment, SecretsManagerSettings } from './secrets-manager/configuration.ts';
export { CredentialPool, type CredentialPoolOptions } from './secrets-manager/credential-pool.ts';
export type {
  SecretIdentity,
  SecretsManagerEventName,
  SecretsManagerEvents,
  SecretsManagerHandler,
} from './secrets-manager/events.ts';
export type { HealthReason, SecretsManagerHealth } from './secrets-manager/health.ts';
export type { LeaseCondition } from './secrets-manager/leased-path.ts';
export type {
  NoticeAnswer,
  NoticeReceiver,
  NoticeReceiverOptions,
  ReceivedNotice,
} from './secrets-manager/notice-receiver.ts';
export { SecretData } from './secrets-manager/secret-data.ts';
export type {
  DynamicSecret,
  GetDynamicSecretOptions,
  GetSecretOptions,
  InitOptions,
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
export type { AwsCredentials } from './vault/auth/aws-credentials.ts';
export { type AwsIamAuthOptions, awsIamAuth } from './vault/auth/aws-iam.ts';
export type { SigningAlgorithm, StsOptions } from './vault/auth/aws-sts.ts';
export { type AwsWebIdentityAuthOptions, awsWebIdentityAuth } from './vault/auth/aws-web-identity.ts';
export { type CertAuthOptions, certAuth } from './vault/auth/cert.ts';
export { type JwtAuthOptions, jwtAuth } from './vault/auth/jwt.ts';
export { type KubernetesAuthOptions, kubernetesAuth } from './vault/auth/kubernetes.ts';
export type { AuthMethod, GivenTokens } from './vault/auth/login.ts';
export { tokenAuth } from './vault/auth/token.ts';
export { type TokenFileAuthOptions, tokenFileAuth } from './vault/auth/token-file.ts';
export { VaultError, type VaultErrorCode } from './vault/errors.ts';
export type { RetryPolicy } from './vault/retry.ts';
export type { Transport, TransportAnswer, TransportRequest } from './vault/transport.ts';
