/** Who counts a metric: the one-process host and the functions, or the SecretsManager in a service. */
export type Exporter = 'system' | 'service';

/** How one metric is declared. Every label is bounded: see label-limit.ts. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly unit: 'Count' | 'Seconds';
  readonly labels: readonly string[];
  readonly by: readonly Exporter[];
  /**
   * Values that a label is known to take; there may be others. With them, series start at 0 before anything has happened, for `rate()` and
   * `increase()` do not see how a series came to be: of a failure that is the first of its kind they would say nothing.
   */
  readonly known?: Readonly<Record<string, readonly string[]>>;
  /** Counters that start at 0 with the same labels when this one is first counted. */
  readonly beside?: readonly string[];
  /**
   * A label whose values strangers may choose in the system: a new value counts under its own name only with one of these outcomes, which
   * prove that there is such a thing.
   */
  readonly proven?: { readonly label: string; readonly outcomes: readonly string[] };
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[];
}

/** The CloudWatch namespace of all metrics, unless another is asked for. */
export const DEFAULT_NAMESPACE = 'Leasekeeper';

/** Labels with many values: searchable fields, but no dimensions, where each combination of dimensions costs money. */
export const DETAIL_LABELS: ReadonlySet<string> = new Set(['path', 'name']);

const BOTH = ['system', 'service'] as const;
const SYSTEM = ['system'] as const;
const SERVICE = ['service'] as const;
const BOOKS = ['leases', 'rotations', 'deliveries'] as const;

