/** How one metric is declared. Every label is bounded: see label-limit.ts. */
export interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly unit: 'Count' | 'Seconds';
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[];
}

/** Labels with many values: searchable fields, but no dimensions, where each combination of dimensions costs money. */
export const DETAIL_LABELS: ReadonlySet<string> = new Set(['path', 'name']);

/** All metrics there are. The `vault_*` names are those the services' own documents already promise. */
export const METRICS = {
  vault_secret_requests_total: {
    type: 'counter',
    help: 'Secrets asked for, by path, kind (static, dynamic) and outcome.',
    unit: 'Count',
    labels: ['path', 'kind', 'outcome'],
  },
  vault_secret_cache_hits_total: {
    type: 'counter',
    help: 'Secrets answered from the cache.',
    unit: 'Count',
    labels: ['path'],
  },
  vault_lease_renewal_errors_total: {
    type: 'counter',
    help: 'Lease renewals that failed, by reason.',
    unit: 'Count',
    labels: ['reason'],
  },
  vault_auth_failures_total: {
    type: 'counter',
    help: 'Logins to Vault that failed, by auth method and reason.',
    unit: 'Count',
    labels: ['method', 'reason'],
  },
  leasekeeper_lease_renewals_total: {
    type: 'counter',
    help: 'Lease renewals attempted, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
  },
  leasekeeper_rotations_total: {
    type: 'counter',
    help: 'Rotations of managed secrets, by name and outcome.',
    unit: 'Count',
    labels: ['name', 'outcome'],
  },
  leasekeeper_retire_failures_total: {
    type: 'counter',
    help: 'Old generations that could not be revoked at a try, by name.',
    unit: 'Count',
    labels: ['name'],
  },
  leasekeeper_drift_total: {
    type: 'counter',
    help: 'Changes behind our back that were found, by what has changed.',
    unit: 'Count',
    labels: ['what'],
  },
  leasekeeper_rotation_step_seconds: {
    type: 'histogram',
    help: 'How long one step of a rotation took.',
    unit: 'Seconds',
    labels: ['step'],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  },
  leasekeeper_agenda_due: {
    type: 'gauge',
    help: 'Entries of a book that are due now.',
    unit: 'Count',
    labels: ['book'],
  },
  leasekeeper_agenda_oldest_overdue_seconds: {
    type: 'gauge',
    help: 'How long the entry that waits longest has been due; 0 when none is.',
    unit: 'Seconds',
    labels: ['book'],
  },
  leasekeeper_deliveries_total: {
    type: 'counter',
    help: 'Attempts to deliver a notice, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
  },
  leasekeeper_vault_requests_total: {
    type: 'counter',
    help: 'Requests sent to Vault, by operation and outcome.',
    unit: 'Count',
    labels: ['operation', 'outcome'],
  },
  leasekeeper_agenda_troubles_total: {
    type: 'counter',
    help: 'Shards that are full or cannot be read, and messages that cannot be read, each time one is met.',
    unit: 'Count',
    labels: ['book', 'kind'],
  },
  leasekeeper_last_scan_timestamp_seconds: {
    type: 'gauge',
    help: 'When the agenda was last scanned, in seconds since 1970.',
    unit: 'Seconds',
    labels: [],
  },
  leasekeeper_acknowledgements_total: {
    type: 'counter',
    help: 'Generations that a service has acknowledged through its SecretsManager, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
  },
  leasekeeper_fetches_total: {
    type: 'counter',
    help: 'Secrets handed out by fetch, by outcome.',
    unit: 'Count',
    labels: ['outcome'],
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
