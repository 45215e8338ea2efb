import { setTimeout as sleep } from 'node:timers/promises';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { routed } from '../../lib/host/http-function.ts';
import { localContext } from '../../lib/host/local/lambda-invocation.ts';
import { observed } from '../../lib/host/middleware.ts';
import { queueFunction } from '../../lib/host/queue-function.ts';
import { createLogger } from '../../lib/telemetry/log.ts';

const TRACE = '1-5759e988-bd862e3fe1be46a994272793';
const HEADER = `Root=${TRACE};Parent=53995c3f42cd8ad8;Sampled=0`;

/** As much of a context as a test needs to say. */
function contextWith(given: Record<string, unknown> = { awsRequestId: 'invocation-1' }): Context {
  return Object(given);
}

/** What was logged and written, in order, and a host that tells. */
function tellingHost(flush: () => Promise<void> = async () => {}) {
  const told: unknown[] = [];
  const clock = { now: 1_000 };
  const logger = createLogger({
    level: 'debug',
    name: 'test',
    destination: { write: (line) => told.push(JSON.parse(line)) },
  });
  const flushMetrics = async () => {
    told.push('metrics');
    await flush();
  };
  return { host: { logger, flushMetrics, now: () => clock.now }, clock, told };
}

/** A function that takes 40 ms by its clock. */
function observedFunction(work: () => Promise<unknown>) {
  const { host, clock, told } = tellingHost();
  const handler = observed(host, async (_event: unknown) => {
    clock.now += 40;
    return work();
  });
  return { invoke: () => handler({}, contextWith()), told };
}

describe('an observed function', () => {
  it('writes its metrics and one line when it is done', async () => {
    const { invoke, told } = observedFunction(async () => 'answer');
    expect(await invoke()).toBe('answer');
    expect(told).toEqual([
      expect.objectContaining({
        level: 'debug',
        msg: 'done',
        invocation_id: 'invocation-1',
        duration_ms: 40,
      }),
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
        invocation_id: 'invocation-1',
        duration_ms: 40,
        err: expect.objectContaining({ code: 'vault_sealed' }),
      }),
      'metrics',
    ]);
  });

  it('has written the metrics before it answers', async () => {
    const told: string[] = [];
    const { host } = tellingHost(async () => {
      await new Promise<void>((resolve) => setImmediate(resolve));
      told.push('metrics');
    });
    await observed(host, async () => 'answer')({}, contextWith());
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

  it('ends as it would when the metrics cannot be written, and says so', async () => {
    const { host, told } = tellingHost(() => Promise.reject(new Error('EPIPE')));
    expect(await observed(host, async () => 'answer')({}, contextWith())).toBe('answer');
    expect(told.at(-1)).toMatchObject({ level: 'error', msg: 'metrics lost', err: { message: 'EPIPE' } });

    const fault = new Error('fault');
    await expect(observed(host, () => Promise.reject(fault))({}, contextWith())).rejects.toBe(fault);
    expect(fault.cause).toBeUndefined();
  });

  it('takes whatever it is called with for a context', async () => {
    const { host, told } = tellingHost();
    const handler = observed(host, async () => 'answer');
    for (const context of [undefined, {}, { awsRequestId: 7, xRayTraceId: 8 }]) {
      expect(await Reflect.apply(handler, undefined, [{}, context])).toBe('answer');
    }
    expect(JSON.stringify(told)).not.toContain('_id');
  });
});

describe('the metrics of an invocation', () => {
  const answering = middy().handler(async () => 'answer');
  const fault = new Error('fault');
  const thrower = () => {
    throw fault;
  };
  const noHttp = {
    version: '2.0',
    rawPath: '/',
    requestContext: { requestId: 'r', http: { method: 'GET' } },
  };
  const paths: [string, (event: unknown, context: Context) => Promise<unknown>, event: unknown][] = [
    ['an answer', async () => 'answer', {}],
    ['a handler that rejects', () => Promise.reject(fault), {}],
    ['a handler that throws before it is async', thrower, {}],
    ['dependencies that cannot be built', async () => thrower(), {}],
    [
      'an event that is no batch',
      queueFunction(
        async () => {},
        () => {},
      ),
      { hello: 'world' },
    ],
    [
      'an event that is nothing',
      queueFunction(
        async () => {},
        () => {},
      ),
      undefined,
    ],
    [
      'a batch of which one failed',
      queueFunction(
        async () => thrower(),
        () => {},
      ),
      { Records: [{ messageId: 'm', body: '' }] },
    ],
    [
      'a problem document',
      (event, context) => Reflect.apply(routed([]), undefined, [event, context]),
      noHttp,
    ],
    [
      'what is no HTTP request',
      (event, context) => Reflect.apply(routed([]), undefined, [event, context]),
      {},
    ],
    ['a middleware that throws before', middy().before(thrower).handler(answering), {}],
    ['a middleware that throws after', middy().after(thrower).handler(answering), {}],
    [
      'a middleware that throws at an error',
      middy()
        .onError(thrower)
        .handler(async () => thrower()),
      {},
    ],
    [
      'a middleware that answers early',
      middy()
        .before(() => 'early')
        .handler(answering),
      {},
    ],
    [
      'a middleware that answers an error',
      middy()
        .onError(() => 'mended')
        .handler(async () => thrower()),
      {},
    ],
  ];

  it.each(paths)('are written once, after %s', async (_, handler, event) => {
    const { host, told } = tellingHost();
    await observed(host, handler)(event, contextWith()).catch(() => {});
    expect(told.filter((it) => it === 'metrics')).toHaveLength(1);
    expect(told.at(-1)).toBe('metrics');
  });
});

