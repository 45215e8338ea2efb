import { describe, expect, it } from 'vitest';
import { definitions } from '../../lib/telemetry/metric-names.ts';
import { createPrometheusMetrics } from '../../lib/telemetry/prometheus-metrics.ts';

describe('createPrometheusMetrics', () => {
  it('declares every metric before anything is recorded', async () => {
    const text = await createPrometheusMetrics().text();

    for (const [name, { type, help }] of definitions) {
      expect(text).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`);
    }
  });

  it('has the media type of the text format', () => {
    expect(createPrometheusMetrics().contentType).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  it('sorts measurements into buckets', async () => {
    const metrics = createPrometheusMetrics();
    for (const seconds of [0.2, 0.2, 45])
      metrics.observe('leasekeeper_rotation_step_seconds', seconds, { step: 'apply' });
    const text = await metrics.text();

    expect(text).toContain('leasekeeper_rotation_step_seconds_bucket{le="0.1",step="apply"} 0\n');
    expect(text).toContain('leasekeeper_rotation_step_seconds_bucket{le="0.25",step="apply"} 2\n');
    expect(text).toContain('leasekeeper_rotation_step_seconds_bucket{le="60",step="apply"} 3\n');
  });

  it('stays within 200 values for a label by default', async () => {
    const metrics = createPrometheusMetrics();
    for (let path = 0; path < 1_000; path += 1)
      metrics.increment('vault_secret_cache_hits_total', { path: `p${path}` });
    const text = await metrics.text();

    expect(text.match(/^vault_secret_cache_hits_total\{/gm)).toHaveLength(201);
    expect(text).toContain('vault_secret_cache_hits_total{path="other"} 800\n');
  });

  it('starts its counters at 0 where it knows their labels, those of its own host only', async () => {
    const system = await createPrometheusMetrics({ exporter: 'system' }).text();
    const service = await createPrometheusMetrics().text();

    for (const text of [system, service]) {
      expect(text).toContain('leasekeeper_lease_renewals_total{outcome="failed"} 0\n');
      expect(text).toContain('vault_auth_failures_total{method="kubernetes",reason="vault_denied"} 0\n');
    }
    expect(system).toContain('leasekeeper_vault_requests_total{operation="lease",outcome="no_answer"} 0\n');
    expect(service).not.toContain('leasekeeper_vault_requests_total{');
    expect(service).toContain('leasekeeper_acknowledgements_total{outcome="failed"} 0\n');
    expect(system).not.toContain('leasekeeper_acknowledgements_total{');
  });

  it('sets no gauge before its value is known', async () => {
    const text = await createPrometheusMetrics({ exporter: 'system' }).text();

    expect(text).not.toMatch(/^leasekeeper_vault_up/m);
    expect(text).not.toMatch(/^leasekeeper_agenda_due\{/m);
  });

  it('starts the failures of a name at 0 when it is first counted', async () => {
    const metrics = createPrometheusMetrics({ exporter: 'system' });
    metrics.increment('leasekeeper_rotations_total', { name: 'nvidia', outcome: 'rotated' });
    const text = await metrics.text();

    expect(text).toContain('leasekeeper_rotations_total{name="nvidia",outcome="rotated"} 1\n');
    expect(text).toContain('leasekeeper_rotations_total{name="nvidia",outcome="failed"} 0\n');
    expect(text.match(/^leasekeeper_rotations_total\{/gm)).toHaveLength(2);
    expect(text).toContain('leasekeeper_retire_failures_total{name="nvidia"} 0\n');
  });

  it('starts the cache hits of a path at 0 in a service, which has a cache', async () => {
    const asked = async (exporter: 'system' | 'service') => {
      const metrics = createPrometheusMetrics({ exporter });
      metrics.increment('vault_secret_requests_total', { path: 'a', kind: 'static', outcome: 'ok' });
      return metrics.text();
    };

    expect(await asked('service')).toContain('vault_secret_cache_hits_total{path="a"} 0\n');
    expect(await asked('system')).not.toContain('vault_secret_cache_hits_total{');
  });
});
