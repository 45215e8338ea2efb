import { describe, expect, it } from 'vitest';
import { cloudEventOf } from '../../lib/bus/cloud-event.ts';
import { detailOf, eventIn } from '../../lib/bus/envelope.ts';
import {
  commandSchemas,
  eventId,
  eventSchema,
  eventSchemas,
  isCommandType,
  isOutcome,
  type LeasekeeperEvent,
  outcomeSchema,
  outcomeSchemas,
  outcomeTypeSchema,
} from '../../lib/bus/events.ts';
import { ROUTES, workersFor } from '../../lib/bus/routes.ts';
import { everyExample, examples } from './examples.ts';

const envelopeOf = (event: LeasekeeperEvent, detail: object = detailOf(event)) => ({
  version: '0',
  id: 'b6e4c1f0-0000-4000-8000-000000000000',
  'detail-type': event.type,
  source: 'leasekeeper',
  account: '123456789012',
  time: '2026-11-21T12:00:01Z',
  region: 'eu-central-1',
  resources: [],
  detail,
});

/** What a queue hands over: JSON that has been written and read. */
const carried = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const good = envelopeOf(examples['secret.rotated']);

describe('an event on its way over the bus', () => {
  it.each(everyExample)('$type arrives as it was sent', (event) => {
    expect(eventIn(carried(envelopeOf(event)))).toEqual(event);
  });

  it.each(everyExample)('$type keeps its own id and time, not those of EventBridge', (event) => {
    expect(eventIn(envelopeOf(event))).toMatchObject({ id: event.id, time: event.time });
  });

  it('has what older senders leave out', () => {
    const due = examples['leases.due'];
    const older = envelopeOf(due, { ...detailOf(due), data: { shard: 3, scanned_at: 1 } });
    expect(eventIn(older).data).toEqual({ shard: 3, scanned_at: 1, idle_parents: [], ending_parents: {} });
  });

  it('loses what is not in the contract', () => {
    const more = {
      ...good,
      detail: { ...good.detail, data: { ...examples['secret.rotated'].data, value: 'x' } },
    };
    expect(eventIn(more)).toEqual(examples['secret.rotated']);
  });

  it.each([
    ['nothing', undefined],
    ['text', 'secret.rotated'],
    ['no detail', { ...good, detail: undefined }],
    ['a type that there is not', { ...good, 'detail-type': 'secret.leaked' }],
    ['the data of another type', { ...good, 'detail-type': 'lease.lost' }],
    ['a newer contract', { ...good, detail: { ...good.detail, schema_version: 2 } }],
    ['no id', { ...good, detail: { ...good.detail, id: undefined } }],
    ['a time that is none', { ...good, detail: { ...good.detail, time: 'yesterday' } }],
    [
      'a shard below zero',
      { ...envelopeOf(examples['rotation.due']), detail: { ...good.detail, data: { shard: -1 } } },
    ],
    [
      'an event of AWS itself',
      {
        ...good,
        source: 'aws.ec2',
        'detail-type': 'EC2 Instance State-change Notification',
        detail: { state: 'running' },
      },
    ],
    ['another sender under our type', { ...good, source: 'someone.else' }],
  ])('is refused with %s', (_, envelope) => {
    expect(() => eventIn(envelope)).toThrow();
  });
});

describe('an outcome on its way as a CloudEvent', () => {
  const event = examples['secret.rotated'];
  const detail = cloudEventOf(event);

  it.each(everyExample.filter(isOutcome))('$type arrives as it was sent', (outcome) => {
    expect(eventIn(carried(envelopeOf(outcome, cloudEventOf(outcome))))).toEqual(outcome);
  });

  it('is the same event as in the plain form, and either is read', () => {
    expect(eventIn(envelopeOf(event, detail))).toEqual(eventIn(envelopeOf(event)));
  });

  it('may have attributes that are not ours', () => {
    expect(eventIn(envelopeOf(event, { ...detail, traceparent: '00-1-2-00' }))).toEqual(event);
  });

  it.each([
    ['another version of CloudEvents', { ...detail, specversion: '0.3' }],
    ['another source', { ...detail, source: 'urn:someone-else' }],
    ['a newer contract', { ...detail, schemaversion: 2 }],
    ['no version of the contract', { ...detail, schemaversion: undefined }],
    ['another type than its envelope', { ...detail, type: 'secret.retired' }],
    ['no type', { ...detail, type: undefined }],
    ['a time that is none', { ...detail, time: 'yesterday' }],
    ['the data of another type', { ...detail, data: examples['lease.lost'].data }],
  ])('is refused with %s', (_, changed) => {
    expect(() => eventIn(envelopeOf(event, changed))).toThrow();
  });

  it('is refused for a command', () => {
    const command = examples['rotation.due'];
    const { id, type, time, data } = command;
    expect(() => eventIn(envelopeOf(command, { ...detail, id, type, time, data }))).toThrow();
  });
});

describe('the contract', () => {
  it('is either a command or an outcome, for every type', () => {
    const types = Object.keys(eventSchemas);
    expect(types).toHaveLength(Object.keys(commandSchemas).length + Object.keys(outcomeSchemas).length);
    for (const event of everyExample) expect(isCommandType(event.type)).toBe(!isOutcome(event));
  });

  it('has no type that the unions leave out', () => {
    expect(everyExample.map(({ type }) => type)).toEqual(Object.keys(eventSchemas));
    for (const event of everyExample) {
      expect(eventSchema.safeParse(event).success).toBe(true);
      expect(outcomeSchema.safeParse(event).success).toBe(isOutcome(event));
      expect(outcomeTypeSchema.safeParse(event.type).success).toBe(isOutcome(event));
    }
  });

  it('takes no name from the prototype of an object for a type', () => {
    expect(isCommandType('toString')).toBe(false);
    expect(() => eventIn({ ...good, 'detail-type': 'constructor' })).toThrow();
  });

  it('has a worker for every event, and notify for every outcome', () => {
    for (const event of everyExample) {
      expect(workersFor(event.type).length).toBeGreaterThan(0);
      if (isOutcome(event)) expect(ROUTES.notify).toContain(event.type);
    }
  });
});

describe('an id', () => {
  it('is the same wherever and however often it is derived', () => {
    // Written down: an id that changes with a release would have receivers take an old event for a new one.
    expect(eventId('api-gateway-database', 4, 'secret.rotated')).toBe('evt_uHnBEe4rY004UWq5RTup_65Q9Op');
  });

  it('tells apart what only looks alike', () => {
    const ids = [eventId('a', 'bc'), eventId('ab', 'c'), eventId('abc'), eventId('a', 1), eventId('a', '1')];
    expect(new Set(ids).size).toBe(ids.length);
  });
});
