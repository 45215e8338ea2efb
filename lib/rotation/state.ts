import * as z from 'zod';
import { outcomeSchema, rotationReasonSchema } from '../bus/events.ts';
import { handleSchema } from './rotators/rotator.ts';

/** Times in milliseconds since the epoch, by Vault's clock. */
const credential = {
  g: z.number().int(),
  /** The kind that made it, whatever the specification says now. */
  kind: z.string(),
  h: handleSchema,
  /** Where it is published, after VAULT_NAMESPACE, and as which KV version. */
  published: z.object({ path: z.string(), version: z.number().int() }).optional(),
};

const generationSchema = z.object({
  ...credential,
  since: z.number(),
  /** When it ends whatever anybody does. */
  endsAt: z.number().optional(),
  /** The TTL it was issued with, in milliseconds. */
  ttlMs: z.number().optional(),
});

/** A generation on its way out. It stays here until its credential is surely revoked. */
const retiringSchema = z.object({
  ...credential,
  notBefore: z.number(),
  deadline: z.number(),
  /** Why it goes: replaced, replaced because it leaked, never promoted, or no longer managed. */
  why: z.enum(['replaced', 'leak', 'undone', 'removed']),
  /** When to look next whether it is adopted. */
  lookAt: z.number().default(0),
  /** Since when there is evidence that nobody uses it. */
  idleSince: z.number().optional(),
  /** Its deadline has passed, it is kept, and that has been told. */
  overdue: z.boolean().default(false),
  failures: z.number().int(),
  /** What the last try to revoke it failed with. */
  failed: z.string().optional(),
  retryAt: z.number(),
});
export type Retiring = z.infer<typeof retiringSchema>;

/** What an abandoned attempt may have left outside Vault's leases. It is looked for several times over a day. */
const reapSchema = z.object({
  att: z.string(),
  kind: z.string(),
  intent: handleSchema,
  since: z.number(),
  next: z.number(),
  tries: z.number().int(),
  failed: z.string().optional(),
});
export type Reap = z.infer<typeof reapSchema>;

export const failedStepSchema = z.enum(['create', 'apply', 'test', 'promote']);
export type FailedStep = z.infer<typeof failedStepSchema>;

const whoSchema = z.string().max(256);

/** One past rotation. */
const historySchema = z.object({
  g: z.number().int(),
  kind: z.string(),
  reason: rotationReasonSchema,
  /** Who asked for it; undefined: nobody did. */
  by: whoSchema.optional(),
  begun: z.number(),
  promoted: z.number(),
  /** How long each step took, in milliseconds. */
  took: z.record(z.string(), z.number()),
  /** Tries that failed before it. */
  failures: z.number().int(),
  retired: z.number().optional(),
  retiredBecause: z.string().optional(),
});
export type PastRotation = z.infer<typeof historySchema>;

/**
 * The rotation state of one managed secret. The letters of a pending generation are those of the protocol: `att` the attempt, `g` the
 * generation, `h` its handle once recorded, `pv` the version that publishing must replace.
 */
export const rotationStateSchema = z.object({
  phase: z.enum(['idle', 'create', 'apply', 'test', 'promote', 'undo']),
  att: z.string().optional(),
  g: z.number().int().optional(),
  /** The kind of the attempt. */
  kind: z.string().optional(),
  /** What is recorded before anything is made, so that it can be found again. */
  intent: handleSchema.optional(),
  h: handleSchema.optional(),
  endsAt: z.number().optional(),
  ttlMs: z.number().optional(),
  pv: z.number().int().optional(),
  owner: z.string().optional(),
  claimUntil: z.number().optional(),
  /** A step that was refused is entered again then. */
  retryAt: z.number().optional(),
  reason: rotationReasonSchema,
  /** Who asked for it. */
  by: whoSchema.optional(),
  /** Why the pending generation is being undone, and how long the other side wants to be left alone, in milliseconds. */
  failed: z
    .object({ step: failedStepSchema, code: z.string(), retryAfterMs: z.number().optional() })
    .optional(),
  failures: z.number().int(),
  /** When each step of the attempt was done. */
  marks: z.record(z.string(), z.number()).default({}),
  cur: generationSchema.optional(),
  /** The highest generation there ever was: none is used twice. */
  top: z.number().int().default(0),
  retiring: z.array(retiringSchema),
  /** Attempts that are over, whose pending values are still to be deleted. */
  sweep: z.array(z.string()),
  reap: z.array(reapSchema).default([]),
  /** When the next rotation begins; undefined: only when asked, or when the lease ends. */
  due: z.number().optional(),
  /** When the window of the scheduled rotation closes. */
  closes: z.number().optional(),
  /** Asked for while another was under way that does not answer it. */
  again: z.object({ reason: rotationReasonSchema, by: whoSchema.optional() }).optional(),
  /** Nothing begins and nothing retires by itself. */
  paused: z.object({ at: z.number(), by: whoSchema.optional() }).optional(),
  removed: z
    .object({ at: z.number(), by: whoSchema.optional(), credentials: z.enum(['revoke', 'keep']) })
    .optional(),
  /** The highest generation that each consumer has acknowledged. */
  acks: z.record(z.string(), z.number()),
  /** When to look next for what has changed behind our back. */
  verifyAt: z.number().optional(),
  /** What was found so at the current generation, so that it is told once. */
  drift: z.string().optional(),
  /** The last rotations, newest first. */
  history: z.array(historySchema).default([]),
  /** Events that the bus has not yet taken, by id. */
  outbox: z.record(z.string(), outcomeSchema),
});
export type RotationState = z.infer<typeof rotationStateSchema>;

/** The state of a secret that was just specified. Its first generation is due at once, unless its kind has nothing to begin with. */
export function initialState(now: number, begins: 'at_once' | 'when_asked'): RotationState {
  return {
    phase: 'idle',
    reason: 'first',
    failures: 0,
    marks: {},
    top: 0,
    retiring: [],
    sweep: [],
    reap: [],
    due: begins === 'at_once' ? now : undefined,
    acks: {},
    history: [],
    outbox: {},
  };
}