/** All metrics there are. The `vault_*` names are those the services' own documents already promise. */
export const METRICS = {
  vault_secret_requests_total: {
    type: 'counter',
    help: 'Secrets asked for, by path, kind (static, dynamic) and outcome.',
    unit: 'Count',
    labels: ['path', 'kind', 'outcome'],
    by: BOTH,
    proven: { label: 'path', outcomes: ['ok', 'stale'] },
    beside: ['vault_secret_cache_hits_total'],
  },
  vault_secret_cache_hits_total: {
    type: 'counter',
    help: 'Secrets answered from the cache.',
    unit: 'Count',
    labels: ['path'],
    by: SERVICE,
  },
  vault_lease_renewal_errors_total: {
    type: 'counter',
    help: 'Lease renewals that failed, by reason.',
    unit: 'Count',
    labels: ['reason'],
    by: BOTH,
    known: {
      reason: [
        'vault_renew_failed',
        'vault_lease_not_found',
        'vault_lease_not_renewable',
        'vault_denied',
        'vault_unavailable',
        'vault_timeout',
      ],
    },
  },
  vault_auth_failures_total: {
    type: 'counter',
    help: 'Logins to Vault that failed, by auth method and reason.',
    unit: 'Count',
    labels: ['method', 'reason'],
    by: BOTH,
    known: {
      method: ['approle', 'aws-iam', 'aws-web-identity', 'cert', 'jwt', 'kubernetes', 'token', 'token-file'],
      reason: ['vault_denied', 'vault_bad_request', 'vault_sealed', 'vault_timeout', 'vault_unreachable'],
    },
  },
  leasekeeper_lease_renewals_total: {
    type: 'counter',
    help: 'Lease renewals attempted, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
    by: BOTH,
    // `granted` is the system's word for what SecretsManager calls `renewed`.
    known: { outcome: ['granted', 'renewed', 'failed', 'lost', 'not-renewable'] },
  },
  leasekeeper_rotations_total: {
    type: 'counter',
    help: 'Rotations of managed secrets, by name and outcome.',
    unit: 'Count',
    labels: ['name', 'outcome'],
    by: SYSTEM,
    known: { outcome: ['rotated', 'failed'] },
    beside: ['leasekeeper_retire_failures_total'],
  },
  leasekeeper_retire_failures_total: {
    type: 'counter',
    help: 'Old generations that could not be revoked at a try, by name.',
    unit: 'Count',
    labels: ['name'],
    by: SYSTEM,
  },
  leasekeeper_drift_total: {
    type: 'counter',
    help: 'Changes behind our back that were found, by what has changed.',
    unit: 'Count',
    labels: ['what'],
    by: SYSTEM,
    known: { what: ['published_value_changed', 'published_value_missing', 'lease_revoked', 'value_refused'] },
  },
  leasekeeper_rotation_step_seconds: {
    type: 'histogram',
    help: 'How long one step of a rotation took.',
    unit: 'Seconds',
    labels: ['step'],
    by: SYSTEM,
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  leasekeeper_agenda_due: {
    type: 'gauge',
    help: 'Entries of a book that are due now.',
    unit: 'Count',
    labels: ['book'],
    by: SYSTEM,
  },
  leasekeeper_agenda_oldest_overdue_seconds: {
    type: 'gauge',
    help: 'How long the entry that waits longest has been due; 0 when none is.',
    unit: 'Seconds',
    labels: ['book'],
    by: SYSTEM,
  },
  leasekeeper_deliveries_total: {
    type: 'counter',
    help: 'Attempts to deliver a notice, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
    by: SYSTEM,
    known: { outcome: ['delivered', 'retry', 'gone'] },
  },
  leasekeeper_vault_requests_total: {
    type: 'counter',
    help: 'Requests sent to Vault, by operation and outcome.',
    unit: 'Count',
    labels: ['operation', 'outcome'],
    by: SYSTEM,
    known: {
      operation: ['lease', 'token', 'login', 'wrapping', 'system', 'agenda', 'kv', 'secret'],
      outcome: ['2xx', '4xx', '5xx', 'no_answer'],
    },
  },
  leasekeeper_agenda_troubles_total: {
    type: 'counter',
    help: 'Shards that are full or cannot be read, and messages that cannot be read, each time one is met.',
    unit: 'Count',
    labels: ['book', 'kind'],
    by: SYSTEM,
    known: { book: BOOKS, kind: ['shard_full', 'shard_unreadable', 'message_unreadable'] },
  },
  leasekeeper_last_scan_timestamp_seconds: {
    type: 'gauge',
    help: 'When the agenda was last scanned, in seconds since 1970.',
    unit: 'Seconds',
    labels: [],
    by: SYSTEM,
  },
  leasekeeper_scan_interval_seconds: {
    type: 'gauge',
    help: 'How often the agenda is scanned; set when the host starts.',
    unit: 'Seconds',
    labels: [],
    by: SYSTEM,
  },
  leasekeeper_vault_up: {
    type: 'gauge',
    help: '1 when Vault answered the last request, 0 when it did not, or is sealed.',
    unit: 'Count',
    labels: [],
    by: SYSTEM,
  },
  leasekeeper_acknowledgements_total: {
    type: 'counter',
    help: 'Generations that a service has acknowledged through its SecretsManager, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
    by: SERVICE,
    known: { outcome: ['written', 'failed'] },
  },
  leasekeeper_fetches_total: {
    type: 'counter',
    help: 'Secrets handed out by fetch, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
    by: SYSTEM,
    known: { outcome: ['ok', 'denied', 'error'] },
  },
} as const satisfies Record<string, MetricDefinition>;

type Table = typeof METRICS;

export type MetricName = keyof Table;

type NamesOf<Type extends MetricDefinition['type']> = {
  [Name in MetricName]: Table[Name]['type'] extends Type ? Name : never;
}[MetricName];

export type CounterName = NamesOf<'counter'>;
export type GaugeName = NamesOf<'gauge'>;
export type HistogramName = NamesOf<'histogram'>;

/** The labels a metric must be given: all of its own, and no other. */
export type LabelsOf<Name extends MetricName> = Readonly<Record<Table[Name]['labels'][number], string>>;

/** The table with its literal types forgotten, for code that treats all metrics alike. */
export const definitions: ReadonlyMap<MetricName, MetricDefinition> = new Map(
  Object.entries(METRICS).flatMap(([name, definition]) => (isMetricName(name) ? [[name, definition]] : [])),
);

export function isMetricName(name: string): name is MetricName {
  return Object.hasOwn(METRICS, name);
}