describe('an invocation that takes too long', () => {
  afterEach(() => void vi.useRealTimers());

  const context = (remainingMs: number) => {
    const deadline = Date.now() + remainingMs;
    return contextWith({
      awsRequestId: 'invocation-1',
      getRemainingTimeInMillis: () => deadline - Date.now(),
    });
  };

  it('is told of half a second before it is killed, with its metrics, and goes on', async () => {
    vi.useFakeTimers();
    const { host, told } = tellingHost();
    const { promise, resolve } = Promise.withResolvers<string>();
    let ended = false;
    const answer = observed(host, () => promise)({}, context(60_000)).finally(() => {
      ended = true;
    });
    await vi.advanceTimersByTimeAsync(59_499);
    expect(told).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual([
      expect.objectContaining({
        level: 'error',
        msg: 'about to time out',
        remaining_ms: 500,
      }),
      'metrics',
    ]);
    await vi.advanceTimersByTimeAsync(500);
    expect(ended).toBe(false);
    expect(told).toHaveLength(2);

    resolve('in time after all');
    expect(await answer).toBe('in time after all');
    expect(told.slice(2)).toEqual([expect.objectContaining({ msg: 'done' }), 'metrics']);
  });

  it.each([
    ['answered', async () => 'answer'],
    ['failed', () => Promise.reject(new Error('fault'))],
  ])('leaves no timer once it has %s', async (_, work) => {
    vi.useFakeTimers();
    const { host, told } = tellingHost();
    await observed(host, work)({}, context(60_000)).catch(() => {});
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(JSON.stringify(told)).not.toContain('about to time out');
  });

  it('keeps no process alive', async () => {
    const unref = vi.spyOn(Object.getPrototypeOf(setTimeout(() => {}, 0)), 'unref');
    await observed(tellingHost().host, async () => 'answer')({}, context(60_000));
    expect(unref).toHaveBeenCalledOnce();
    unref.mockRestore();
  });

  it('is told of at once when it begins with less, under its id', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { host, told } = tellingHost(async () => resolve());
    await observed(host, () => promise)({}, context(100));
    expect(told[0]).toMatchObject({ msg: 'about to time out', invocation_id: 'invocation-1' });
  });

  it('does not fail at its last moment, which is for Lambda to end', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { host } = tellingHost(async () => resolve());
    const answer = await observed(host, async () => {
      await promise;
      // middy's own timer would be due before this one. It is not among those that are faked.
      await sleep(10);
      return 'answer';
    })({}, context(0));
    expect(answer).toBe('answer');
  });

  it('is not ended in one process, however long it takes, and nothing is said of it', async () => {
    vi.useFakeTimers();
    const { host, told } = tellingHost();
    const { promise, resolve } = Promise.withResolvers<string>();
    const answer = observed(host, () => promise)({}, localContext('rotate'));
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(told).toEqual([]);
    resolve('answer');
    expect(await answer).toBe('answer');
  });
});

describe('the trace of an invocation', () => {
  const traceOf = async (
    traceHeader: (() => string | undefined) | undefined,
    context: Record<string, unknown>,
  ) => {
    const { host, told } = tellingHost();
    const observedHost = traceHeader === undefined ? host : { ...host, traceHeader };
    await observed(observedHost, async () => 'answer')({}, contextWith(context));
    const [line] = told;
    return Object(line).trace_id;
  };

  it('is in the context', async () => {
    expect(await traceOf(undefined, { xRayTraceId: HEADER })).toBe(TRACE);
  });

  it('or where the host says, anew for each', async () => {
    const other = TRACE.replace('5759', '0000');
    const headers = [HEADER, `Root=${other}`];
    const next = () => headers.shift();
    expect(await traceOf(next, {})).toBe(TRACE);
    expect(await traceOf(next, {})).toBe(other);
    expect(await traceOf(next, {})).toBeUndefined();
  });

  it('in the context comes first: several invocations may share one environment', async () => {
    expect(await traceOf(() => `Root=${TRACE.replace('5759', '0000')}`, { xRayTraceId: HEADER })).toBe(TRACE);
  });

  it.each(['Root=1-x', `Root=${TRACE}\nlevel=error`, 'hunter2', ''])('is none in %j', async (header) => {
    expect(await traceOf(() => header, {})).toBeUndefined();
  });
});
