import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { auditLineSchema, createAudit } from '../../lib/telemetry/audit.ts';
import { createLogger } from '../../lib/telemetry/log.ts';
import { logFields, withLogFields, withLogFieldsOnly } from '../../lib/telemetry/log-fields.ts';

const lineSchema = z.record(z.string(), z.unknown());

function loggerWithLines() {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(lineSchema.parse(JSON.parse(line))) };
  return { logger: createLogger({ level: 'info', name: 'test', destination, now: () => 0 }), lines };
}

describe('the fields of log lines', () => {
  it('are on every line that the work leads to, also of loggers made before and of children', async () => {
    const { logger, lines } = loggerWithLines();
    const child = logger.child({ function: 'renew' });
    const deep = async () => {
      await setImmediate();
      child.info('deep');
    };
    await withLogFieldsOnly({ invocation_id: 'i-1', trace_id: 't-1' }, async () => {
      logger.error(new Error('fault'));
      await withLogFields({ message_id: 'm-1' }, deep);
      logger.child({}).info('after');
    });
    logger.info('outside');

    const common = { level: 'info', time: '1970-01-01T00:00:00.000Z', name: 'test' };
    expect(lines).toEqual([
      expect.objectContaining({ level: 'error', invocation_id: 'i-1', trace_id: 't-1' }),
      {
        ...common,
        function: 'renew',
        invocation_id: 'i-1',
        trace_id: 't-1',
        message_id: 'm-1',
        msg: 'deep',
      },
      { ...common, invocation_id: 'i-1', trace_id: 't-1', msg: 'after' },
      { ...common, msg: 'outside' },
    ]);
  });

  it('are on audit lines, whose own request id stays', async () => {
    const { logger, lines } = loggerWithLines();
    const audit = createAudit({ logger });
    await withLogFieldsOnly({ invocation_id: 'i-1', trace_id: 't-1' }, () =>
      withLogFields({ request_id: 'around' }, async () =>
        audit({ who: {}, action: 'read', path: 'a', outcome: 'ok', latency_ms: 1, request_id: 'own' }),
      ),
    );

    expect(lines.map((line) => auditLineSchema.parse(line))).toMatchObject([
      { request_id: 'own', invocation_id: 'i-1', trace_id: 't-1' },
    ]);
  });

  it('of an inner piece of work hide those of the outer one, and end with it', async () => {
    const seen = await withLogFields({ invocation_id: 'i-1', trace_id: 'outer' }, async () => {
      const inner = await withLogFields({ trace_id: 'inner' }, async () => logFields());
      return [inner, logFields()];
    });

    expect(seen).toEqual([
      { invocation_id: 'i-1', trace_id: 'inner' },
      { invocation_id: 'i-1', trace_id: 'outer' },
    ]);
    expect(logFields()).toEqual({});
  });

  it('of an invocation are its own, whatever has led to it', async () => {
    const seen = await withLogFields({ request_id: 'r-1', trace_id: 't-1' }, () =>
      withLogFieldsOnly({ invocation_id: 'i-2' }, async () => logFields()),
    );

    expect(seen).toEqual({ invocation_id: 'i-2' });
  });

  it('are not those of work beside', async () => {
    const work = async () => {
      await setImmediate();
      return logFields();
    };
    const seen = await Promise.all(
      ['i-1', 'i-2'].map((id) => withLogFieldsOnly({ invocation_id: id }, work)),
    );

    expect(seen).toEqual([{ invocation_id: 'i-1' }, { invocation_id: 'i-2' }]);
  });

  it('are gone for what is left behind, but for those of what still goes on', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let later: Promise<unknown> | undefined;
    const during = await withLogFields({ invocation_id: 'i-1' }, async () => {
      await withLogFields({ message_id: 'm-1' }, async () => {
        later = promise.then(() => logFields());
      });
      const whileOuterGoesOn = setImmediate().then(() => logFields());
      return whileOuterGoesOn;
    });
    resolve();

    expect(during).toEqual({ invocation_id: 'i-1' });
    expect(await later).toEqual({});
  });

  it('grow no chain when work leaves work behind again and again', async () => {
    let times = 0;
    const next = async (): Promise<void> => {
      times += 1;
      if (times < 20_000)
        return withLogFields({ request_id: `r-${times}` }, async () => void setImmediate().then(next));
      done.resolve(logFields());
    };
    const done = Promise.withResolvers<unknown>();
    await next();

    // With a chain, reading the fields would need a frame for each of its links.
    expect(await done.promise).toEqual({});
  });

  it.each([
    ['a line break', 'a\n{"level":"error"}'],
    ['a space', 'a b'],
    ['a quote', 'a"b'],
    ['other letters', 'ä'],
    ['nothing', ''],
    ['too much', 'a'.repeat(129)],
  ])('are left out with %s in them', async (_, id) => {
    const fields = { invocation_id: id, trace_id: id, message_id: id, request_id: id };
    expect(await withLogFields(fields, async () => logFields())).toEqual({});
    expect(await withLogFieldsOnly(fields, async () => logFields())).toEqual({});
  });

  it.each([
    'c6af9ac6-7b61-11e6-9a41-93e8deadbeef',
    'JKJaXmPLvHcESHA=',
    '1-5759e988-bd862e3fe1be46a994272793',
    'a+b/c==',
    'a'.repeat(128),
  ])('take the ids that AWS makes: %s', async (id) => {
    expect(await withLogFields({ request_id: id }, async () => logFields())).toEqual({ request_id: id });
  });

  it('are left out when they are no text at all', async () => {
    const stray: { invocation_id: string } = Object({ invocation_id: 7 });
    expect(await withLogFieldsOnly(stray, async () => logFields())).toEqual({});
  });
});
