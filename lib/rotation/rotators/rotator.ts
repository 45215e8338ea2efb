import * as z from 'zod';
import type { ProbeResult } from '../probes/probe-result.ts';

/** What tells one generation's credential from others and lets it be revoked. It is stored: it is no secret. */
export const handleSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
export type Handle = z.infer<typeof handleSchema>;

/** One try at making one generation. Every method of a rotator may be called again for the same attempt. */
export interface Attempt<Spec> {
  /** A ULID, new for each try and each takeover. */
  readonly id: string;
  readonly generation: number;
  readonly spec: Spec;
}

export interface Created {
  readonly handle: Handle;
  /** The secret itself: it goes to the pending path and, once tested, to the published path, and nowhere else. */
  readonly value: Readonly<Record<string, unknown>>;
}

/**
 * How one kind of secret is made, tried and ended. Whatever `create` makes must end by itself, or be found by the attempt's id, until
 * `keep` was called: a worker may die right after it.
 */
export interface Rotator<Spec> {
  create(attempt: Attempt<Spec>): Promise<Created>;
  /** Called once the handle is recorded: takes the credential out of its attempt's short life. False: it is gone already. */
  keep(attempt: Attempt<Spec>, handle: Handle): Promise<boolean>;
  /** Makes the outside system accept the value. */
  apply?(attempt: Attempt<Spec>, handle: Handle): Promise<void>;
  test(attempt: Attempt<Spec>, value: Readonly<Record<string, unknown>>): Promise<ProbeResult>;
  /** Ends a credential. One that is gone already counts as ended. Throws when it may still live. */
  revoke(spec: Spec, handle: Handle): Promise<void>;
}
