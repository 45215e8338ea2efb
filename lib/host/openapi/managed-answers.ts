import * as z from 'zod';
import { rotationReasonSchema } from '../../bus/events.ts';
import { specificationSchema } from '../../rotation/specification.ts';
import { failedStepSchema, rotationStateSchema } from '../../rotation/state.ts';
import { moment } from './answers.ts';

/** What the routes under /v1/managed answer: lib/host/managed-summary.ts builds it. */

const generation = z.int();
const phase = rotationStateSchema.shape.phase;
const failures = z.int().min(0);
const who = z.string();

export const listedAnswer = z.object({
  name: z.string(),
  kind: z.string(),
  phase,
  generation: generation.nullable().describe('Null: there is none yet.'),
  retiring: z.array(generation),
  due: moment
    .nullable()
    .describe('When the next rotation begins, or the one under way is tried again; null: when asked.'),
  failures,
  paused: z.boolean(),
  removed: z.boolean(),
  drift: z.boolean(),
});

export const managedListAnswer = z.object({
  managed: z.array(z.union([listedAnswer, z.object({ name: z.string(), unreadable: z.literal(true) })])),
  next: z.string().optional().describe('What to send as `after`, when there are more.'),
});

const retiring = z.object({
  generation,
  kind: z.string(),
  why: z.enum(['replaced', 'leak', 'undone', 'removed']),
  not_before: moment,
  deadline: moment,
  waiting_for: z.array(z.string()).describe('Consumers that have not acknowledged a later one.'),
  idle_since: moment.optional(),
  overdue: z.boolean(),
  failures,
  failed: z.string().optional().describe('A code.'),
  retry_at: moment.optional(),
});

const pending = z.object({
  generation: generation.optional(),
  kind: z.string().optional(),
  reason: rotationReasonSchema,
  by: who.optional(),
  begun: moment.optional(),
  failed: z
    .object({ step: failedStepSchema, code: z.string(), retryAfterMs: z.number().optional() })
    .optional(),
  retry_at: moment.optional(),
});

const past = z.object({
  generation,
  kind: z.string(),
  reason: rotationReasonSchema,
  by: who.optional(),
  begun: moment,
  promoted: moment,
  took: z.record(z.string(), z.number()).describe('Milliseconds, by step.'),
  failures,
  retired: moment.optional(),
  retired_because: z.string().optional(),
});

export const managedAnswer = z.object({
  name: z.string(),
  kind: z.string(),
  specification: specificationSchema,
  phase,
  generation: generation.nullable().describe('Null: there is none yet.'),
  since: moment.optional(),
  ends_at: moment.optional(),
  published: z.object({ path: z.string(), version: z.int() }).optional(),
  pending: pending.optional(),
  next_rotation: moment.optional(),
  next_reason: rotationReasonSchema.optional(),
  window_closes: moment.optional(),
  asked_meanwhile: z.object({ reason: rotationReasonSchema, by: who.optional() }).optional(),
  failures,
  retiring: z.array(retiring),
  acknowledged: z.record(z.string(), z.number()).describe('The highest generation of each consumer.'),
  paused: z.object({ at: moment, by: who.optional() }).optional(),
  removed: z.object({ at: moment, by: who.optional(), credentials: z.enum(['revoke', 'keep']) }).optional(),
  drift: z.string().optional().describe('A code.'),
  verify_at: moment.optional(),
  reaping: z.object({ count: z.int().min(0), failed: z.string().optional() }),
  history: z.array(past),
  unpublished_events: z.int().min(0),
  document_version: z.int().min(1),
});
