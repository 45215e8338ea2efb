import { createHash } from 'node:crypto';
import * as z from 'zod';

/**
 * The contract of everything that goes over the bus, version 1. Commands (`….due`) may be lost: the next scan finds the work again.
 * Outcomes may not: they stay in the outbox of their document until the bus has them. No event holds a secret value or a token.
 * docs/events.md shows one of each.
 */
export const EVENT_SOURCE = 'leasekeeper';

const shard = z.number().int().min(0);
/** ISO 8601, UTC. */
export const moment = z.iso.datetime();

const lease = {
  lease_id: z.string(),
  path: z.string().describe('The full path that issued it, with VAULT_NAMESPACE.'),
  consumer: z.string().describe('The service it was issued to, or the name of the managed secret.'),
  expires_at: moment,
  managed: z
    .object({ name: z.string(), generation: z.number() })
    .optional()
    .describe('Set when the lease belongs to a generation of a managed secret.'),
};

const secret = {
  name: z.string().describe('The managed secret.'),
  generation: z.number().int(),
  path: z.string().optional().describe('Where it is published, after VAULT_NAMESPACE.'),
  consumers: z.array(z.string()).describe('Who uses it, by its specification.'),
};

/** Why a rotation was begun. */
export const rotationReasonSchema = z.enum([
  'first',
  'schedule',
  'demand',
  'lease_expiring',
  'lease_lost',
  'drift',
  'leak',
  'supplied',
]);
export type RotationReason = z.infer<typeof rotationReasonSchema>;

export const commandSchemas = {
  'leases.due': z.object({
    shard,
    /** Accessors of parent tokens on which no lease hangs any more, as the scan saw it at `scanned_at` (milliseconds). */
    idle_parents: z.array(z.string()).default([]),
    /** Accessors of parent tokens that end before their leases, with the time in milliseconds. */
    ending_parents: z.record(z.string(), z.number()).default({}),
    scanned_at: z.number(),
  }),
  'rotation.due': z.object({ shard }),
  'delivery.due': z.object({ shard }),
} as const;

export const outcomeSchemas = {
  'lease.expiring': z.object(lease).describe('The end of the lease is fixed and near: ask for a new one.'),
  'lease.renewal_failing': z
    .object({ ...lease, failures: z.number().int() })
    .describe('A renewal failed, and is tried again. Nothing new is issued.'),
  'lease.lost': z.object(lease).describe('Vault no longer knows the lease: ask for a new one.'),
  'secret.rotated': z
    .object({
      ...secret,
      version: z.number().int().optional().describe('The KV version at `path` that holds this generation.'),
      previous_generation: z.number().int().optional().describe('Missing for the first generation.'),
      previous_retires_by: moment
        .optional()
        .describe('When the previous generation is retired at the latest.'),
      reason: rotationReasonSchema.describe('Why the rotation was begun.'),
    })
    .describe('This generation is published; the one before it works until it is retired.'),
  'secret.retired': z
    .object({
      ...secret,
      reason: z
        .enum(['adopted', 'grace', 'idle', 'deadline', 'leak', 'removed'])
        .describe('`grace`: no consumer is named, so the grace alone decided.'),
      not_adopted_by: z.array(z.string()).describe('Consumers that had not acknowledged.'),
    })
    .describe('The credential of this generation is revoked.'),
  'secret.rotation_failed': z
    .object({
      ...secret,
      step: z.enum(['create', 'apply', 'test', 'promote']),
      code: z.string().describe('A stable code, never text from another system.'),
      failures: z.number().int().describe('Attempts in a row that failed.'),
      next_attempt_at: moment,
    })
    .describe('An attempt at this generation failed; the current one stays.'),
  'secret.retire_failing': z
    .object({
      ...secret,
      code: z.string().describe('A stable code, never text from another system.'),
      failures: z.number().int(),
      next_attempt_at: moment,
    })
    .describe('An old generation cannot be revoked: it still works, and is tried again.'),
  'secret.retire_overdue': z
    .object({
      ...secret,
      not_adopted_by: z.array(z.string()).describe('Consumers that have not acknowledged.'),
    })
    .describe('An old generation is kept past its deadline, as its specification says.'),
  'secret.removed': z
    .object({ ...secret, credentials: z.enum(['revoke', 'keep']).describe('What becomes of them.') })
    .describe('No longer managed.'),
  'secret.drift': z
    .object({
      ...secret,
      what: z
        .string()
        .describe('A word such as `published_value_changed`, `lease_revoked` or `value_refused`.'),
    })
    .describe('What is in place is not what Leasekeeper left there, or no longer works.'),
  'subscription.failing': z
    .object({
      subscription: z.string(),
      since: moment.describe('When it failed first. No attempt has succeeded since.'),
      disabled_at: moment.describe('When it is disabled, should this go on.'),
    })
    .describe('An endpoint has failed for a day, or for four: somebody should look at it.'),
  'subscription.test': z
    .object({ subscription: z.string() })
    .describe('Asked for by hand, to see whether notices arrive. Nothing has happened.'),
  'subscription.disabled': z
    .object({
      subscription: z.string(),
      reason: z.enum(['gone', 'failing']).describe('`gone`: the endpoint answered 410.'),
    })
    .describe('Nothing more is sent to this endpoint.'),
} as const;

