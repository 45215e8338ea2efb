import { EventBridgeClient, type PutEventsResultEntry } from '@aws-sdk/client-eventbridge';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { cloudEventOf } from '../../lib/bus/cloud-event.ts';
import { detailOf, eventIn } from '../../lib/bus/envelope.ts';
import { createEventBridgeBus } from '../../lib/bus/eventbridge.ts';
import { isOutcome, type LeasekeeperEvent } from '../../lib/bus/events.ts';
import { everyExample, examples } from './examples.ts';

interface Entry {
  readonly EventBusName: string;
  readonly Source: string;
  readonly DetailType: string;
  readonly Time: Date;
  readonly Detail: string;
}
type Answer = readonly PutEventsResultEntry[] | Error;

const inputSchema: z.ZodType<{ readonly Entries: readonly Entry[] }> = z.strictObject({
  Entries: z.array(
    z.strictObject({
      EventBusName: z.string(),
      Source: z.string(),
      DetailType: z.string(),
      Time: z.date(),
      Detail: z.string(),
    }),
  ),
});
const TAKEN: PutEventsResultEntry = { EventId: 'aws-id' };
const REFUSED: PutEventsResultEntry = { ErrorCode: 'ThrottlingException', ErrorMessage: 'Rate exceeded' };

/** A bus whose client, AWS's own, answers by a script instead of sending; each call sees the entries of one PutEvents. */
function scripted(answer: (entries: readonly Entry[], call: number) => Answer, cloudEvents?: boolean) {
  const calls: (readonly Entry[])[] = [];
  const client = new EventBridgeClient({ region: 'eu-central-1' });
  client.middlewareStack.add(
    () => async (command) => {
      const { Entries: entries } = inputSchema.parse(command.input);
      calls.push(entries);
      const results = answer(entries, calls.length);
      if (results instanceof Error) throw results;
      return { output: { Entries: [...results], $metadata: {} }, response: {} };
    },
    { step: 'initialize', priority: 'high' },
  );
  return {
    bus: createEventBridgeBus({
      busName: 'leasekeeper-test',
      client,
      ...(cloudEvents === undefined ? {} : { cloudEvents }),
    }),
    calls,
  };
}

const events = (count: number): LeasekeeperEvent[] =>
  Array.from({ length: count }, (_, index) => ({ ...examples['secret.rotated'], id: `evt_${index}` }));

/** What EventBridge makes of an entry, for a target. */
const deliveredAs = (entry: Entry | undefined): unknown => ({
  version: '0',
  id: 'b6e4c1f0-0000-4000-8000-000000000000',
  'detail-type': entry?.DetailType,
  source: entry?.Source,
  account: '123456789012',
  time: '2026-11-21T12:00:01Z',
  region: 'eu-central-1',
  resources: [],
  detail: JSON.parse(entry?.Detail ?? ''),
});
const idOf = ({ Detail }: Entry): unknown => JSON.parse(Detail).id;

describe('the bus on AWS', () => {
  it('sends an event whole, to the bus it was given', async () => {
    const { bus, calls } = scripted(() => [TAKEN]);
    const event = examples['secret.rotated'];
    expect(await bus.publish([event])).toEqual(new Set([event.id]));
    expect(calls).toEqual([
      [
        {
          EventBusName: 'leasekeeper-test',
          Source: 'leasekeeper',
          DetailType: 'secret.rotated',
          Time: new Date(event.time),
          Detail: JSON.stringify(detailOf(event)),
        },
      ],
    ]);
  });

  it.each(everyExample)('sends $type in the plain form unless it is told otherwise', async (event) => {
    for (const cloudEvents of [undefined, false]) {
      const { bus, calls } = scripted(() => [TAKEN], cloudEvents);
      await bus.publish([event]);
      expect(calls.flat().map(({ Detail }) => Detail)).toEqual([JSON.stringify(detailOf(event))]);
    }
  });

  it.each(everyExample)(
    'sends $type as a CloudEvent when it is told to, if it is an outcome',
    async (event) => {
      const { bus, calls } = scripted(() => [TAKEN], true);
      expect(await bus.publish([event])).toEqual(new Set([event.id]));
      const [entry] = calls.flat();
      expect(entry).toMatchObject({
        Source: 'leasekeeper',
        DetailType: event.type,
        Time: new Date(event.time),
        Detail: JSON.stringify(isOutcome(event) ? cloudEventOf(event) : detailOf(event)),
      });
      expect(eventIn(deliveredAs(entry))).toEqual(event);
    },
  );

  it('sends ten at once and no more', async () => {
    const { bus, calls } = scripted((entries) => entries.map(() => TAKEN));
    const taken = await bus.publish(events(23));
    expect(calls.map((entries) => entries.length)).toEqual([10, 10, 3]);
    expect(taken.size).toBe(23);
  });

  it('asks for nothing when there is nothing to send', async () => {
    const { bus, calls } = scripted(() => []);
    expect(await bus.publish([])).toEqual(new Set());
    expect(calls).toEqual([]);
  });

  it('sends again what was refused, and only that', async () => {
    const { bus, calls } = scripted((entries, call) =>
      entries.map((entry) => (call === 1 && idOf(entry) !== 'evt_1' ? REFUSED : TAKEN)),
    );
    const taken = await bus.publish(events(3));
    expect(calls.map((entries) => entries.map(idOf))).toEqual([
      ['evt_0', 'evt_1', 'evt_2'],
      ['evt_0', 'evt_2'],
    ]);
    expect(taken).toEqual(new Set(['evt_0', 'evt_1', 'evt_2']));
  });

  it('gives up after a few tries and says what was taken', async () => {
    const { bus, calls } = scripted((entries) =>
      entries.map((entry) => (idOf(entry) === 'evt_1' ? REFUSED : TAKEN)),
    );
    expect(await bus.publish(events(3))).toEqual(new Set(['evt_0', 'evt_2']));
    expect(calls).toHaveLength(3);
  });

  it('counts nothing as taken that has no answer of its own', async () => {
    const { bus } = scripted((_, call) => (call === 1 ? [TAKEN] : []));
    expect(await bus.publish(events(2))).toEqual(new Set(['evt_0']));
  });

  it('counts nothing as taken that has an id and an error', async () => {
    const { bus } = scripted((entries) =>
      entries.map((entry) => (idOf(entry) === 'evt_1' ? { ...TAKEN, ...REFUSED } : TAKEN)),
    );
    expect(await bus.publish(events(2))).toEqual(new Set(['evt_0']));
  });

  it('keeps what earlier calls have taken when a later one fails', async () => {
    const { bus } = scripted((entries, call) =>
      call === 2 ? new Error('socket hang up') : entries.map(() => TAKEN),
    );
    const taken = await bus.publish(events(25));
    expect(taken.size).toBe(15);
    expect(taken.has('evt_10')).toBe(false);
    expect(taken.has('evt_24')).toBe(true);
  });

  it.each([
    ['the client fails', () => Object.assign(new Error('request body was evt_0'), { name: 'TimeoutError' })],
    ['everything is refused', (entries: readonly unknown[]) => entries.map(() => REFUSED)],
  ])('throws when %s, and tells nothing of the events', async (_, answer) => {
    const { bus } = scripted(answer);
    const error: unknown = await bus.publish(events(2)).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'bus_unavailable' });
    const told =
      JSON.stringify(error, Object.getOwnPropertyNames(error)) +
      String(error instanceof Error && error.cause);
    expect(told).not.toMatch(/evt_|api-gateway|shared\/database/);
  });
});
