import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { createLabelLimit, type Labels } from './label-limit.ts';
import { definitions, type MetricDefinition, type MetricName } from './metric-names.ts';
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
}

/** Metrics for a scraper. Each instance has its own registry, so two in one process never mix. */
export function createPrometheusMetrics(options: PrometheusOptions = {}): PrometheusMetrics {
  const limited = createLabelLimit(options.labelLimit);
  const registry = new Registry();
  const counters = new Map<MetricName, Counter>();
  const gauges = new Map<MetricName, Gauge>();
  const histograms = new Map<MetricName, Histogram>();
  for (const [name, definition] of definitions) {
    const settings = settingsOf(name, definition, registry);
    if (definition.type === 'counter') counters.set(name, new Counter(settings));
    else if (definition.type === 'gauge') gauges.set(name, new Gauge(settings));
    else histograms.set(name, new Histogram({ ...settings, buckets: [...(definition.buckets ?? [])] }));
  }

  return {
    increment(name: MetricName, labels: Labels, by = 1) {
      if (isIncrement(by)) counters.get(name)?.inc(limited(name, labels), by);
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

function settingsOf(name: MetricName, definition: MetricDefinition, registry: Registry) {
  return { name, help: definition.help, labelNames: [...definition.labels], registers: [registry] };
}
