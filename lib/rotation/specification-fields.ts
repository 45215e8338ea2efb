import { Cron } from 'croner';
import * as z from 'zod';
import { isPlainPath } from '../vault/addressing.ts';
import { durationSchema } from './duration.ts';
import { evidenceSchema } from './evidence/evidence.ts';
import { nameSchema } from './name.ts';
import { probeSchema } from './probes/probe.ts';

/** A path after VAULT_NAMESPACE. */
export const pathSchema = z
  .string()
  .refine(isPlainPath, 'expected a plain path such as api-gateway/database, without a slash at either end');

/** A notice names them all, twice at most, and stays under 20 kB (Standard Webhooks, "Payload size"). */
const MOST_CONSUMERS = 100;

/** A name that others gave: a Vault role, a key, a connection. One path segment. */
export const segmentSchema = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/, 'expected one path segment of letters, digits and _ . -');

const cron = z.string().refine((pattern) => {
  try {
    return new Cron(pattern, { timezone: 'UTC', paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}, 'expected a cron pattern that will match, such as 0 3 * * *');

/**
 * When to rotate by itself. `every`: that long after the last rotation. `cron`: in UTC, within `window` from then on, each secret at a
 * moment of its own; a rotation that could not begin within the window waits for the next. `fraction`: of the TTL that the current
 * generation was issued with.
 */
const scheduleSchema = z.union(
  [
    z.strictObject({ every: durationSchema }),
    z.strictObject({ cron, window: durationSchema.default(3_600_000) }),
    z.strictObject({ fraction: z.number().gt(0).lte(1) }),
  ],
  { error: 'expected {every: 30d}, {cron: "0 3 * * *", window: 1h} or {fraction: 0.66}' },
);

/** By the credential's own last use, of kinds whose issuer tells it. */
const lastUsedSchema = z.strictObject({
  kind: z.literal('last_used'),
  /** How long it must not have been used. */
  idle_for: durationSchema.prefault('1h'),
});

const DAY_MS = 86_400_000;

/** What every kind has. */
export const commonFields = {
  name: nameSchema,
  /** Without one, only when the generation nears its end, or on demand. */
  schedule: scheduleSchema.optional(),
  /** How long the old generation is kept at least. */
  grace: durationSchema,
  /** How long it is kept at most, waiting for consumers to adopt the new one. */
  deadline: durationSchema,
  /** After the deadline: it is retired, and the event says who had not moved; or it is kept, and an event says so. */
  at_deadline: z.enum(['retire', 'keep']).default('retire'),
  /** Services that acknowledge a generation before the one before it is retired. */
  consumers: z.array(nameSchema).max(MOST_CONSUMERS, `expected at most ${MOST_CONSUMERS}`).default([]),
  /** What shows that the old generation is no longer used, whether its consumers acknowledge or not. */
  evidence: z.discriminatedUnion('kind', [...evidenceSchema.options, lastUsedSchema]).optional(),
  test: probeSchema.optional(),
  /** How often to look whether something has changed behind our back. */
  verify_every: durationSchema.pipe(z.number().min(1_000, 'expected at least 1s')).prefault('1h'),
  /** What to do then: rotate, or only tell. */
  on_drift: z.enum(['rotate', 'tell']).default('rotate'),
};

/** The same for kinds whose value is published: where in KV, after VAULT_NAMESPACE. */
export const publishedFields = { ...commonFields, publish: pathSchema };

/** For kinds that publish nothing and keep nothing to retire. */
export const inPlaceFields = {
  ...commonFields,
  grace: durationSchema.prefault('0s'),
  deadline: durationSchema.prefault('0s'),
  publish: z.undefined().optional(),
  test: z.never({ error: 'expected none: there is no value to try' }).optional(),
  evidence: z.never({ error: 'expected none: there is no old generation that could be in use' }).optional(),
};

/** For kinds whose credentials are issued under a token made for each attempt. */
export const attemptTokenFields = {
  /** The token role of attempts: `orphan`, `allowed_policies` with the right to the source, `token_no_default_policy`. */
  token_role: nameSchema,
  /** How long an attempt's token lives before it is recorded: login, a slow engine and two writes. */
  attempt_ttl: durationSchema.default(60_000),
  /** What the token of a recorded generation is renewed to each time. */
  token_ttl: durationSchema.default(DAY_MS),
};
