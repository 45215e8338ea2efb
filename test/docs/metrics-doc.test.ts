import { describe, expect, it } from 'vitest';
import { definitions } from '../../lib/telemetry/metric-names.ts';
import { alerts, selectorsIn, withoutRecords } from '../telemetry/observability.ts';
import { readProjectFile } from './documents.ts';

/** The rows of the table, each cell as what stands in backticks in it. */
const rows = [...readProjectFile('docs/metrics.md').matchAll(/^\| `(\w+)` \|(.*)\|$/gm)].map(
  ([, name = '', rest = '']) => {
    const [type = '', labels = '', by = '', tells = '', alerted = ''] = rest
      .split('|')
      .map((cell) => cell.trim());
    const quoted = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, word = '']) => word);
    return { name, type, labels: quoted(labels), by: by.split(', '), tells, alerts: quoted(alerted) };
  },
);

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
