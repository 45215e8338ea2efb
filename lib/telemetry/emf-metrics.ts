// The two parts that build and write a document, not the package's index: loading that probes the network for an EC2
// host and an agent at once, whatever the platform.
import { MetricsContext } from 'aws-embedded-metrics/lib/logger/MetricsContext.js';
import { LogSerializer } from 'aws-embedded-metrics/lib/serializers/LogSerializer.js';
import { createLabelLimit, type Labels } from './label-limit.ts';
import { DEFAULT_NAMESPACE, DETAIL_LABELS, definitions, type MetricName } from './metric-names.ts';
import { isIncrement, isMeasurement, type Metrics } from './metrics.ts';

export interface EmfMetrics extends Metrics {
  /** Writes what was recorded since the last flush and forgets it; call it at the end of every invocation. */
  flush(): Promise<void>;
}

export interface EmfOptions {
  /** CloudWatch namespace; default {@link DEFAULT_NAMESPACE}. */
  readonly namespace?: string;
  /** Becomes the dimension `service` of every metric: which function this is. */
  readonly service?: string;
  /** Takes one JSON document, without a line end. Default: a line on standard output, which Lambda hands to CloudWatch. */
  readonly write?: (line: string) => void;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Distinct values per label, see {@link createLabelLimit}. */
  readonly labelLimit?: number;
}

/** What was recorded for one set of labels; one document each, because all metrics of a document share its dimensions. */
interface Series {
  readonly labels: Labels;
  readonly values: Map<MetricName, number[]>;
}

/** Measurements kept at most; then they are written at once, so that a host which never flushes does not grow. */
const MOST_PENDING = 10_000;

/**
 * Metrics in CloudWatch's embedded metric format, as JSON lines. Counters are summed up to the flush, gauges keep their
 * last value, each measurement of a histogram is kept. {@link DETAIL_LABELS} are fields of the document, not dimensions.
 *
 * Format: "Specification: Embedded metric format", Amazon CloudWatch User Guide.
 */
export function createEmfMetrics(options: EmfOptions = {}): EmfMetrics {
  const limited = createLabelLimit('system', options.labelLimit);
  const write = options.write ?? ((line) => process.stdout.write(`${line}\n`));
  const now = options.now ?? Date.now;
  let pending = new Map<string, Series>();
  let measurements = 0;

  const seriesFor = (name: MetricName, given: Labels): Series => {
    const labels = limited(name, given);
    const key = JSON.stringify(Object.entries(labels));
    const series = pending.get(key) ?? { labels, values: new Map() };
    pending.set(key, series);
    return series;
  };

  const writeOut = (): void => {
    const written = pending;
    pending = new Map();
    measurements = 0;
    for (const series of written.values()) {
      for (const line of new LogSerializer().serialize(documentOf(series, options, now()))) write(line);
    }
  };

  return {
    increment(name: MetricName, labels: Labels, by = 1) {
      if (!isIncrement(by)) return;
      const { values } = seriesFor(name, labels);
      const sum = (values.get(name)?.[0] ?? 0) + by;
      // Beyond that CloudWatch takes none, and the document would be lost with all that it holds.
      values.set(name, [Math.min(sum, Number.MAX_SAFE_INTEGER)]);
    },
    observe(name: MetricName, value: number, labels: Labels = {}) {
      if (!isMeasurement(value)) return;
      const { values } = seriesFor(name, labels);
      const earlier = values.get(name);
      if (earlier === undefined) values.set(name, [value]);
      else earlier.push(value);
      measurements += 1;
      if (measurements >= MOST_PENDING) writeOut();
    },
    set(name: MetricName, value: number, labels: Labels = {}) {
      if (isMeasurement(value)) seriesFor(name, labels).values.set(name, [value]);
    },
    async flush() {
      writeOut();
    },
  };
}

function documentOf(series: Series, options: EmfOptions, time: number): MetricsContext {
  const document = MetricsContext.empty();
  document.setNamespace(options.namespace ?? DEFAULT_NAMESPACE);
  // Not setTimestamp(): that compares with the clock of this machine.
  document.meta.Timestamp = time;
  const service = options.service === undefined ? {} : { service: options.service };
  const labels = Object.entries(series.labels);
  const dimensions = labels.filter(([label]) => !DETAIL_LABELS.has(label));
  document.setDimensions([{ ...service, ...Object.fromEntries(dimensions) }]);
  for (const [label, value] of labels) document.setProperty(label, value);
  for (const [name, values] of series.values) {
    const unit = definitions.get(name)?.unit;
    for (const value of values) document.putMetric(name, value, unit);
  }
  return document;
}
