import { definitions, type Exporter, type MetricName } from './metric-names.ts';

/** Distinct values one label of one metric may take before further ones count as {@link OTHER}. */
export const DEFAULT_LABEL_LIMIT = 200;

/** Stands for every value that came after the limit was reached. */
export const OTHER = 'other';

/** Stands for what somebody asked for, and nobody has yet been given under that name. */
export const REFUSED = 'refused';

const LONGEST_VALUE = 200;

export type Labels = Readonly<Record<string, string>>;

/** Turns the labels a caller gave into those that are recorded. */
export type LabelLimit = (name: MetricName, labels: Labels) => Record<string, string>;

/**
 * Keeps labels bounded: callers choose paths, and each new one would be a new series for ever. A value that has been
 * counted under its own name stays so; only new ones become `other`. In the system a metric with `proven` takes a new value
 * of that label only with an outcome that proves it: else a stranger, who is refused everything, could fill the limit with
 * paths that do not exist. A service asks for its own paths only. Values are cut to printable ASCII, which is all that
 * CloudWatch takes.
 */
export function createLabelLimit(exporter: Exporter, limit: number = DEFAULT_LABEL_LIMIT): LabelLimit {
  const seen = new Map<string, Set<string>>();

  const bounded = (key: string, value: string): string => {
    const values = seen.get(key) ?? new Set<string>();
    seen.set(key, values);
    if (values.has(value)) return value;
    if (values.size >= limit) return OTHER;
    values.add(value);
    return value;
  };

  return (name, labels) => {
    const { labels: declared, proven } = definitions.get(name) ?? { labels: [] };
    return Object.fromEntries(
      declared.map((label) => {
        const key = `${name} ${label}`;
        const value = clean(labels[label]);
        const isOpen = exporter === 'system' && proven?.label === label;
        const isProven = !isOpen || proven.outcomes.includes(labels.outcome ?? '');
        return [label, isProven || seen.get(key)?.has(value) ? bounded(key, value) : REFUSED];
      }),
    );
  };
}

function clean(value: unknown): string {
  const text = value === undefined ? '' : String(value);
  return (
    text
      .slice(0, LONGEST_VALUE)
      .replaceAll(/[^\x20-\x7e]/g, '_')
      .trim() || 'none'
  );
}
