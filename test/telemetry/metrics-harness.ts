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

const valueSchema = z.union([z.number(), z.array(z.number()).min(1).max(100)]);
/** Printable ASCII, and not blank. */
const dimensionSchema = z.string().regex(/^(?=.*[!-~])[ -~]{1,1024}$/);

/** "Specification: Embedded metric format", Amazon CloudWatch User Guide: what each document must be, and that we write one set of metrics in each. */
const documentSchema = z
  .looseObject({
    _aws: z.strictObject({
      Timestamp: z.int().nonnegative(),
      CloudWatchMetrics: z
        .array(
          z.strictObject({
            Namespace: z.string().min(1).max(255),
            Dimensions: z.array(z.array(z.string().min(1).max(250)).max(30)).length(1),
            Metrics: z
              .array(
                z.strictObject({ Name: z.string().min(1).max(1_024), Unit: z.enum(['Count', 'Seconds']) }),
              )
              .min(1)
              .max(100),
          }),
        )
        .length(1),
    }),
  })
  .superRefine((document, { addIssue }) => {
    for (const { Dimensions, Metrics } of document._aws.CloudWatchMetrics) {
      const names = [...Dimensions.flat(), ...Metrics.map(({ Name }) => Name)];
      if (new Set(names).size < names.length) addIssue('a name has two meanings');
      for (const name of Dimensions.flat())
        if (!dimensionSchema.safeParse(document[name]).success) addIssue(`no dimension: ${name}`);
      for (const { Name } of Metrics)
        if (!valueSchema.safeParse(document[Name]).success) addIssue(`no metric: ${Name}`);
    }
  });

/** A line longer than that is cut in two ("CloudWatch Logs quotas": 1 MB, of which we leave much). */
const LONGEST_LINE = 256 * 1_024;

export type EmfDocument = z.infer<typeof documentSchema>;

/** Throws for what CloudWatch would not take metrics from. */
export function parseEmf(line: string): EmfDocument {
  if (line.length > LONGEST_LINE || line.includes('\n')) throw new Error('CloudWatch would cut this line.');
  return documentSchema.parse(JSON.parse(line));
}

const numbersSchema = z.union([z.number().transform((one) => [one]), z.array(z.number())]);

/** What a document says of a metric. */
export function emfReadings(document: EmfDocument, name: string): Reading[] {
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
      return lines.flatMap((line) => emfReadings(parseEmf(line), name));
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

/** What Prometheus text says of a metric. */
export function prometheusReadings(text: string, name: string): Reading[] {
  if (!text.includes(`# TYPE ${name} histogram`)) return samplesOf(text, name);
  const counts = samplesOf(text, `${name}_count`).map((sample) => sample.value);
  return samplesOf(text, `${name}_sum`).map((sum, index) => ({ ...sum, count: counts[index] ?? 0 }));
}

function prometheusHarness(labelLimit?: number): Harness {
  const metrics = createPrometheusMetrics(labelLimit === undefined ? {} : { labelLimit });
  return {
    metrics,
    read: async (name) => prometheusReadings(await metrics.text(), name),
  };
}

export const implementations: readonly Implementation[] = [
  { title: 'Prometheus', records: true, create: prometheusHarness },
  { title: 'embedded metric format', records: true, create: emfHarness },
  { title: 'no metrics', records: false, create: () => ({ metrics: noMetrics, read: async () => [] }) },
];
