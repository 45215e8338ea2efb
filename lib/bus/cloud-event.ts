import * as z from 'zod';
import { moment, noticeSchemaId, type Outcome, outcomeTypeSchema } from './events.ts';

/** An outcome as a CloudEvent 1.0 (https://github.com/cloudevents/spec), JSON format. Its names have lower-case letters and digits only. */
export const cloudEventSchema = z.object({
  specversion: z.literal('1.0'),
  id: z.string(),
  source: z.literal('urn:leasekeeper'),
  type: outcomeTypeSchema,
  subject: z.string().optional(),
  time: moment,
  datacontenttype: z.literal('application/json'),
  dataschema: z.string(),
  schemaversion: z.literal(1),
  data: z.unknown(),
});
type CloudEvent = z.infer<typeof cloudEventSchema>;

/** CloudEvents 1.0.2, "Type System", `String`: no control characters, no lone surrogates, nothing that Unicode calls a noncharacter. */
const STRING = /^[^\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}]+$/u;

/** An outcome as a CloudEvent in structured mode: attributes and data in one object. */
export function cloudEventOf(event: Outcome): CloudEvent {
  return {
    ...attributesOf(event),
    datacontenttype: 'application/json',
    dataschema: `${noticeSchemaId(event.type)}:data`,
    schemaversion: 1,
    data: event.data,
  };
}

/**
 * The headers that make a notice a CloudEvent in binary mode as well (CloudEvents, "HTTP Protocol Binding", 3.1). Its data is then the
 * whole body, `{type, timestamp, data}`, and its `datacontenttype` the content type of the request.
 */
export function cloudEventHeaders(
  event: Outcome,
  /** Of a notice that stands for several events, what is its own. */
  own: Readonly<Partial<Record<'id' | 'type' | 'time' | 'subject', string>>> = {},
): Record<string, string> {
  const attributes = { ...attributesOf(event), ...own };
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [`ce-${name}`, headerValue(value)]),
  );
}

/** The attributes that an event has in every mode. */
function attributesOf(event: Outcome) {
  const subject = subjectOf(event);
  return {
    specversion: '1.0' as const,
    id: event.id,
    source: 'urn:leasekeeper' as const,
    type: event.type,
    // Optional, but never empty. A consumer's name may be what Vault calls a token, which others have chosen.
    ...(STRING.test(subject) ? { subject } : {}),
    time: event.time,
  };
}

/** Whom or what an event is about: the managed secret, the consumer of the lease, or the subscription. */
function subjectOf({ data }: Outcome): string {
  if ('name' in data) return data.name;
  return 'consumer' in data ? data.consumer : data.subscription;
}

/**
 * "HTTP Protocol Binding", 3.1.3.2: space, double quote, percent sign and all that is not printable ASCII become the bytes of their UTF-8,
 * percent-encoded.
 */
function headerValue(text: string): string {
  return text.replace(/[^\x21\x23\x24\x26-\x7e]/gu, (character) =>
    Buffer.from(character).toString('hex').toUpperCase().replace(/../g, '%$&'),
  );
}
