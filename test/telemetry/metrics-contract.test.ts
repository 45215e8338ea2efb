import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { definitions, isMetricName } from '../../lib/telemetry/metric-names.ts';
import { implementations, type Reading } from './metrics-harness.ts';

/** Leaves out what only some implementations say of a series. */
function values(readings: Reading[]) {
  return readings.map(({ labels, value }) => ({ labels, value }));
}

describe.each(implementations)('the contract of Metrics: $title', ({ records, create }) => {
  const recorded = (...readings: { labels: Record<string, string>; value: number }[]) =>
    records ? readings : [];

  it('adds up a counter, one series for each set of labels', async () => {
    const { metrics, read } = create();
    metrics.increment('vault_secret_requests_total', { path: 'a', kind: 'static', outcome: 'ok' });
    metrics.increment('vault_secret_requests_total', { path: 'a', kind: 'static', outcome: 'ok' }, 2.5);
    metrics.increment('vault_secret_requests_total', { path: 'a', kind: 'static', outcome: 'denied' }, 0);
    metrics.increment('vault_secret_requests_total', { path: 'b', kind: 'static', outcome: 'ok' });

    expect(values(await read('vault_secret_requests_total'))).toEqual(
      recorded(
        { labels: { path: 'a', kind: 'static', outcome: 'ok' }, value: 3.5 },
        { labels: { path: 'a', kind: 'static', outcome: 'denied' }, value: 0 },
        { labels: { path: 'b', kind: 'static', outcome: 'ok' }, value: 1 },
      ),
    );
  });

  it('keeps the last value of a gauge', async () => {
    const { metrics, read } = create();
    metrics.set('leasekeeper_agenda_due', 7, { book: 'leases' });
    metrics.set('leasekeeper_agenda_due', 3, { book: 'leases' });
    metrics.set('leasekeeper_agenda_due', 1, { book: 'rotations' });
    metrics.set('leasekeeper_last_scan_timestamp_seconds', 2);

    expect(values(await read('leasekeeper_agenda_due'))).toEqual(
      recorded({ labels: { book: 'leases' }, value: 3 }, { labels: { book: 'rotations' }, value: 1 }),
    );
    expect(values(await read('leasekeeper_last_scan_timestamp_seconds'))).toEqual(
      recorded({ labels: {}, value: 2 }),
    );
  });

  it('keeps count and sum of a histogram', async () => {
    const { metrics, read } = create();
    for (const seconds of [0.5, 2, 4])
      metrics.observe('leasekeeper_rotation_step_seconds', seconds, { step: 'test' });

    expect(await read('leasekeeper_rotation_step_seconds')).toEqual(
      records ? [{ labels: { step: 'test' }, value: 6.5, count: 3 }] : [],
    );
  });

  it('drops a number it cannot record, and never throws', async () => {
    const { metrics, read } = create();
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_VALUE]) {
      metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' }, bad);
      metrics.observe('leasekeeper_rotation_step_seconds', bad, { step: 'test' });
      metrics.set('leasekeeper_agenda_due', bad, { book: 'leases' });
    }
    metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' }, -1);
    metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' });

    expect(values(await read('leasekeeper_fetches_total'))).toEqual(
      recorded({ labels: { outcome: 'ok' }, value: 1 }),
    );
    expect(await read('leasekeeper_rotation_step_seconds')).toEqual([]);
    expect(await read('leasekeeper_agenda_due')).toEqual([]);
  });

  it('counts label values beyond the limit as other, for each label of each metric by itself', async () => {
    const { metrics, read } = create(2);
    for (const path of ['a', 'b', 'c', 'd', 'a'])
      metrics.increment('vault_secret_cache_hits_total', { path });
    for (const outcome of ['a', 'b']) metrics.increment('leasekeeper_fetches_total', { outcome });
    metrics.increment('leasekeeper_deliveries_total', { outcome: 'c' });

    expect(values(await read('vault_secret_cache_hits_total'))).toEqual(
      recorded(
        { labels: { path: 'a' }, value: 2 },
        { labels: { path: 'b' }, value: 1 },
        { labels: { path: 'other' }, value: 2 },
      ),
    );
    expect(values(await read('leasekeeper_deliveries_total'))).toEqual(
      recorded({ labels: { outcome: 'c' }, value: 1 }),
    );
  });

  it('takes label values that a backend would refuse, and no label it does not know', async () => {
    const { metrics, read } = create();
    const stray: { path: string } = Object({ path: 'café\n', token: 'x' });
    metrics.increment('vault_secret_cache_hits_total', stray);
    metrics.increment('vault_secret_cache_hits_total', { path: '' });
    metrics.increment('vault_secret_cache_hits_total', { path: 'x'.repeat(5_000) });

    expect(values(await read('vault_secret_cache_hits_total'))).toEqual(
      recorded(
        { labels: { path: 'caf__' }, value: 1 },
        { labels: { path: 'none' }, value: 1 },
        { labels: { path: 'x'.repeat(200) }, value: 1 },
      ),
    );
  });

  it('shares nothing with another instance', async () => {
    const [one, other] = [create(), create()];
    one.metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' });

    expect(await other.read('leasekeeper_fetches_total')).toEqual([]);
  });
});

describe('the table of metrics', () => {
  it('has the counters the services document', () => {
    const documented = [
      'vault_secret_requests_total',
      'vault_secret_cache_hits_total',
      'vault_lease_renewal_errors_total',
      'vault_auth_failures_total',
    ];
    const counters = [...definitions].flatMap(([name, { type }]) => (type === 'counter' ? [name] : []));

    expect(counters).toEqual(expect.arrayContaining(documented));
  });

  it.each([...definitions])('follows the naming rules: %s', (name, definition) => {
    expect(name).toMatch(/^(vault|leasekeeper)_[a-z_]+$/);
    expect(name.endsWith('_total')).toBe(definition.type === 'counter');
    expect(name.endsWith('_seconds')).toBe(definition.unit === 'Seconds');
    expect(definition.type === 'histogram').toBe(definition.buckets !== undefined);
    const own = [...Object.keys(definition.known ?? {}), definition.proven?.label ?? []].flat();
    expect(definition.labels).toEqual(expect.arrayContaining(own));
    expect(definition.by.length).toBeGreaterThan(0);
    for (const beside of definition.beside ?? []) {
      const { type, labels } = z
        .object({ type: z.string(), labels: z.array(z.string()) })
        .parse(definitions.get(z.string().refine(isMetricName).parse(beside)));
      expect(type).toBe('counter');
      expect(definition.labels).toEqual(expect.arrayContaining(labels));
    }
  });
});
