import type { Labels } from './label-limit.ts';
import {
  definitions,
  type Exporter,
  isMetricName,
  type MetricDefinition,
  type MetricName,
} from './metric-names.ts';

/** One series of a counter. */
export interface KnownSeries {
  readonly name: MetricName;
  readonly labels: Record<string, string>;
}

/** The counters' series that are known before anything has happened: those of which all labels are. */
export function seriesFromTheStart(exporter: Exporter): KnownSeries[] {
  return [...definitions].flatMap(([name, definition]) => {
    const { type, by } = definition;
    const isKnown = type === 'counter' && by.includes(exporter) && openLabels(definition).length === 0;
    return isKnown ? combinationsOf(name, definition, {}) : [];
  });
}

/** The series that go with one that is counted: `failed` of a name that has been `rotated`. */
export function seriesBeside(exporter: Exporter, name: MetricName, labels: Labels): KnownSeries[] {
  const beside = (definitions.get(name)?.beside ?? []).filter(isMetricName);
  return [name, ...beside].flatMap((one) => {
    const definition = definitions.get(one);
    if (definition === undefined || !definition.by.includes(exporter)) return [];
    return openLabels(definition).length > 0 ? combinationsOf(one, definition, labels) : [];
  });
}

function openLabels({ labels, known = {} }: MetricDefinition): readonly string[] {
  return labels.filter((label) => known[label] === undefined);
}

function combinationsOf(
  name: MetricName,
  { labels, known = {} }: MetricDefinition,
  given: Labels,
): KnownSeries[] {
  let sets: Record<string, string>[] = [{}];
  for (const label of labels) {
    const values = known[label] ?? [given[label] ?? ''];
    sets = sets.flatMap((set) => values.map((value) => ({ ...set, [label]: value })));
  }
  return sets.map((set) => ({ name, labels: set }));
}
