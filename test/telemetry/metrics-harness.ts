import * as z from 'zod';
import { createEmfMetrics } from '../../lib/telemetry/emf-metrics.ts';
import type { Metrics } from '../../lib/telemetry/metrics.ts';
import { noMetrics } from '../../lib/telemetry/no-metrics.ts';
import { createPrometheusMetrics } from '../../lib/telemetry/prometheus-metrics.ts';

/** What an implementation says of one series: the value of a counter or gauge, or the sum and count of a histogram. */
export interface Reading {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  readonly count?: number;
}

export interface Harness {
  readonly metrics: Metrics;
  /** All series of one metric. */
  readonly read: (name: string) => Promise<Reading[]>;
}

export interface Implementation {
  readonly title: string;
  /** False for the one that counts nothing. */
  readonly records: boolean;
  readonly create: (labelLimit?: number) => Harness;
}

const documentSchema = z.looseObject({
  _aws: z.object({
    Timestamp: z.number(),
    CloudWatchMetrics: z
      .array(
        z.object({
          Namespace: z.string(),
          Dimensions: z.array(z.array(z.string())),
          Metrics: z.array(z.object({ Name: z.string(), Unit: z.string() })),
        }),
      )
      .length(1),
  }),
});

export type EmfDocument = z.infer<typeof documentSchema>;

export function parseEmf(line: string): EmfDocument {
  return documentSchema.parse(JSON.parse(line));
}

const numbersSchema = z.union([z.number().transform((one) => [one]), z.array(z.number())]);

function readingsOf(document: EmfDocument, name: string): Reading[] {
  const values = document[name];
  if (values === undefined) return [];
  const numbers = numbersSchema.parse(values);
  const metrics = new Set(document._aws.CloudWatchMetrics[0]?.Metrics.map((metric) => metric.Name));
  const fields = Object.entries(document).filter(([field]) => field !== '_aws' && !metrics.has(field));
  const labels = z.record(z.string(), z.string()).parse(Object.fromEntries(fields));
  const sum = numbers.reduce((total, number) => total + number, 0);
  return [{ labels, value: sum, count: numbers.length }];
}

function emfHarness(labelLimit?: number): Harness {
  const lines: string[] = [];
  const limit = labelLimit === undefined ? {} : { labelLimit };
  const metrics = createEmfMetrics({ write: (line) => lines.push(line), now: () => 0, ...limit });
  return {
    metrics,
    async read(name) {
      await metrics.flush();
      return lines.flatMap((line) => readingsOf(parseEmf(line), name));
    },
  };
}

/** `name{a="b"} 3` of the text exposition format. */
const SAMPLE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;

function samplesOf(text: string, name: string): Reading[] {
  return text.split('\n').flatMap((line) => {
    const [, found, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (found !== name) return [];
    const pairs = [...labels.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, label, text]) => [label, text]);
    return [
      { labels: z.record(z.string(), z.string()).parse(Object.fromEntries(pairs)), value: Number(value) },
    ];
  });
}

function prometheusHarness(labelLimit?: number): Harness {
  const metrics = createPrometheusMetrics(labelLimit === undefined ? {} : { labelLimit });
  return {
    metrics,
    async read(name) {
      const text = await metrics.text();
      if (!text.includes(`# TYPE ${name} histogram`)) return samplesOf(text, name);
      const counts = samplesOf(text, `${name}_count`).map((sample) => sample.value);
      return samplesOf(text, `${name}_sum`).map((sum, index) => ({ ...sum, count: counts[index] ?? 0 }));
    },
  };
}

export const implementations: readonly Implementation[] = [
  { title: 'Prometheus', records: true, create: prometheusHarness },
  { title: 'embedded metric format', records: true, create: emfHarness },
  { title: 'no metrics', records: false, create: () => ({ metrics: noMetrics, read: async () => [] }) },
];
