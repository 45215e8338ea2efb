import type { Secret } from '../../telemetry/secret.ts';
import { joinPath, within } from '../../vault/addressing.ts';
import type { SetupStep } from '../setup/step.ts';
import {
  authMountStep,
  documentStep,
  kvMountStep,
  mountStep,
  objectStep,
  policyStep,
} from '../setup/steps.ts';

/** A PostgreSQL and a user of it that may make roles. */
export interface SamplePostgres {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: Secret;
  readonly database: string;
}

/** What the sample's mounts, roles and policies are made from. */
export interface SamplePlanOptions {
  /** The prefix of the mounts; a full path that begins with `authNamespace`. */
  readonly namespace: string;
  readonly authNamespace: string;
  readonly postgres: SamplePostgres;
  /** The `url` of the TokenReview stand-in. */
  readonly tokenReviewUrl: string;
  readonly audience: string;
  /** Seconds of the database credentials: at issue, and at most through renewals. */
  readonly databaseTtlSeconds: number;
  readonly databaseMaxTtlSeconds: number;
  /** Seconds of the consumers' own tokens. */
  readonly consumerTokenTtlSeconds: number;
  /** Used only if there is none yet. */
  readonly nvidiaApiKey: Secret;
  /** The files `inference-service`, `api-gateway` and `api-gateway-database` of vault/policies, rendered. */
  readonly policies: Readonly<Record<'inference-service' | 'api-gateway' | 'api-gateway-database', string>>;
}

/** Database roles whose credentials are leased: one read by its consumer itself, one rotated and published. */
const DATABASE_ROLES = ['api-gateway', 'model-store'] as const;
const KV_MOUNTS = ['inference-service', 'shared', 'nvidia', 'api-gateway'] as const;
const KUBERNETES_MOUNT = 'kubernetes';
const CONNECTION = 'postgres';

/**
 * The sample consumers, each with the policies of its Vault role and its Kubernetes service account of the same name. With that of its
 * own that `leasekeeper setup` writes, it acknowledges generations.
 */
export const SAMPLE_CONSUMERS = {
  'inference-service': ['inference-service', 'leasekeeper-consumer-inference-service'],
  'api-gateway': ['api-gateway', 'api-gateway-database', 'leasekeeper-consumer-api-gateway'],
} as const;
/** The Kubernetes namespace of their service accounts. */
export const SAMPLE_SERVICE_ACCOUNT_NAMESPACE = 'lotabots';

/** What the sample consumers live in, in the order in which it must be made. Pure. All of it belongs to the local servers. */
export function planSample(options: SamplePlanOptions): readonly SetupStep[] {
  const at = (mount: string) => joinPath(within(options.authNamespace, options.namespace), mount);
  return [
    ...KV_MOUNTS.map((mount) => kvMountStep(options.authNamespace, at(mount))),
    mountStep(options.authNamespace, at('database'), 'database'),
    authMountStep(options.authNamespace, KUBERNETES_MOUNT, 'kubernetes'),
    ...databaseSteps(options),
    ...Object.entries(options.policies).map(([name, policy]) =>
      policyStep(options.authNamespace, name, policy),
    ),
    ...kubernetesSteps(options),
    documentStep('secret nvidia/api-key', joinPath(options.namespace, 'nvidia'), 'api-key', {
      api_key: options.nvidiaApiKey,
    }),
  ];
}

function databaseSteps(options: SamplePlanOptions): readonly SetupStep[] {
  const { host, port, user, password, database } = options.postgres;
  const mount = joinPath(options.namespace, 'database');
  const connection = {
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}?sslmode=disable`,
    username: user,
  };
  const config = { plugin_name: 'postgresql-database-plugin', allowed_roles: DATABASE_ROLES };
  const body = { ...config, ...connection, password, password_authentication: 'scram-sha-256' };
  const wanted = { ...config, connection_details: connection };
  return [
    objectStep(`database ${CONNECTION}`, joinPath(mount, 'config', CONNECTION), body, wanted),
    ...DATABASE_ROLES.map((role) =>
      objectStep(`database role ${role}`, joinPath(mount, 'roles', role), {
        db_name: CONNECTION,
        creation_statements: CREATION,
        revocation_statements: revocation(user),
        default_ttl: options.databaseTtlSeconds,
        max_ttl: options.databaseMaxTtlSeconds,
      }),
    ),
  ];
}

const CREATION = [
  `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
  'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}"',
];

/**
 * Vault's own statements leave open sessions running, and fail for a role that owns something, whose login then goes on working. These
 * end the sessions first and hand over what the role owns.
 */
function revocation(owner: string): readonly string[] {
  return [
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='{{name}}'`,
    `REASSIGN OWNED BY "{{name}}" TO "${owner.replaceAll('"', '""')}"`,
    'DROP OWNED BY "{{name}}"',
    'DROP ROLE IF EXISTS "{{name}}"',
  ];
}

function kubernetesSteps(options: SamplePlanOptions): readonly SetupStep[] {
  const mount = joinPath(options.authNamespace, 'auth', KUBERNETES_MOUNT);
  return [
    objectStep('configuration of Kubernetes auth', joinPath(mount, 'config'), {
      kubernetes_host: options.tokenReviewUrl,
      // The method insists on one. Nothing is verified with it: the stand-in speaks plain HTTP on the loopback interface.
      kubernetes_ca_cert: 'none',
      disable_local_ca_jwt: true,
    }),
    ...Object.entries(SAMPLE_CONSUMERS).map(([consumer, policies]) =>
      objectStep(`Kubernetes role ${consumer}`, joinPath(mount, 'role', consumer), {
        bound_service_account_names: [consumer],
        bound_service_account_namespaces: [SAMPLE_SERVICE_ACCOUNT_NAMESPACE],
        audience: options.audience,
        token_policies: policies,
        token_ttl: options.consumerTokenTtlSeconds,
      }),
    ),
  ];
}
