import { describe, expect, it } from 'vitest';
import { FUNCTIONS } from '../../lib/host/identities.ts';
import { definitions } from '../../lib/telemetry/metric-names.ts';
import { alerts, selectorsIn, withoutRecords } from '../telemetry/observability.ts';
import { readProjectFile } from './documents.ts';

/** The part under a heading, up to the next. */
function part(heading: string): string {
  const [, text = ''] = `\n${readProjectFile('docs/metrics.md')}`.split(`\n## ${heading}\n`);
  return text.split('\n## ')[0] ?? '';
}

/** The rows of the table, each cell as what stands in backticks in it. */
const rows = [...part('All metrics').matchAll(/^\| `(\w+)` \|(.*)\|$/gm)].map(([, name = '', rest = '']) => {
  const [type = '', labels = '', by = '', tells = '', alerted = ''] = rest
    .split('|')
    .map((cell) => cell.trim());
  const quoted = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, word = '']) => word);
  return { name, type, labels: quoted(labels), by: by.split(', '), tells, alerts: quoted(alerted) };
});

describe('docs/metrics.md', () => {
  it('has every metric there is, in their order', () => {
    expect(rows.map(({ name }) => name)).toEqual([...definitions.keys()]);
  });

  it.each(rows)('says what $name is, who counts it and which alerts look at it', (row) => {
    const definition = [...definitions].find(([name]) => name === row.name)?.[1];
    expect(row).toMatchObject({
      type: definition?.type,
      labels: definition?.labels,
      by: definition?.by,
      tells: expect.stringMatching(/\w{4}/),
    });
    const looking = alerts.filter(({ expr }) =>
      selectorsIn(withoutRecords(expr)).some(({ metric }) => metric === row.name),
    );
    expect(row.alerts).toEqual(looking.map(({ alert }) => alert));
  });
});

describe('what CloudWatch costs, by docs/metrics.md', () => {
  const text = part('On CloudWatch');
  const services = [...text.matchAll(/^\| `(\w+)` \| (\d+) \| (.*) \|$/gm)].map(
    ([, service = '', count = '', metrics = '']) => ({
      service,
      count: Number(count),
      metrics: [...metrics.matchAll(/`(\w+)` (\d+)/g)].map(([, name = '', times]) => ({
        name,
        times: Number(times),
      })),
    }),
  );
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

  it('is added up', () => {
    expect(services.length).toBeGreaterThan(1);
    for (const { count, metrics } of services) expect(sum(metrics.map(({ times }) => times))).toBe(count);
    expect(text).toContain(`made ${sum(services.map(({ count }) => count))}:`);
  });

  it('is of functions and metrics that there are', () => {
    const names = [...definitions].flatMap(([name, { by }]) => (by.includes('system') ? [String(name)] : []));
    expect(names).toEqual(
      expect.arrayContaining(services.flatMap(({ metrics }) => metrics.map(({ name }) => name))),
    );
    expect([...FUNCTIONS].map(String)).toEqual(
      expect.arrayContaining(services.map(({ service }) => service)),
    );
  });
});
