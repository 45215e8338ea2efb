import * as z from 'zod';
import type { ProbeResult } from '../probes/probe-result.ts';

/**
 * What tells one generation's credential from others and lets it be revoked, whatever has become of the specification since. It is
 * stored: it is no secret. A `username` in it is the one that evidence looks for.
 */
export const handleSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
export type Handle = z.infer<typeof handleSchema>;

/** The secret itself. It goes to the pending path and, once tested, to the published path, and nowhere else. */
export type Value = Readonly<Record<string, unknown>>;

/** One try at making one generation. Every method of a rotator may be called again for the same attempt. */
export interface Attempt<Spec> {
  /** A ULID, new for each try and each takeover. */
  readonly id: string;
  readonly generation: number;
  readonly spec: Spec;
  /** Of the generation that is current meanwhile; undefined for the first. */
  readonly current: Handle | undefined;
  /** Of the generations on their way out, which may still be in use. */
  readonly retiring: readonly Handle[];
  /** The current one has leaked: what is on its way out is not spared for it. */
  readonly urgent: boolean;
  /**
   * To be called right before a call that cannot be fenced by Vault. Throws `rotation_claim_lost` when another worker may have taken this
   * attempt over by now.
   */
  readonly assertClaimed: () => void;
}

export interface Created {
  readonly handle: Handle;
  /** Left out by kinds that publish nothing, and by those whose value can be read back where it is kept. */
  readonly value?: Value;
  /** When the credential ends whatever anybody does, in milliseconds since the epoch. */
  readonly endsAt?: number;
  /** The TTL that it was issued with, in milliseconds: what a schedule by `fraction` is a fraction of. */
  readonly ttlMs?: number;
}

/** A generation to be revoked, or to be looked at. */
export interface Ended {
  readonly name: string;
  readonly generation: number;
  readonly handle: Handle;
  /** Where it was published, after VAULT_NAMESPACE, and as which KV version; undefined for one that never was. */
  readonly published: { readonly path: string; readonly version: number } | undefined;
}

/**
 * How one kind of secret is made, tried and ended. Whatever `create` makes must end by itself soon, or be found by `reap`, until its
 * handle is recorded: a worker may die right after the call.
 */
export interface Rotator<Spec> {
  /**
   * For what is made outside Vault's leases: everything that `reap` needs to find what an attempt has left behind. It is recorded before
   * `create` is called. Holds no secret.
   */
  intent?(attempt: Attempt<Spec>): Handle;
  create(attempt: Attempt<Spec>): Promise<Created>;
  /** Called once the handle is recorded: takes the credential out of its attempt's short life. False: it is gone already. */
  keep?(attempt: Attempt<Spec>, handle: Handle): Promise<boolean>;
  /** Makes the outside system accept the value. Only by the worker that holds the claim. What it returns replaces the handle. */
  apply?(
    attempt: Attempt<Spec>,
    handle: Handle,
    /** What `create` has made; undefined when it made no value. */
    value: () => Promise<Value | undefined>,
  ): Promise<Handle>;
  /** Reads the value where it is kept. Without it, the value that `create` made waits at the pending path. */
  value?(attempt: Attempt<Spec>, handle: Handle): Promise<Value>;
  /** Besides the specification's own `test`. `value` is undefined for kinds that publish nothing. */
  test?(attempt: Attempt<Spec>, handle: Handle, value: Value | undefined): Promise<ProbeResult>;
  /** Ends a credential. One that is gone already counts as ended. Throws when it may still live. */
  revoke?(ended: Ended): Promise<void>;
  /** Ends whatever an abandoned attempt has made. Called several times over a day. Throws when it cannot tell. */
  reap?(intent: Handle): Promise<void>;
  /** What has changed behind our back, as a word for the event `secret.drift`; undefined: nothing. */
  inspect?(
    spec: Spec,
    current: Ended,
    /** What is published of it; undefined when that is gone, or there is none. */
    value: () => Promise<Value | undefined>,
  ): Promise<string | undefined>;
  /** When the credential was last used, in milliseconds since the epoch; undefined when that cannot be told. */
  lastUsed?(ended: Ended): Promise<number | undefined>;
}
