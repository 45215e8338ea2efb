import { describe, expect, it } from 'vitest';
import { detailOf } from '../../lib/bus/envelope.ts';
import type { LeasekeeperEvent } from '../../lib/bus/events.ts';
import { queueFunction } from '../../lib/host/queue-function.ts';
import { type LogFields, logFields, withLogFieldsOnly } from '../../lib/telemetry/log-fields.ts';
import { examples } from '../bus/examples.ts';

const bodyOf = (event: LeasekeeperEvent) =>
  JSON.stringify({
    version: '0',
    id: 'b6e4c1f0-0000-4000-8000-000000000000',
    'detail-type': event.type,
    source: 'leasekeeper',
    account: '123456789012',
    time: '2026-11-21T12:00:01Z',
    region: 'eu-central-1',
    resources: [],
    detail: detailOf(event),
  });
const batchOf = (...bodies: string[]) => ({
  Records: bodies.map((body, index) => ({ messageId: `m${index}`, body, receiptHandle: 'r' })),
});
const failed = (...ids: string[]) => ({
  batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })),
});

function worker(work: (event: LeasekeeperEvent) => Promise<void> = async () => {}) {
  const done: LeasekeeperEvent[] = [];
  const errors: unknown[] = [];
  const fields: LogFields[] = [];
  const handler = queueFunction(
    async (event) => {
      await work(event);
      done.push(event);
      fields.push(logFields());
    },
    (error) => {
      errors.push(error);
      fields.push(logFields());
    },
  );
  return { handler, done, errors, fields };
}

const rotated = examples['secret.rotated'];
const lost = examples['lease.lost'];

describe('a worker behind a queue', () => {
  it('works on each message of a batch', async () => {
    const { handler, done, errors } = worker();
    expect(await handler(batchOf(bodyOf(rotated), bodyOf(lost)))).toEqual(failed());
    expect(done).toEqual([rotated, lost]);
    expect(errors).toEqual([]);
  });

  it('hands back the messages that failed, and is done with the others', async () => {
    const fault = new Error('no connection');
    const { handler, done, errors } = worker(async ({ type }) => {
      if (type === 'lease.lost') throw fault;
    });
    expect(await handler(batchOf(bodyOf(lost), bodyOf(rotated), bodyOf(lost)))).toEqual(failed('m0', 'm2'));
    expect(done).toEqual([rotated]);
    expect(errors).toEqual([fault, fault]);
  });

  it('waits for all of a batch, also when one has failed', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { handler, done } = worker(async ({ type }) => {
      if (type === 'lease.lost') throw new Error('at once');
      await promise;
    });
    const answer = handler(batchOf(bodyOf(lost), bodyOf(rotated)));
    setImmediate(resolve);
    expect(await answer).toEqual(failed('m0'));
    expect(done).toEqual([rotated]);
  });

  it.each([
    ['that is not JSON', 'hunter2 is not JSON'],
    ['that is empty', ''],
    ['of another service', JSON.stringify({ Type: 'Notification', Message: 'hunter2' })],
    ['of another sender', bodyOf(rotated).replace('"leasekeeper"', '"someone.else"')],
    ['of a type that there is not', bodyOf(rotated).replace('secret.rotated', 'secret.hunter2')],
    ['of a newer contract', bodyOf(rotated).replace('"schema_version":1', '"schema_version":2')],
  ])('hands back a message %s, and repeats nothing of it', async (_, body) => {
    const { handler, done, errors } = worker();
    expect(await handler(batchOf(bodyOf(lost), body))).toEqual(failed('m1'));
    expect(done).toEqual([lost]);
    expect(errors).toMatchObject([{ code: 'event_malformed' }]);
    const told = errors.map((error) => (error instanceof Error ? `${error.stack} ${error.cause}` : error));
    expect(told.join()).not.toContain('hunter2');
  });

  it('has the id of the message in the log lines of its work, and of its failure', async () => {
    const { handler, fields } = worker(async ({ type }) => {
      if (type === 'lease.lost') throw new Error('fault');
    });
    await handler(batchOf(bodyOf(rotated), bodyOf(lost), 'not JSON'));
    expect(fields.toSorted((a, b) => `${a.message_id}`.localeCompare(`${b.message_id}`))).toEqual([
      { message_id: 'm0' },
      { message_id: 'm1' },
      { message_id: 'm2' },
    ]);
  });

  it('has the trace that a message came with, and else that of the invocation', async () => {
    const of = (n: number) => `1-5759e988-${String(n).repeat(24)}`;
    const attributes: unknown[] = [
      { AWSTraceHeader: `Root=${of(1)};Parent=53995c3f42cd8ad8;Sampled=1`, SenderId: 'x' },
      { AWSTraceHeader: 'Root=hunter2' },
      { AWSTraceHeader: 7 },
      {},
      'none',
      undefined,
    ];
    const body = bodyOf(rotated);
    const Records = attributes.map((given, index) => ({ messageId: `m${index}`, body, attributes: given }));
    const { handler, fields } = worker();
    expect(await withLogFieldsOnly({ trace_id: of(9) }, () => handler({ Records }))).toEqual(failed());
    expect(fields.map(({ trace_id }) => trace_id)).toEqual([of(1), of(9), of(9), of(9), of(9), of(9)]);
  });

  it('fails as a whole on what is no batch, so that nothing is taken for done', async () => {
    const { handler } = worker();
    await expect(handler({ hello: 'world' })).rejects.toThrow();
  });

  it('has nothing to say of an empty batch', async () => {
    expect(await worker().handler({ Records: [] })).toEqual(failed());
  });
});
