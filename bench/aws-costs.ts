/**
 * What Leasekeeper costs on AWS in a month, worked out: `node bench/aws-costs.ts` prints the table of docs/deploy-aws.md. No measurement of
 * AWS is in it: how often what is invoked follows from the schedule and the agenda, how long from requests to Vault and processor time.
 */

/** List prices in US dollars, us-east-1, without the free tier. */
const PRICE = {
  lambdaRequest: 0.2 / 1e6,
  /** arm64, for a GB of memory and a second. */
  lambdaGbSecond: 0.0000133334,
  event: 1 / 1e6,
  scheduledInvocation: 1 / 1e6,
  queueRequest: 0.4 / 1e6,
  httpRequest: 1 / 1e6,
  logGb: 0.5,
  metric: 0.3,
  alarm: 0.1,
  dashboard: 3,
  /** One interface endpoint in one zone, an hour. */
  endpointHour: 0.01,
} as const;

const MINUTES = 43_800;
const MEMORY_GB = 0.5;
/** Lambda gives a whole processor at 1,769 MB. */
const PROCESSOR_SHARE = 512 / 1_769;
/** Seconds for a request to a Vault in the same region. */
const VAULT = 0.01;
const PARALLEL = 8;
/** Seconds of a whole processor: middleware, logs, one request to Vault; to unpack and to pack an entry of a shard (measured). */
const INVOCATION = 0.005;
const REQUEST = 0.0005;
const UNPACK = 3.5e-6;
const PACK = 2.6e-6;
/** Kilobytes of log an invocation writes: START, END and REPORT, metrics; and an access its audit line. */
const LOG_INVOCATION = 2.5;
const LOG_ACCESS = 0.6;

/** What is kept. */
export interface Load {
  readonly leases: number;
  readonly shards: number;
  /** Managed secrets, each rotated once a day and told to two endpoints. */
  readonly managed: number;
}

/**
 * What there is whatever is kept: the metrics that docs/metrics.md counts with as many for manage as for fetch, and the alarms and the dashboard
 * of the stack.
 */
export const FIXED = { metrics: 54, alarms: 30, dashboards: 1 } as const;

/** Seconds of a lease's TTL, and how long its consumer keeps it before it asks anew (the max TTL). */
const LEASE = { ttl: 3_600, life: 86_400 } as const;

export const LOADS: readonly Load[] = [
  { leases: 100, shards: 4, managed: 10 },
  { leases: 10_000, shards: 4, managed: 100 },
  { leases: 100_000, shards: 32, managed: 500 },
];

interface Work {
  /** A month. */
  readonly invocations: number;
  /** Requests to Vault, one after another and side by side. */
  readonly serial: number;
  readonly parallel: number;
  /** Seconds of a whole processor beside those. */
  readonly processor: number;
}

/** Seconds that one invocation takes. */
function durationOf({ serial, parallel, processor }: Work): number {
  const cpu = INVOCATION + processor + (serial + parallel) * REQUEST;
  return (serial + parallel / PARALLEL) * VAULT + cpu / PROCESSOR_SHARE;
}

/** Each function's work for a load. Requests are those of docs/architecture.md, "Costs in requests". */
export function worksOf({ leases, shards, managed }: Load): Readonly<Record<string, Work>> {
  const perShard = leases / shards;
  // Due at two thirds of the TTL, and every shard at most once a minute.
  const renewals = leases / ((LEASE.ttl * 2) / 3 / 60);
  const visits = Math.min(shards, renewals);
  const fetches = (leases * 86_400) / LEASE.life / 1_440;
  const rotations = managed / 1_440;
  return {
    scan: { invocations: MINUTES, serial: 2, parallel: shards + 5, processor: leases * UNPACK },
    renew: {
      invocations: visits * MINUTES,
      serial: 4,
      parallel: renewals / visits,
      processor: perShard * (UNPACK + 2 * PACK),
    },
    // Rotating, and retiring the generation before.
    rotate: { invocations: 3 * rotations * MINUTES, serial: 18, parallel: 0, processor: 0 },
    // Rotated and retired, each recorded and sent to two endpoints (0.2 s each, side by side).
    notify: { invocations: 2 * rotations * MINUTES, serial: 16, parallel: 0, processor: 0.06 },
    fetch: { invocations: fetches * MINUTES, serial: 3, parallel: 0, processor: 0 },
    manage: { invocations: rotations * MINUTES, serial: 4, parallel: 0, processor: 0 },
  };
}

/** US dollars a month, by what they are paid for. */
export function costsOf(load: Load): Readonly<Record<string, number>> {
  const works = worksOf(load);
  const all = Object.values(works);
  const invocations = all.reduce((sum, work) => sum + work.invocations, 0);
  const seconds = all.reduce((sum, work) => sum + work.invocations * durationOf(work), 0);
  const of = (name: string) => works[name]?.invocations ?? 0;
  const queued = of('renew') + of('rotate') + of('notify');
  const accesses = of('fetch') + of('manage');
  // Each of the three queues is asked by five pollers every 20 s, whether there is anything or not; a message is sent, taken and deleted.
  const polls = 3 * 5 * 3 * MINUTES;
  return {
    'AWS Lambda': invocations * PRICE.lambdaRequest + seconds * MEMORY_GB * PRICE.lambdaGbSecond,
    'EventBridge, SQS, HTTP API':
      queued * PRICE.event +
      MINUTES * PRICE.scheduledInvocation +
      (polls + 3 * queued) * PRICE.queueRequest +
      accesses * PRICE.httpRequest,
    'CloudWatch Logs': ((invocations * LOG_INVOCATION + accesses * LOG_ACCESS) / 1e6) * PRICE.logGb,
    'metrics, alarms, dashboard':
      FIXED.metrics * PRICE.metric + FIXED.alarms * PRICE.alarm + FIXED.dashboards * PRICE.dashboard,
  };
}

/** What a VPC without the internet adds: endpoints for events, logs and the credentials' service, in two zones. */
export const ENDPOINTS = 3 * 2 * 730 * PRICE.endpointHour;

const dollars = (amount: number) => `$${amount < 10 ? amount.toFixed(2) : amount.toFixed(0)}`;
const whole = (count: number) => count.toLocaleString('en-US');

/** The table, in Markdown. */
export function costTable(loads: readonly Load[] = LOADS): string {
  const columns = loads.map((load) => ({ load, costs: costsOf(load), works: worksOf(load) }));
  const names = Object.keys(columns[0]?.costs ?? {});
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const totalOf = (costs: Readonly<Record<string, number>>) =>
    Object.values(costs).reduce((sum, cost) => sum + cost, 0);
  return [
    row(['a month', ...loads.map(({ leases }) => `${whole(leases)} leases`)]),
    row(['---', ...loads.map(() => '---')]),
    row([
      'invocations',
      ...columns.map(({ works }) =>
        whole(
          Math.round(Object.values(works).reduce((sum, work) => sum + work.invocations, 0) / 1_000) * 1_000,
        ),
      ),
    ]),
    row([
      'a scan takes',
      ...columns.map(
        ({ works }) => `${(works.scan === undefined ? 0 : durationOf(works.scan)).toFixed(1)} s`,
      ),
    ]),
    ...names.map((name) => row([name, ...columns.map(({ costs }) => dollars(costs[name] ?? 0))])),
    row(['**in all**', ...columns.map(({ costs }) => `**${dollars(totalOf(costs))}**`)]),
  ].join('\n');
}

if (import.meta.main) {
  console.log(costTable());
  console.log(`\nEndpoints of a VPC without the internet: ${dollars(ENDPOINTS)} more.`);
}
