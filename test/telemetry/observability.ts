import * as yaml from 'yaml';
import * as z from 'zod';
import { definitions, isMetricName, type MetricDefinition } from '../../lib/telemetry/metric-names.ts';
import { readProjectFile } from '../docs/documents.ts';

export const RULES_FILE = 'observability/prometheus/leasekeeper.rules.yml';
export const RULES_TEST_FILE = 'observability/prometheus/leasekeeper.rules.test.yml';
export const DASHBOARD_FILE = 'observability/grafana/leasekeeper.json';

const alertSchema = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'info']) }),
  annotations: z.strictObject({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
});
const recordSchema = z.strictObject({ record: z.string(), expr: z.string() });
const rulesSchema = z.object({
  groups: z.array(z.object({ name: z.string(), rules: z.array(z.union([alertSchema, recordSchema])) })),
});

export type AlertRule = z.infer<typeof alertSchema>;
export type RecordRule = z.infer<typeof recordSchema>;

const rules = rulesSchema.parse(yaml.parse(readProjectFile(RULES_FILE))).groups.flatMap(({ rules }) => rules);

export const alerts: readonly AlertRule[] = rules.filter((rule) => 'alert' in rule);
export const records: readonly RecordRule[] = rules.filter((rule) => 'record' in rule);

const datasource = z.object({ type: z.literal('prometheus'), uid: z.literal(`$\{datasource}`) });
const panelSchema = z.object({
  id: z.int(),
  type: z.enum(['row', 'stat', 'timeseries', 'table']),
  title: z.string().min(1),
  description: z.string().optional(),
  datasource: datasource.optional(),
  gridPos: z.object({ x: z.int().min(0), y: z.int().min(0), w: z.int().max(24), h: z.int().min(1) }),
  targets: z.array(z.object({ refId: z.string(), expr: z.string().min(1), datasource })).default([]),
});
const dashboardSchema = z.object({
  uid: z.string().min(1),
  title: z.string().min(1),
  schemaVersion: z.int().min(36),
  time: z.object({ from: z.string(), to: z.string() }),
  templating: z.object({
    list: z.array(z.object({ name: z.string(), type: z.string(), query: z.unknown() })),
  }),
  panels: z.array(panelSchema),
});

export const dashboard = dashboardSchema.parse(JSON.parse(readProjectFile(DASHBOARD_FILE)));

/** What Grafana would put in the place of its variables: everything, by the minute. */
export function filledIn(expression: string): string {
  return expression.replaceAll('$service', '.*').replaceAll('$__rate_interval', '1m');
}

/** A metric that an expression selects, with the labels it is selected by. */
export interface Selector {
  readonly metric: string;
  readonly labels: readonly string[];
}

const KEYWORDS: ReadonlySet<string> = new Set(['or', 'and', 'unless', 'bool', 'offset']);
const LISTS = /\b(?:by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)/g;

/** Every name in an expression that stands for a series: what is no function, no keyword and no label. */
export function selectorsIn(expression: string): Selector[] {
  const bare = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\[[^\]]*\]/g, '')
    .replace(LISTS, ' ');
  return [...bare.matchAll(/(?<![\w:])([a-zA-Z_:][\w:]*)\s*(\(|\{([^}]*)\})?/g)].flatMap(
    ([, metric = '', after = '', matchers = '']) => {
      if (after === '(' || KEYWORDS.has(metric)) return [];
      return [
        { metric, labels: [...matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, name = '']) => name) },
      ];
    },
  );
}

/** Labels by which an expression groups or joins. */
export function groupedLabelsIn(expression: string): string[] {
  return [...expression.matchAll(LISTS)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((label) => label.trim())
      .filter((label) => label !== ''),
  );
}

/** The declared metric that a series belongs to; a histogram has three kinds of series. */
export function definitionOf(series: string): MetricDefinition | undefined {
  const histogram = series.replace(/_(?:bucket|sum|count)$/, '');
  if (isMetricName(series)) return definitions.get(series);
  const definition = isMetricName(histogram) ? definitions.get(histogram) : undefined;
  return definition?.type === 'histogram' ? definition : undefined;
}

/** An expression with recorded series replaced by what they record. */
export function withoutRecords(expression: string): string {
  return records.reduce((text, { record, expr }) => text.replaceAll(record, `(${expr})`), expression);
}
