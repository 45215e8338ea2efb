import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type KnownSeries, seriesBeside, seriesFromTheStart } from './known-series.ts';
import { createLabelLimit, type Labels } from './label-limit.ts';
import { definitions, type Exporter, type MetricDefinition, type MetricName } from './metric-names.ts';
import { isIncrement, isMeasurement, type Metrics } from './metrics.ts';

export interface PrometheusMetrics extends Metrics {
  /** All metrics in the text exposition format. */
  text(): Promise<string>;
  /** The media type of {@link PrometheusMetrics.text}. */
  readonly contentType: string;
}

export interface PrometheusOptions {
  /** Distinct values per label, see {@link createLabelLimit}. */
  readonly labelLimit?: number;
  /** Whose counters start at 0, and whose callers are bounded; default `service`. */
  readonly exporter?: Exporter;
}

/** Metrics for a scraper. Each instance has its own registry, so two in one process never mix. */
export function createPrometheusMetrics(options: PrometheusOptions = {}): PrometheusMetrics {
  const { exporter = 'service', labelLimit } = options;
  const limited = createLabelLimit(exporter, labelLimit);
  const registry = new Registry();
  const counters = new Map<MetricName, Counter>();
  const gauges = new Map<MetricName, Gauge>();
  const histograms = new Map<MetricName, Histogram>();
  for (const [name, definition] of definitions) {
    const settings = settingsOf(name, definition, registry);
    if (definition.type === 'counter') counters.set(name, new Counter(settings));
    else if (definition.type === 'gauge') gauges.set(name, gaugeOf(settings));
    else histograms.set(name, new Histogram({ ...settings, buckets: [...(definition.buckets ?? [])] }));
  }

  /** Counted before, under labels that were taken as they are; so it is bounded as the labels are. */
  const series = new Map<string, ReturnType<Counter['labels']>>();
  const startAtZero = (series: readonly KnownSeries[]) => {
    for (const { name, labels } of series) counters.get(name)?.inc(limited(name, labels), 0);
  };
  startAtZero(seriesFromTheStart(exporter));

  return {
    increment(name: MetricName, labels: Labels, by = 1) {
      if (!isIncrement(by)) return;
      const declared = definitions.get(name)?.labels ?? [];
      const key = [name, ...declared.map((label) => labels[label])].join('\n');
      const known = series.get(key);
      if (known !== undefined) return known.inc(by);
      const counted = limited(name, labels);
      startAtZero(seriesBeside(exporter, name, counted));
      const counter = counters.get(name)?.labels(counted);
      counter?.inc(by);
      const isAsGiven = declared.every((label) => counted[label] === labels[label]);
      if (counter !== undefined && isAsGiven) series.set(key, counter);
    },
    observe(name: MetricName, value: number, labels: Labels = {}) {
      if (isMeasurement(value)) histograms.get(name)?.observe(limited(name, labels), value);
    },
    set(name: MetricName, value: number, labels: Labels = {}) {
      if (isMeasurement(value)) gauges.get(name)?.set(limited(name, labels), value);
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

/** Without labels it would be 0 from the start: a scan in 1970, and a Vault that is away, before anybody has looked. */
function gaugeOf(settings: ReturnType<typeof settingsOf>): Gauge {
  const gauge = new Gauge(settings);
  if (settings.labelNames.length === 0) gauge.remove();
  return gauge;
}

function settingsOf(name: MetricName, definition: MetricDefinition, registry: Registry) {
  return { name, help: definition.help, labelNames: [...definition.labels], registers: [registry] };
}
