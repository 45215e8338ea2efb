import { CloudEvent, HTTP, type Message } from 'cloudevents';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { cloudEventHeaders, cloudEventOf } from '../../lib/bus/cloud-event.ts';
import { noticeSchemas } from '../../lib/bus/event-schemas.ts';
import { isOutcome, type Outcome } from '../../lib/bus/events.ts';
import { everyExample, examples } from './examples.ts';

const outcomes = everyExample.filter(isOutcome);

/** An event about a consumer of this name. */
function about(consumer: string): Outcome {
  const { data, ...event } = examples['lease.lost'];
  return { ...event, data: { ...data, consumer } };
}

/** What has been written as JSON and read again. */
const carried = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

function eventIn(message: Message): CloudEvent {
  const found = HTTP.toEvent(message);
  if (!(found instanceof CloudEvent)) throw new Error('That was a batch.');
  return found;
}

/** What the official SDK makes of a message in structured mode. It puts in an id and a time of its own where there is none. */
const structured = (body: string) =>
  eventIn({ headers: { 'content-type': 'application/cloudevents+json' }, body });

const dataSchemas = z.record(
  z.string(),
  z.object({ properties: z.object({ data: z.looseObject({ $id: z.string() }) }) }),
);
const jsonSchema = z.custom<z.core.JSONSchema.JSONSchema>(
  (value) => typeof value === 'object' && value !== null,
);

describe('an outcome as a CloudEvent', () => {
  it.each(outcomes)('$type is valid for the official SDK, which finds nothing missing', (event) => {
    const written = cloudEventOf(event);
    const read = structured(JSON.stringify(written));
    // Throws unless the official JSON Schema is met, and names of attributes are as they must be.
    expect(read.validate()).toBe(true);
    expect(carried(read)).toEqual(carried(written));
  });

  it('has the attributes that the contract names', () => {
    const event = examples['secret.rotated'];
    expect(cloudEventOf(event)).toEqual({
      specversion: '1.0',
      id: 'evt_rotated',
      source: 'urn:leasekeeper',
      type: 'secret.rotated',
      subject: 'api-gateway-database',
      time: '2026-11-21T12:00:00.000Z',
      datacontenttype: 'application/json',
      dataschema: 'urn:leasekeeper:event:secret.rotated:1:data',
      schemaversion: 1,
      data: event.data,
    });
  });

  it.each([
    ['lease.lost', 'api-gateway'],
    ['secret.drift', 'api-gateway-database'],
    ['subscription.disabled', 'sub-1'],
  ] as const)('of %s is about %s', (type, subject) => {
    expect(cloudEventOf(examples[type])).toMatchObject({ subject });
  });

  it.each(['', 'a\nb', 'a\u009f', '\ud800', 'a\uffff'])('is about nothing named %j', (consumer) => {
    expect(cloudEventOf(about(consumer))).not.toHaveProperty('subject');
    expect(cloudEventHeaders(about(consumer))).not.toHaveProperty('ce-subject');
  });

  it('is about what is named by any other text', () => {
    expect(cloudEventOf(about('Zoë 😀')).subject).toBe('Zoë 😀');
  });

  it.each(outcomes)('$type names the schema that its data fit, and the data alone', (event) => {
    const { dataschema, data } = cloudEventOf(event);
    const named = Object.values(dataSchemas.parse(noticeSchemas())).filter(
      ({ properties }) => properties.data.$id === dataschema,
    );
    expect(named).toHaveLength(1);
    const { $id: _, ...rest } = named[0]?.properties.data ?? {};
    const schema = z.fromJSONSchema(jsonSchema.parse(rest));
    expect(schema.safeParse(carried(data)).success).toBe(true);
    expect(schema.safeParse({ type: event.type, timestamp: event.time, data }).success).toBe(false);
  });
});

describe('the headers of a notice that is a CloudEvent too', () => {
  const bodyOf = ({ type, time, data }: Outcome) => JSON.stringify({ type, timestamp: time, data });
  const received = (event: Outcome) =>
    eventIn({
      headers: { 'content-type': 'application/json', ...cloudEventHeaders(event) },
      body: bodyOf(event),
    });

  it.each(outcomes)('of $type are read by the official SDK, with the body as its data', (event) => {
    const read = received(event);
    expect(read.validate()).toBe(true);
    const { specversion, id, source, type, subject, time } = cloudEventOf(event);
    expect(carried(read)).toEqual({
      ...{ specversion, id, source, type, subject, time },
      datacontenttype: 'application/json',
      data: JSON.parse(bodyOf(event)),
    });
  });

  it('are these, and no more', () => {
    expect(cloudEventHeaders(examples['subscription.disabled'])).toEqual({
      'ce-specversion': '1.0',
      'ce-id': 'evt_disabled',
      'ce-source': 'urn:leasekeeper',
      'ce-type': 'subscription.disabled',
      'ce-subject': 'sub-1',
      'ce-time': '2026-11-21T12:00:00.000Z',
    });
  });

  it.each([
    // The example of the HTTP binding, 3.1.3.2.
    ['Euro € 😀', 'Euro%20%E2%82%AC%20%F0%9F%98%80'],
    ['50% "off"', '50%25%20%22off%22'],
    ['%41', '%2541'],
    ["!#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", "!#$&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~"],
    ['é', '%C3%A9'],
  ])('hold %j as %s', (subject, encoded) => {
    expect(cloudEventHeaders(about(subject))['ce-subject']).toBe(encoded);
    // The SDK leaves it to its caller to decode.
    expect(decodeURIComponent(String(received(about(subject)).subject))).toBe(subject);
  });

  it('never end a header before its time', () => {
    const { id: _, ...event } = examples['lease.lost'];
    expect(cloudEventHeaders({ ...event, id: 'evt\r\nx-other: 1' })['ce-id']).toBe('evt%0D%0Ax-other:%201');
  });
});
