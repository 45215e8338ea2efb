import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../lib/host/local/run-command.ts';
import { findPrometheus } from '../../support/prometheus-binaries.ts';
import { type PrometheusServer, startPrometheus } from '../../support/prometheus-server.ts';
import { until } from '../../support/until.ts';
import {
  alerts,
  dashboard,
  definitionOf,
  filledIn,
  RULES_FILE,
  RULES_TEST_FILE,
  records,
  selectorsIn,
} from '../../telemetry/observability.ts';
import { startWorkingHost, type WorkingHost } from './working-host.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const found = await findPrometheus(process.env);
const binaries = 'missing' in found ? undefined : found;
if ('missing' in found)
  console.warn(`Skipped: rules and dashboard are not tried on a real Prometheus, for ${found.missing}.`);

const panels = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => filledIn(expr)));
const expressions = [...new Set([...[...alerts, ...records].map(({ expr }) => expr), ...panels])];
const metrics = [...new Set(expressions.flatMap(selectorsIn).map(({ metric }) => metric))];

describe.skipIf(binaries === undefined)('on a real Prometheus', () => {
  const promtool = (...args: string[]) => runCommand(binaries?.promtool ?? '', args, { cwd: root, env: {} });
  let ruleTests: ReturnType<typeof promtool>;
  let working: WorkingHost;
  let prometheus: PrometheusServer;

  beforeAll(async () => {
    // Beside the rest, which mostly waits.
    ruleTests = promtool('test', 'rules', RULES_TEST_FILE);
    working = await startWorkingHost();
    prometheus = await startPrometheus({
      binary: binaries?.prometheus ?? '',
      rulesFile: path.join(root, RULES_FILE),
      jobs: { leasekeeper: working.host, 'inference-service': working.service },
    });
    const scraped = async (job: string) =>
      (await prometheus.query(`count_over_time(up{job="${job}"}[1m]) >= 3 and up{job="${job}"} == 1`))
        .length > 0;
    await until(async () => (await scraped('leasekeeper')) && scraped('inference-service'), 20_000);
    await until(
      async () => [...(await prometheus.ruleHealth()).values()].every((health) => health !== 'unknown'),
      10_000,
    );
  }, 60_000);
  afterAll(async () => {
    await prometheus?.stop();
    await working?.[Symbol.asyncDispose]();
  });

  it('the rules are in order', async () => {
    const { code, stdout, stderr } = await promtool('check', 'rules', RULES_FILE);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`SUCCESS: ${alerts.length + records.length} rules found`);
  });

  it('each alert fires when it should, and no other with it', async () => {
    const { code, stdout, stderr } = await ruleTests;
    expect({ code, output: stdout + stderr }).toMatchObject({ code: 0 });
    expect(stdout).toContain('SUCCESS');
  });

  it('all rules are evaluated without a fault', async () => {
    const health = await prometheus.ruleHealth();
    const expected = [...alerts.map(({ alert }) => alert), ...records.map(({ record }) => record)];
    expect(health).toEqual(new Map(expected.map((name) => [name, 'ok'])));
  });

  it.each(expressions)('is understood: %s', async (expression) => {
    await expect(prometheus.query(expression)).resolves.toBeDefined();
  });

  it.each(metrics)('%s is exported, with the labels that are asked for', async (metric) => {
    // Alerts that fire are Prometheus's own series: there are none while all is well.
    if (metric === 'ALERTS') return;
    const series = await prometheus.seriesOf(metric);
    expect(series.length).toBeGreaterThan(0);
    const asked = expressions
      .flatMap(selectorsIn)
      .flatMap((one) => (one.metric === metric ? one.labels : []));
    const declared = definitionOf(metric)?.labels ?? [];
    for (const labels of series)
      expect(Object.keys(labels)).toEqual(expect.arrayContaining([...asked, ...declared]));
  });

  it('has seen the work that was done', async () => {
    const sum = async (selector: string) => (await prometheus.query(`sum(${selector})`))[0]?.value ?? 0;
    const counted = [
      'leasekeeper_lease_renewals_total{outcome="granted"}',
      'leasekeeper_rotations_total{name="app-database",outcome="rotated"}',
      'leasekeeper_rotations_total{name="failing",outcome="failed"}',
      'leasekeeper_rotation_step_seconds_count{step="promote"}',
      'leasekeeper_deliveries_total{outcome="delivered"}',
      'leasekeeper_deliveries_total{outcome="retry"}',
      'leasekeeper_fetches_total{outcome="ok"}',
      'leasekeeper_fetches_total{outcome="denied"}',
      'leasekeeper_vault_requests_total{operation="agenda",outcome="2xx"}',
      'leasekeeper_vault_up',
      'leasekeeper_last_scan_timestamp_seconds',
      'vault_auth_failures_total{job="leasekeeper",method="token"}',
      'vault_secret_requests_total{job="leasekeeper",path="app/static",outcome="ok"}',
      'vault_secret_requests_total{job="leasekeeper",path="refused",outcome="denied"}',
      'vault_secret_requests_total{job="inference-service",path="app/closed",outcome="denied"}',
      'vault_secret_requests_total{job="inference-service",path="database/creds/app",kind="dynamic"}',
      'vault_secret_cache_hits_total{job="inference-service",path="app/static"}',
    ];
    for (const selector of counted) expect(await sum(selector), selector).toBeGreaterThan(0);
    // What has not happened is 0, not missing: its first time is seen.
    for (const selector of [
      'leasekeeper_lease_renewals_total{job="leasekeeper",outcome="lost"}',
      'leasekeeper_agenda_troubles_total{book="leases",kind="shard_full"}',
      'leasekeeper_retire_failures_total{name="app-database"}',
      'leasekeeper_drift_total{what="published_value_changed"}',
      'leasekeeper_acknowledgements_total{job="inference-service",outcome="failed"}',
    ])
      expect(await prometheus.query(`sum(${selector}) == 0`), selector).toHaveLength(1);
  });

  it('exports nothing that is not declared, and of a service only what is its own', async () => {
    for (const job of ['leasekeeper', 'inference-service']) {
      const names = (await prometheus.query(`count by (__name__) ({job="${job}",instance!=""})`)).flatMap(
        ({ labels }) => labels.__name__ ?? [],
      );
      expect(names.length).toBeGreaterThan(8);
      const exporter = job === 'leasekeeper' ? 'system' : 'service';
      for (const name of names.filter((one) => !/^(?:up|scrape_\w+|ALERTS\w*)$/.test(one)))
        expect(definitionOf(name)?.by, name).toContain(exporter);
    }
  });
});
