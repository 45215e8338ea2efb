import { describe, expect, it } from 'vitest';
import * as yaml from 'yaml';
import * as z from 'zod';
import { definitions } from '../../lib/telemetry/metric-names.ts';
import { anchorsOf, readProjectFile } from '../docs/documents.ts';
import {
  alerts,
  dashboard,
  definitionOf,
  filledIn,
  groupedLabelsIn,
  RULES_TEST_FILE,
  records,
  selectorsIn,
  withoutRecords,
} from './observability.ts';

/** Labels that Prometheus itself gives. */
const SCRAPED = ['job', 'instance'];
const ALERT_LABELS = ['alertname', 'alertstate', 'severity', ...SCRAPED];

const targets = dashboard.panels.flatMap(({ title, targets }) =>
  targets.map(({ refId, expr }) => ({ where: `panel ${title} ${refId}`, expr: filledIn(expr) })),
);
const expressions = [
  ...alerts.map(({ alert, expr }) => ({ where: `alert ${alert}`, expr })),
  ...records.map(({ record, expr }) => ({ where: `record ${record}`, expr })),
  ...targets,
];

function labelsOf(series: string): readonly string[] | undefined {
  if (series === 'ALERTS') return ALERT_LABELS;
  const record = records.find((rule) => rule.record === series);
  if (record !== undefined) return series.slice(0, series.indexOf(':')).split('_');
  const definition = definitionOf(series);
  if (definition === undefined) return undefined;
  return [...definition.labels, ...SCRAPED, ...(definition.type === 'histogram' ? ['le'] : [])];
}

describe('selectorsIn', () => {
  it('finds metrics and the labels they are selected by, and nothing else', () => {
    const expr = `sum by (job, le) (rate(a_total{x="b{c}",y!~"d"}[5m])) / on (job) group_left () 2 * b:c offset 5m
      unless time() - max(d) > 1e3 or vector(0)`;

    expect(selectorsIn(expr)).toEqual([
      { metric: 'a_total', labels: ['x', 'y'] },
      { metric: 'b:c', labels: [] },
      { metric: 'd', labels: [] },
    ]);
    expect(groupedLabelsIn(expr)).toEqual(['job', 'le', 'job']);
  });
});

describe.each(expressions)('$where', ({ expr }) => {
  it('selects metrics that there are, by labels that they have', () => {
    const selectors = selectorsIn(expr);
    expect(selectors.length).toBeGreaterThan(0);
    for (const { metric, labels } of selectors) {
      expect(labelsOf(metric), metric).toBeDefined();
      expect(labelsOf(metric), metric).toEqual(expect.arrayContaining([...labels]));
    }
  });

  it('groups by labels that one of them has', () => {
    const all = selectorsIn(expr).flatMap(({ metric }) => labelsOf(metric) ?? []);
    expect(all).toEqual(expect.arrayContaining(groupedLabelsIn(expr)));
  });
});

describe('the recorded series', () => {
  it.each(records)('$record is named for the labels it keeps', ({ record, expr }) => {
    const level = record.slice(0, record.indexOf(':')).split('_');
    expect(new Set(groupedLabelsIn(expr))).toEqual(new Set(level));
  });

  it.each(records)('$record is used', ({ record }) => {
    expect(expressions.filter(({ expr }) => expr.includes(record)).length).toBeGreaterThan(0);
  });
});

const testSchema = z.object({
  tests: z.array(
    z.object({
      promql_expr_test: z.array(
        z.object({ expr: z.string(), exp_samples: z.array(z.object({ labels: z.string() })) }),
      ),
    }),
  ),
});
const tested = testSchema
  .parse(yaml.parse(readProjectFile(RULES_TEST_FILE)))
  .tests.map(({ promql_expr_test: steps }) =>
    steps.map(({ exp_samples }) => exp_samples.map(({ labels }) => /alertname="(\w+)"/.exec(labels)?.[1])),
  );

describe.each(alerts)('$alert', ({ alert, expr, annotations }) => {
  it('sends whoever is woken to a part of the runbook that names it', () => {
    const [file = '', anchor = ''] = annotations.runbook_url.split('#');
    const runbook = readProjectFile(file);
    expect(anchorsOf(runbook)).toContain(anchor);
    const part = runbook.split(/^(?=## )/m).find((one) => anchorsOf(one).has(anchor));
    expect(part).toContain(`\`${alert}\``);
  });

  it('is tested: in one test it does not fire and then does', () => {
    const changes = tested.filter(
      (steps) =>
        steps.some((firing) => firing.includes(alert)) && steps.some((firing) => !firing.includes(alert)),
    );
    expect(changes.length).toBeGreaterThan(0);
  });

  it('tells only of labels that its expression keeps', () => {
    const text = JSON.stringify(annotations);
    const named = [...text.matchAll(/\$labels\.(\w+)/g)].map(([, label = '']) => label);
    expect(['job', ...groupedLabelsIn(withoutRecords(expr))]).toEqual(expect.arrayContaining(named));
  });
});

describe('the dashboard', () => {
  it('has a variable for the data source and one for the service', () => {
    expect(dashboard.templating.list).toEqual([
      expect.objectContaining({ name: 'datasource', type: 'datasource', query: 'prometheus' }),
      expect.objectContaining({ name: 'service', type: 'query' }),
    ]);
  });

  it('says in each panel what it shows, of the services that are chosen', () => {
    for (const { type, title, description, targets } of dashboard.panels) {
      if (type === 'row') continue;
      expect(description, title).toMatch(/\w{3}/);
      expect(targets.length, title).toBeGreaterThan(0);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
      for (const { expr } of targets) {
        for (const { metric, labels } of selectorsIn(expr)) expect(labels, metric).toContain('job');
      }
    }
  });

  it('shows every metric that there is', () => {
    const shown = targets.flatMap(({ expr }) =>
      selectorsIn(withoutRecords(expr)).map(({ metric }) => metric),
    );
    const names = new Set(shown.map((metric) => metric.replace(/_bucket$/, '')));
    expect([...definitions.keys()].filter((name) => !names.has(name))).toEqual([]);
  });

  it('lets no panel lie over another', () => {
    const cells = dashboard.panels.flatMap(({ id, gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => ({
        id,
        cell: `${x + (cell % w)},${y + Math.floor(cell / w)}`,
      })),
    );
    expect(new Set(cells.map(({ cell }) => cell)).size).toBe(cells.length);
    expect(Math.max(...dashboard.panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });

  it('links to parts of the runbook that there are', () => {
    const headings = readProjectFile('docs/runbook.md');
    const named = dashboard.panels.flatMap(
      ({ description = '' }) => /Runbook: (.+?)\.$/.exec(description)?.[1] ?? [],
    );
    expect(named.length).toBeGreaterThan(3);
    for (const heading of named) expect(headings).toContain(`\n## ${heading}\n`);
  });
});
