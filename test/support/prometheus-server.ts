import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { startServer } from '../../lib/host/local/child-process.ts';
import { freePorts } from '../../lib/host/local/free-port.ts';
import { until } from './until.ts';

export interface PrometheusOptions {
  /** The executable. */
  readonly binary: string;
  readonly rulesFile: string;
  /** What it scrapes every second: the address of each job, whose metrics are at `/metrics`. */
  readonly jobs: Readonly<Record<string, string>>;
}

/** A real Prometheus on the loopback interface. */
export interface PrometheusServer {
  /** Series an instant query gives. Throws what Prometheus says of an expression that it cannot evaluate. */
  query(expression: string): Promise<readonly Series[]>;
  /** All series of one metric in the last hour. */
  seriesOf(metric: string): Promise<readonly Labels[]>;
  /** Of each rule, by its name: what its last evaluation came to. */
  ruleHealth(): Promise<ReadonlyMap<string, string>>;
  stop(): Promise<void>;
}

export type Labels = Readonly<Record<string, string>>;
export interface Series {
  readonly labels: Labels;
  readonly value: number;
}

const failure = z.object({ status: z.literal('error'), error: z.string() });
const labels = z.record(z.string(), z.string());
const sample = z.tuple([z.number(), z.string()]);
const queried = z.object({
  data: z.discriminatedUnion('resultType', [
    z.object({
      resultType: z.literal('vector'),
      result: z.array(z.object({ metric: labels, value: sample })),
    }),
    z.object({ resultType: z.literal('scalar'), result: sample }),
  ]),
});
const found = z.object({ data: z.array(labels) });
const ruled = z.object({
  data: z.object({
    groups: z.array(
      z.object({
        rules: z.array(z.object({ name: z.string(), health: z.string(), lastError: z.string().default('') })),
      }),
    ),
  }),
});

/** Starts it in a folder of its own, which goes with it. */
export async function startPrometheus(options: PrometheusOptions): Promise<PrometheusServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-prometheus-'));
  const [port = 0] = await freePorts(1);
  await copyFile(options.rulesFile, path.join(folder, 'rules.yml'));
  await writeFile(path.join(folder, 'prometheus.yml'), configuration(options.jobs));
  const child = await startServer({
    command: options.binary,
    args: [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    env: { HOME: folder },
    cwd: folder,
    logFile: path.join(folder, 'prometheus.log'),
    stopSignal: 'SIGTERM',
    stopWithinMs: 10_000,
  });
  const address = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  const ask = async <T extends z.ZodType>(schema: T, route: string, query: Record<string, string>) => {
    const answer: unknown = await (
      await fetch(`${address}/api/v1/${route}?${new URLSearchParams(query)}`)
    ).json();
    const fault = failure.safeParse(answer);
    if (fault.success) throw new Error(`${fault.data.error}: ${JSON.stringify(query)}`);
    return schema.parse(answer);
  };
  try {
    await until(async () => (await fetch(`${address}/-/ready`).catch(() => undefined))?.ok ?? false, 15_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    query: async (expression) => {
      const { data } = await ask(queried, 'query', { query: expression });
      if (data.resultType === 'scalar') return [{ labels: {}, value: Number(data.result[1]) }];
      return data.result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
    },
    seriesOf: async (metric) => (await ask(found, 'series', { 'match[]': metric })).data,
    ruleHealth: async () => {
      const { groups } = (await ask(ruled, 'rules', {})).data;
      const rules = groups.flatMap((group) => group.rules);
      return new Map(rules.map(({ name, health, lastError }) => [name, health + lastError]));
    },
    stop,
  };
}

/** JSON is YAML. */
function configuration(jobs: Readonly<Record<string, string>>): string {
  return JSON.stringify({
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: ['rules.yml'],
    scrape_configs: Object.entries(jobs).map(([job, address]) => ({
      job_name: job,
      static_configs: [{ targets: [new URL(address).host] }],
    })),
  });
}
