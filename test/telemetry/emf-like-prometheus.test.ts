import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEmfMetrics } from '../../lib/telemetry/emf-metrics.ts';
import { DETAIL_LABELS, definitions, type MetricName } from '../../lib/telemetry/metric-names.ts';
import type { Metrics } from '../../lib/telemetry/metrics.ts';
import { createPrometheusMetrics } from '../../lib/telemetry/prometheus-metrics.ts';
import { emfReadings, parseEmf, prometheusReadings, type Reading } from './metrics-harness.ts';

/** One thing that was recorded, of any metric, with labels that are good, bad or missing. */
interface Recorded {
  readonly name: MetricName;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Fewer than the limit: which come too late for it is not the same in both, because one has series before anything has happened. */
const anyLabel = fc.constantFrom('ok', 'stale', 'denied', 'a', 'b', 'c', 'd', 'café\n', '', 'x'.repeat(300));
const anyValue = fc.oneof(
  fc.integer({ min: -2, max: 1_000 }),
  fc.constantFrom(0.25, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_VALUE),
);
const anyRecorded: fc.Arbitrary<Recorded> = fc.constantFrom(...definitions).chain(([name, { labels }]) =>
  fc.record({
    name: fc.constant(name),
    labels: fc.record(Object.fromEntries(labels.map((label) => [label, anyLabel]))),
    value: anyValue,
  }),
);

function record(metrics: Metrics, { name, labels, value }: Recorded): void {
  const type = definitions.get(name)?.type;
  if (type === 'counter') Reflect.apply(metrics.increment, metrics, [name, labels, value]);
  else if (type === 'gauge') Reflect.apply(metrics.set, metrics, [name, value, labels]);
  else Reflect.apply(metrics.observe, metrics, [name, value, labels]);
}

/** In one order; counters at 0 are there from the start in one of the two. */
function comparable(name: MetricName, readings: readonly Reading[]) {
  const isCounter = definitions.get(name)?.type === 'counter';
  const isHistogram = definitions.get(name)?.type === 'histogram';
  return readings
    .filter(({ value }) => !isCounter || value !== 0)
    .map(({ labels, value, count }) => {
      const series = JSON.stringify(Object.entries(labels).toSorted());
      // Sums of fractions in another order.
      return { series, value: Math.round(value * 1_000), ...(isHistogram ? { count } : {}) };
    })
    .toSorted((a, b) => (a.series < b.series ? -1 : 1));
}

/** What both say of the same. */
async function bothOf(events: readonly Recorded[]) {
  const lines: string[] = [];
  const emf = createEmfMetrics({ now: () => 0, write: (line) => lines.push(line) });
  const prometheus = createPrometheusMetrics({ exporter: 'system' });
  for (const event of events) {
    record(emf, event);
    record(prometheus, event);
  }
  await emf.flush();
  return { documents: lines.map(parseEmf), text: await prometheus.text() };
}

describe('the embedded metric format, beside Prometheus text of the same', () => {
  it('has the same names, labels and values, in documents that CloudWatch takes', async () => {
    const property = fc.asyncProperty(fc.array(anyRecorded, { maxLength: 300 }), async (events) => {
      const { documents, text } = await bothOf(events);
      for (const [name] of definitions) {
        const readings = documents.flatMap((document) => emfReadings(document, name));
        expect(comparable(name, readings), name).toEqual(comparable(name, prometheusReadings(text, name)));
      }
      const names = documents.flatMap(({ _aws }) => _aws.CloudWatchMetrics.flatMap(({ Metrics }) => Metrics));
      for (const { Name, Unit } of names) {
        expect(text).toContain(`# TYPE ${Name} `);
        expect(Unit).toBe(Name.endsWith('_seconds') ? 'Seconds' : 'Count');
      }
    });
    await fc.assert(property, { numRuns: 40 });
  });

  it.each([...definitions])(
    'has the labels of %s as dimensions, but for those of many values',
    async (name, definition) => {
      const labels = Object.fromEntries(definition.labels.map((label) => [label, 'ok']));
      const { documents } = await bothOf([{ name, labels, value: 1 }]);
      const [dimensions] = documents.flatMap(({ _aws }) => _aws.CloudWatchMetrics[0]?.Dimensions ?? []);
      expect(dimensions).toEqual(definition.labels.filter((label) => !DETAIL_LABELS.has(label)));
      expect(documents).toMatchObject([labels]);
    },
  );
});
