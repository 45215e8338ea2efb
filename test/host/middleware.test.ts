import middy from '@middy/core';
import { describe, expect, it } from 'vitest';
import { observed } from '../../lib/host/middleware.ts';
import { createLogger } from '../../lib/telemetry/log.ts';

const context = { awsRequestId: 'request-1' };

/** A function that takes 40 ms by its clock, and what was logged and written of it, in order. */
function observedFunction(work: () => Promise<unknown>) {
  const told: unknown[] = [];
  let clock = 1_000;
  const logger = createLogger({
    level: 'debug',
    name: 'test',
    destination: { write: (line) => told.push(JSON.parse(line)) },
  });
  const flushMetrics = async () => void told.push('metrics');
  const handler = middy()
    .use(observed({ logger, flushMetrics, now: () => clock }))
    .handler(async () => {
      clock += 40;
      return work();
    });
  const invoke = (): Promise<unknown> => Promise.resolve(Reflect.apply(handler, undefined, [{}, context]));
  return { invoke, told };
}

describe('an observed function', () => {
  it('writes its metrics and one line when it is done', async () => {
    const { invoke, told } = observedFunction(async () => 'answer');
    expect(await invoke()).toBe('answer');
    expect(told).toEqual([
      expect.objectContaining({ level: 'debug', msg: 'done', request_id: 'request-1', duration_ms: 40 }),
      'metrics',
    ]);
  });

  it('writes them too when it failed, and fails all the same', async () => {
    const fault = Object.assign(new Error('the agenda cannot be read'), { code: 'vault_sealed' });
    const { invoke, told } = observedFunction(() => Promise.reject(fault));
    await expect(invoke()).rejects.toBe(fault);
    expect(told).toEqual([
      expect.objectContaining({
        level: 'error',
        msg: 'failed',
        request_id: 'request-1',
        duration_ms: 40,
        err: expect.objectContaining({ code: 'vault_sealed' }),
      }),
      'metrics',
    ]);
  });

  it('has written the metrics before it answers', async () => {
    const told: string[] = [];
    const logger = createLogger({ level: 'silent', name: 'test' });
    const flushMetrics = async () => {
      await new Promise<void>((resolve) => setImmediate(resolve));
      told.push('metrics');
    };
    const handler = middy()
      .use(observed({ logger, flushMetrics, now: () => 0 }))
      .handler(async () => 'answer');
    await Reflect.apply(handler, undefined, [{}, context]);
    told.push('answered');
    expect(told).toEqual(['metrics', 'answered']);
  });

  it('keeps the times of invocations apart', async () => {
    const { invoke, told } = observedFunction(async () => 'answer');
    await invoke();
    await invoke();
    const durations = told.flatMap((line) =>
      typeof line === 'object' && line !== null && 'duration_ms' in line ? [line.duration_ms] : [],
    );
    expect(durations).toEqual([40, 40]);
  });
});
