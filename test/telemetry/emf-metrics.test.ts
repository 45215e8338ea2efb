import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createEmfMetrics } from '../../lib/telemetry/emf-metrics.ts';
import { definitions } from '../../lib/telemetry/metric-names.ts';
import { parseEmf } from './metrics-harness.ts';

const run = promisify(execFile);

describe('createEmfMetrics', () => {
  it('writes one document for each set of labels, dimensions and details apart', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({
      service: 'fetch',
      write: (line) => lines.push(line),
      now: () => 1_700_000_000_000,
    });
    metrics.increment(
      'vault_secret_requests_total',
      { path: 'nvidia/api-key', kind: 'static', outcome: 'ok' },
      2,
    );
    metrics.observe('leasekeeper_rotation_step_seconds', 0.25, { step: 'test' });
    metrics.observe('leasekeeper_rotation_step_seconds', 0.5, { step: 'test' });
    await metrics.flush();

    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        service: 'fetch',
        kind: 'static',
        outcome: 'ok',
        path: 'nvidia/api-key',
        vault_secret_requests_total: 2,
        _aws: {
          Timestamp: 1_700_000_000_000,
          CloudWatchMetrics: [
            {
              Namespace: 'Leasekeeper',
              Dimensions: [['service', 'kind', 'outcome']],
              Metrics: [{ Name: 'vault_secret_requests_total', Unit: 'Count' }],
            },
          ],
        },
      },
      {
        service: 'fetch',
        step: 'test',
        leasekeeper_rotation_step_seconds: [0.25, 0.5],
        _aws: {
          Timestamp: 1_700_000_000_000,
          CloudWatchMetrics: [
            {
              Namespace: 'Leasekeeper',
              Dimensions: [['service', 'step']],
              Metrics: [{ Name: 'leasekeeper_rotation_step_seconds', Unit: 'Seconds' }],
            },
          ],
        },
      },
    ]);
  });

  it('puts metrics with the same labels into one document', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ write: (line) => lines.push(line) });
    metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' });
    metrics.increment('leasekeeper_lease_renewals_total', { outcome: 'ok' });
    await metrics.flush();

    expect(lines).toHaveLength(1);
    expect(lines.map((line) => parseEmf(line)._aws.CloudWatchMetrics[0]?.Metrics)).toMatchObject([
      [{ Name: 'leasekeeper_fetches_total' }, { Name: 'leasekeeper_lease_renewals_total' }],
    ]);
  });

  it('writes nothing twice, and nothing when nothing was recorded', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ write: (line) => lines.push(line) });
    await metrics.flush();
    metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' });
    await metrics.flush();
    await metrics.flush();

    expect(lines).toHaveLength(1);
  });

  it('splits more than 100 measurements over documents and loses none', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ write: (line) => lines.push(line) });
    for (let n = 0; n < 250; n += 1)
      metrics.observe('leasekeeper_rotation_step_seconds', n, { step: 'test' });
    await metrics.flush();
    const sizes = lines.map((line) => Object(parseEmf(line).leasekeeper_rotation_step_seconds).length);

    expect(sizes).toEqual([100, 100, 50]);
  });

  it('writes 101 measurements as 100 and one, which is no list', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ write: (line) => lines.push(line) });
    for (let n = 0; n < 101; n += 1)
      metrics.observe('leasekeeper_rotation_step_seconds', n, { step: 'test' });
    await metrics.flush();
    const values = lines.map((line) => parseEmf(line).leasekeeper_rotation_step_seconds);

    expect(values).toEqual([Array.from({ length: 100 }, (_, n) => n), 100]);
  });

  it('has fewer metrics than a document may hold', () => {
    // Were there more, those of one set of labels would have to be split over documents.
    expect(definitions.size).toBeLessThanOrEqual(100);
  });

  it('keeps the document when a counter has grown beyond what CloudWatch takes', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ write: (line) => lines.push(line) });
    for (let n = 0; n < 2; n += 1)
      metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' }, Number.MAX_SAFE_INTEGER);
    metrics.increment('leasekeeper_lease_renewals_total', { outcome: 'ok' });
    await metrics.flush();

    expect(lines.map(parseEmf)).toMatchObject([
      { leasekeeper_fetches_total: Number.MAX_SAFE_INTEGER, leasekeeper_lease_renewals_total: 1 },
    ]);
  });

  it('takes what is counted between two flushes into the later one', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ write: (line) => lines.push(line) });
    metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' });
    const flushed = metrics.flush();
    metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' }, 2);
    await flushed;
    await metrics.flush();

    expect(lines.map((line) => parseEmf(line).leasekeeper_fetches_total)).toEqual([1, 2]);
  });

  it('starts no counter at 0: a metric costs money, and an alarm can take what is missing for none', async () => {
    const lines: string[] = [];
    await createEmfMetrics({ service: 'renew', write: (line) => lines.push(line) }).flush();

    expect(lines).toEqual([]);
  });

  it('is in the namespace that was asked for', async () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ namespace: 'leasekeeper-prod', write: (line) => lines.push(line) });
    metrics.set('leasekeeper_vault_up', 1);
    await metrics.flush();

    expect(lines.map((line) => parseEmf(line)._aws.CloudWatchMetrics[0]?.Namespace)).toEqual([
      'leasekeeper-prod',
    ]);
  });

  it('writes by itself once 10,000 measurements wait', () => {
    const lines: string[] = [];
    const metrics = createEmfMetrics({ write: (line) => lines.push(line) });
    for (let n = 0; n < 9_999; n += 1)
      metrics.observe('leasekeeper_rotation_step_seconds', n, { step: 'test' });
    expect(lines).toHaveLength(0);
    metrics.observe('leasekeeper_rotation_step_seconds', 1, { step: 'test' });

    expect(lines).toHaveLength(100);
  });

  it('writes lines to standard output and opens no connection, whatever the environment says', async () => {
    const script = `
      import net from 'node:net';
      net.Socket.prototype.connect = () => process.stderr.write('a connection');
      const { createEmfMetrics } = await import('./lib/telemetry/emf-metrics.ts');
      const metrics = createEmfMetrics();
      metrics.increment('leasekeeper_fetches_total', { outcome: 'ok' });
      await metrics.flush();
    `;
    const environments = [{}, { AWS_LAMBDA_FUNCTION_NAME: 'fetch' }, { AWS_EMF_ENVIRONMENT: 'Agent' }];

    for (const env of environments) {
      const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], { env });
      expect(stdout.trim().split('\n').map(parseEmf)).toMatchObject([
        { outcome: 'ok', leasekeeper_fetches_total: 1 },
      ]);
      expect(stderr).toBe('');
    }
  });
});
