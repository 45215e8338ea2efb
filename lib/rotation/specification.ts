import { Cron } from 'croner';
import * as z from 'zod';
import { isPlainPath } from '../vault/addressing.ts';
import { durationSchema } from './duration.ts';
import { probeSchema } from './probes/probe.ts';

const path = z
  .string()
  .refine(isPlainPath, 'expected a plain path such as api-gateway/database, without a slash at either end');

/** Names stand in paths and in policies: nothing in them may mean anything there. */
export const nameSchema = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    'expected lower-case letters, digits and dashes, at most 63 characters',
  );

const cron = z.string().refine((pattern) => {
  try {
    return new Cron(pattern, { timezone: 'UTC', paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}, 'expected a cron pattern that will match, such as 0 3 * * *');

/** When to rotate by itself. Without either, only when its lease ends, or on demand. */
const scheduleSchema = z.union([z.strictObject({ every: durationSchema }), z.strictObject({ cron })]);

const common = {
  name: nameSchema,
  schedule: scheduleSchema.optional(),
  /** How long the old generation is kept at least. */
  grace: durationSchema,
  /** How long it is kept at most, waiting for consumers to adopt the new one. */
  deadline: durationSchema,
  /** Services that acknowledge a generation before the one before it is retired. */
  consumers: z.array(nameSchema).default([]),
  test: probeSchema.optional(),
};

/** Any leased path: database and cloud engines, rabbitmq. */
export const leaseSpecificationSchema = z.strictObject({
  kind: z.literal('lease'),
  ...common,
  /** The path that issues it, after VAULT_NAMESPACE: `database/creds/api-gateway`. */
  source: path,
  /** Where each generation is published in KV, after VAULT_NAMESPACE. */
  publish: path,
  /** The token role of attempts: `orphan`, `allowed_policies` with read on the source, `token_no_default_policy`. */
  token_role: nameSchema,
  /** How long an attempt's token lives before it is recorded: login, a slow database and two writes. */
  attempt_ttl: durationSchema.default(60_000),
  /** What the token of a recorded generation is renewed to each time. */
  token_ttl: durationSchema.default(24 * 3_600_000),
});
export type LeaseSpecification = z.infer<typeof leaseSpecificationSchema>;

/** What a person writes to have a secret managed. Durations are read as milliseconds. */
export const specificationSchema = z
  .discriminatedUnion('kind', [leaseSpecificationSchema])
  .refine((spec) => spec.deadline >= spec.grace, {
    path: ['deadline'],
    message: 'expected at least as long as grace',
  });
export type Specification = z.infer<typeof specificationSchema>;
/** The same before parsing: as it is stored, with durations as text. */
export type SpecificationInput = z.input<typeof specificationSchema>;

/** When a secret last rotated at `from` rotates next; undefined when no schedule says so. Milliseconds. */
export function nextBySchedule(spec: Specification, from: number, spread: number): number | undefined {
  if (spec.schedule === undefined) return undefined;
  if ('every' in spec.schedule) return Math.floor(from + spec.schedule.every * (1 - 0.05 * spread));
  return new Cron(spec.schedule.cron, { timezone: 'UTC', paused: true }).nextRun(new Date(from))?.getTime();
}
