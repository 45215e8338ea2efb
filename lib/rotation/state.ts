import * as z from 'zod';
import { outcomeSchema, rotationReasonSchema } from '../bus/events.ts';
import { handleSchema } from './rotators/rotator.ts';

/** Times in milliseconds since the epoch, by Vault's clock. */
const generationSchema = z.object({
  g: z.number().int(),
  h: handleSchema,
  /** The KV version at the published path that holds it. */
  version: z.number().int(),
  since: z.number(),
});

/** A generation on its way out. It stays here until its credential is surely revoked. */
const retiringSchema = z.object({
  g: z.number().int(),
  h: handleSchema,
  notBefore: z.number(),
  deadline: z.number(),
  /** Why it goes: replaced, replaced because it leaked, or never promoted. */
  why: z.enum(['replaced', 'leak', 'undone']),
  failures: z.number().int(),
  retryAt: z.number(),
});
export type Retiring = z.infer<typeof retiringSchema>;

export const failedStepSchema = z.enum(['create', 'apply', 'test', 'promote']);
export type FailedStep = z.infer<typeof failedStepSchema>;

/**
 * The rotation state of one managed secret. The letters of a pending generation are those of the protocol: `att` the attempt, `g` the
 * generation, `h` its handle once recorded, `pv` the version that publishing must replace.
 */
export const rotationStateSchema = z.object({
  phase: z.enum(['idle', 'create', 'apply', 'test', 'promote', 'undo']),
  att: z.string().optional(),
  g: z.number().int().optional(),
  h: handleSchema.optional(),
  pv: z.number().int().optional(),
  owner: z.string().optional(),
  claimUntil: z.number().optional(),
  /** A step that was refused is entered again then. */
  retryAt: z.number().optional(),
  reason: rotationReasonSchema,
  /** Why the pending generation is being undone. */
  failed: z.object({ step: failedStepSchema, code: z.string() }).optional(),
  failures: z.number().int(),
  cur: generationSchema.optional(),
  retiring: z.array(retiringSchema),
  /** Attempts that are over, whose pending values are still to be deleted. */
  sweep: z.array(z.string()),
  /** When the next rotation begins; undefined: only when asked, or when the lease ends. */
  due: z.number().optional(),
  /** The highest generation that each consumer has acknowledged. */
  acks: z.record(z.string(), z.number()),
  /** Events that the bus has not yet taken, by id. */
  outbox: z.record(z.string(), outcomeSchema),
});
export type RotationState = z.infer<typeof rotationStateSchema>;

/** The state of a secret that was just specified: its first generation is due at once. */
export function initialState(now: number): RotationState {
  return {
    phase: 'idle',
    reason: 'first',
    failures: 0,
    retiring: [],
    sweep: [],
    due: now,
    acks: {},
    outbox: {},
  };
}
