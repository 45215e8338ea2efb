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
});
