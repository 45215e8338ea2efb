import type { CounterName, GaugeName, HistogramName, LabelsOf, MetricName } from './metric-names.ts';

/** Labels may be left out where a metric has none. */
export type LabelArguments<Name extends MetricName> = keyof LabelsOf<Name> extends never
  ? [labels?: LabelsOf<Name>]
  : [labels: LabelsOf<Name>];

/**
 * Where the rooms count what they do. A port with three implementations: Prometheus, CloudWatch's embedded metric
 * format, and none. No call ever throws: a number that cannot be recorded (NaN, infinite, a negative increment) is
 * dropped, because counting must not fail what is counted.
 */
export interface Metrics {
  /** Adds `by` (default 1) to a counter. */
  increment<Name extends CounterName>(name: Name, labels: LabelsOf<Name>, by?: number): void;
  /** Records one measurement, in the unit of the metric. */
  observe<Name extends HistogramName>(name: Name, value: number, ...labels: LabelArguments<Name>): void;
  /** Sets a gauge. */
  set<Name extends GaugeName>(name: Name, value: number, ...labels: LabelArguments<Name>): void;
}

/** Whether a counter may be raised by that much. */
export function isIncrement(by: number): boolean {
  return isMeasurement(by) && by >= 0;
}

/** Whether a number may be recorded at all; CloudWatch takes none beyond the safe integers. */
export function isMeasurement(value: number): boolean {
  return Number.isFinite(value) && Math.abs(value) <= Number.MAX_SAFE_INTEGER;
}
