import * as z from 'zod';
import type { RateLimit } from '../access/caller-rate.ts';
import { LeasekeeperError } from '../errors.ts';
import { certificatesIn, readCertificate } from '../rotation/probes/pem.ts';
import { DEFAULT_NAMESPACE } from '../telemetry/metric-names.ts';
import { type AuthConfig, authOf, authVariables } from './auth-config.ts';

/** A blank variable counts as not set: deployment tools often cannot leave one out. */
const text = z.string().trim().min(1);
const seconds = z.coerce.number().positive();
const yesOrNo = z.enum(['true', 'false']).transform((value) => value === 'true');
const listed = z.string().transform((value) =>
  value
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== ''),
);
/** Every block is read: what OpenSSL cannot read it passes over in silence, and nothing would be trusted. */
const certificates = text.refine((pem) => {
  const blocks = certificatesIn(pem);
  return blocks.length > 0 && blocks.every((block) => readCertificate(block) !== undefined);
}, 'expected certificates in PEM, with their line breaks');

/**
 * Amazon CloudWatch, API Reference, "PutMetricData": 1 to 255 letters, digits and `. - _ / # :` and spaces, no colon first; `AWS/` is Amazon's
 * own.
 */
const namespace = text.regex(
  /^(?!:|AWS\/)[\w .\-/#:]{1,255}$/,
  'expected a CloudWatch namespace: letters, digits, spaces and . - _ / # :',
);

const environmentSchema = z.object({
  VAULT_ADDR: z.url({ protocol: /^https?$/ }),
  VAULT_NAMESPACE: text.default('lotabots'),
  VAULT_AUTH_NAMESPACE: z.string().default(''),
  VAULT_CACERT_PEM: text.optional(),
  LEASEKEEPER_STATE_MOUNT: text.default('leasekeeper'),
  ...authVariables,
  LEASEKEEPER_SCAN_INTERVAL: seconds.default(60),
  LEASEKEEPER_BUS: text.optional(),
  LEASEKEEPER_CLOUDEVENTS: yesOrNo.default(false),
  LEASEKEEPER_CALLER_MOUNTS: text
    .transform((value) => value.split(',').map((one) => one.trim()))
    .pipe(z.array(z.string().regex(/^\w[\w.-]*(\/\w[\w.-]*)*$/, 'expected mounts with commas between')))
    .default(['kubernetes']),
  LEASEKEEPER_CALLER_RATE: seconds.default(10),
  LEASEKEEPER_CALLER_BURST: z.coerce.number().int().min(1).default(50),
  LEASEKEEPER_REPLACE_GRACE: seconds.default(60),
  LEASEKEEPER_NOTICE_ALLOW: listed.default([]),
  LEASEKEEPER_NOTICE_CA_PEM: certificates.optional(),
  LEASEKEEPER_LISTEN: text.default('127.0.0.1:8280'),
  LEASEKEEPER_METRICS_NAMESPACE: namespace.default(DEFAULT_NAMESPACE),
  LEASEKEEPER_LOG_LEVEL: z
    .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .default('info'),
});

/** Every variable that is read. serverless.yml may set no other. */
export const VARIABLES: readonly string[] = Object.keys(environmentSchema.shape);

/** The settings of a host. README.md, "Configuration", lists the variables. Milliseconds where a name says so. */
export interface Config {
  readonly vaultAddress: string;
  /** The prefix or namespace of all secrets. */
  readonly namespace: string;
  readonly authNamespace: string;
  readonly ca: string | undefined;
  readonly stateMount: string;
  readonly auth: AuthConfig;
  readonly scanIntervalMs: number;
  /** What falls due within this is done now. */
  readonly lookAheadMs: number;
  /** EventBridge's bus; undefined in one process. */
  readonly busName: string | undefined;
  /** Whether outcomes on EventBridge's bus are CloudEvents. */
  readonly cloudEvents: boolean;
  /** Where callers may log in with a JWT, the default first. */
  readonly callerMounts: readonly string[];
  /** How often one caller may ask. */
  readonly callerRate: RateLimit;
  readonly replaceGraceMs: number;
  readonly noticeAllow: readonly string[];
  /** PEM of the authorities that endpoints of notices may have their certificates from, besides the public ones. */
  readonly noticeCa: string | undefined;
  readonly listen: { readonly host: string; readonly port: number };
  readonly logLevel: z.infer<typeof environmentSchema>['LEASEKEEPER_LOG_LEVEL'];
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the settings; the only reader of the process environment. Throws `configuration_invalid`, naming each variable at fault and never what was in it. */
export function readConfig(environment: Environment = process.env): Config {
  const given = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value.trim() !== ''),
  );
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new LeasekeeperError(
      'configuration_invalid',
      `The environment will not do: ${faults.join('; ')}.`,
      {
        hint: 'README.md, "Configuration", lists every variable.',
      },
    );
  }
  const env = parsed.data;
  const scanIntervalMs = env.LEASEKEEPER_SCAN_INTERVAL * 1_000;
  return {
    vaultAddress: env.VAULT_ADDR,
    namespace: env.VAULT_NAMESPACE,
    authNamespace: env.VAULT_AUTH_NAMESPACE,
    ca: env.VAULT_CACERT_PEM,
    stateMount: env.LEASEKEEPER_STATE_MOUNT,
    auth: authOf(env),
    scanIntervalMs,
    lookAheadMs: scanIntervalMs + Math.max(2_000, scanIntervalMs / 10),
    busName: env.LEASEKEEPER_BUS,
    cloudEvents: env.LEASEKEEPER_CLOUDEVENTS,
    callerMounts: env.LEASEKEEPER_CALLER_MOUNTS,
    callerRate: { perSecond: env.LEASEKEEPER_CALLER_RATE, burst: env.LEASEKEEPER_CALLER_BURST },
    replaceGraceMs: env.LEASEKEEPER_REPLACE_GRACE * 1_000,
    noticeAllow: env.LEASEKEEPER_NOTICE_ALLOW,
    noticeCa: env.LEASEKEEPER_NOTICE_CA_PEM,
    listen: listenOf(env.LEASEKEEPER_LISTEN),
    logLevel: env.LEASEKEEPER_LOG_LEVEL,
  };
}

/**
 * The CloudWatch namespace of a function's metrics, `LEASEKEEPER_METRICS_NAMESPACE`. Needed before anything else is read: what is counted
 * when the configuration will not do is written too. Never throws; one that will not do is told by {@link readConfig}.
 */
export function metricsNamespace(environment: Environment = process.env): string {
  const { success, data } = namespace.safeParse(environment.LEASEKEEPER_METRICS_NAMESPACE);
  return success ? data : DEFAULT_NAMESPACE;
}

/** The tracing header of the invocation under way, which Lambda puts into the environment anew each time. */
export function traceHeader(environment: Environment = process.env): string | undefined {
  return environment._X_AMZN_TRACE_ID;
}

/** `host:port`; an IPv6 address in brackets. */
function listenOf(text: string): Config['listen'] {
  const [, host, port] = /^(?:\[([^\]]+)\]|[^:]+):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new LeasekeeperError('configuration_invalid', 'LEASEKEEPER_LISTEN is not host:port.', {
      hint: 'For example 127.0.0.1:8280.',
    });
  }
  return { host: host ?? text.slice(0, text.lastIndexOf(':')), port: Number(port) };
}
