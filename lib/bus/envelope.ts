import * as z from 'zod';
import { cloudEventSchema } from './cloud-event.ts';
import { EVENT_SOURCE, eventSchema, type LeasekeeperEvent, moment } from './events.ts';

const detailSchema = z.object({
  id: z.string(),
  schema_version: z.literal(1),
  time: moment,
  data: z.unknown(),
});

/** An event as EventBridge hands it to a target (AWS: "EventBridge event structure"). */
const busEnvelopeSchema = z
  .object({
    version: z.string(),
    id: z.string(),
    'detail-type': z.string(),
    source: z.literal(EVENT_SOURCE),
    account: z.string(),
    time: z.string(),
    region: z.string(),
    resources: z.array(z.string()),
    // Either, whatever the reader's own setting is: it may be changed while events are under way.
    detail: z.union([detailSchema, cloudEventSchema]),
  })
  .refine(({ detail, 'detail-type': type }) => !('type' in detail) || detail.type === type, {
    error: 'expected the type of the CloudEvent',
    path: ['detail-type'],
  });
export type BusEnvelope = z.infer<typeof busEnvelopeSchema>;

/** What EventBridge calls `Detail`, unless that is to be a CloudEvent (cloud-event.ts). */
export function detailOf(event: LeasekeeperEvent): z.infer<typeof detailSchema> {
  return { id: event.id, schema_version: 1, time: event.time, data: event.data };
}

/** Reads an event back out of its envelope. Throws a ZodError for what is not ours. */
export function eventIn(envelope: unknown): LeasekeeperEvent {
  const parsed = busEnvelopeSchema.parse(envelope);
  return eventSchema.parse({
    id: parsed.detail.id,
    type: parsed['detail-type'],
    time: parsed.detail.time,
    data: parsed.detail.data,
  });
}