export const eventSchemas = { ...commandSchemas, ...outcomeSchemas };

export type CommandType = keyof typeof commandSchemas;
export type OutcomeType = keyof typeof outcomeSchemas;
export type EventType = keyof typeof eventSchemas;
export type EventData<T extends EventType> = z.infer<(typeof eventSchemas)[T]>;

export const outcomeTypeSchema = z.enum(Object.keys(outcomeSchemas) as [OutcomeType, ...OutcomeType[]]);

/** One event. The id is the same however often the event is published, so that receivers can drop repeats. */
export type LeasekeeperEvent<T extends EventType = EventType> = {
  readonly [K in T]: {
    readonly id: string;
    readonly type: K;
    /** ISO 8601. */
    readonly time: string;
    readonly data: EventData<K>;
  };
}[T];

export type Outcome = LeasekeeperEvent<OutcomeType>;
export type Command = LeasekeeperEvent<CommandType>;

/** An id that is the same for the same occurrence, whoever derives it. */
export function eventId(...parts: readonly (string | number)[]): string {
  return `evt_${createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 27)}`;
}

export function isCommandType(type: string): type is CommandType {
  return Object.hasOwn(commandSchemas, type);
}

export function isOutcome(event: LeasekeeperEvent): event is Outcome {
  return Object.hasOwn(outcomeSchemas, event.type);
}

const eventOf = <T extends EventType>(type: T) =>
  z.object({ id: z.string(), type: z.literal(type), time: moment, data: eventSchemas[type] });

/** Any outcome, as an outbox keeps it. */
export const outcomeSchema = z.discriminatedUnion('type', [
  eventOf('lease.expiring'),
  eventOf('lease.renewal_failing'),
  eventOf('lease.lost'),
  eventOf('secret.rotated'),
  eventOf('secret.retired'),
  eventOf('secret.rotation_failed'),
  eventOf('secret.retire_failing'),
  eventOf('secret.retire_overdue'),
  eventOf('secret.removed'),
  eventOf('secret.drift'),
  eventOf('subscription.failing'),
  eventOf('subscription.test'),
  eventOf('subscription.disabled'),
]);

/** Any event of ours. */
export const eventSchema = z.discriminatedUnion('type', [
  eventOf('leases.due'),
  eventOf('rotation.due'),
  eventOf('delivery.due'),
  ...outcomeSchema.options,
]);

/** The type of a notice that stands for several. It is never on the bus. */
export const BATCH_TYPE = 'notices.batch';

/** The `$id` of the JSON Schema of a notice; that of its `data` alone has `:data` after it. */
export function noticeSchemaId(type: OutcomeType | typeof BATCH_TYPE): string {
  return `urn:leasekeeper:event:${type}:1`;
}
