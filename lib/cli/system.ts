import * as z from 'zod';
import type { UnreadableSecret } from '../host/managed-list.ts';
import type { ListedSecret } from '../host/managed-summary.ts';
import type { healthAnswer } from '../host/openapi/answers.ts';
import { managedAnswer } from '../host/openapi/managed-answers.ts';
import type { subscriptionAnswer } from '../host/openapi/subscription-answers.ts';
import type { UnreadableSubscription } from '../host/subscription-list.ts';
import type { LogPage, LogQuery } from '../notices/attempt-log.ts';
import type { Replay, Replayed, ReplayPage } from '../notices/replay.ts';
import type { newSubscriptionSchema, subscriptionChangesSchema } from '../notices/subscription-changes.ts';
import type { Value } from '../rotation/rotators/rotator.ts';
import type { WrittenSpecification } from '../rotation/specification-faults.ts';
import type { RotationState } from '../rotation/state.ts';

/**
 * What the commands ask of Leasekeeper, the same whether they speak to Vault themselves (vault-system.ts) or to the HTTP API of one that is
 * deployed (remote/api-system.ts). What is refused is refused with the same codes; what else may go wrong on the way, each has its own.
 */
export interface System {
  /** Where it is asked: of the API, or of Vault. */
  readonly address: string;
  /** How scans are, where that is told: by the one-process host alone. */
  readonly scans: () => Promise<z.output<typeof healthAnswer> | undefined>;
  readonly managed: ManagedCalls;
  readonly subscriptions: SubscriptionCalls;
}

/** As the API tells of a managed secret. Its specification is told as it was written, and not looked into: the system may be a later one. */
export const toldSecretSchema = managedAnswer.extend({ specification: z.record(z.string(), z.unknown()) });
export type ToldSecret = z.output<typeof toldSecretSchema>;

/** Throw `managed_secret_unknown` and what lib/host/managed-operations.ts says. */
export interface ManagedCalls {
  list(options: { readonly removed: boolean }): Promise<readonly (ListedSecret | UnreadableSecret)[]>;
  /** With its rotation state, handles included, where Vault itself is asked: the API tells no handle to anybody. */
  show(name: string): Promise<ToldSecret & { readonly state?: RotationState }>;
  apply(written: WrittenSpecification): Promise<ToldSecret>;
  rotate(name: string, leaked: boolean): Promise<ToldSecret>;
  pause(name: string): Promise<ToldSecret>;
  resume(name: string): Promise<ToldSecret>;
  remove(name: string, credentials: 'revoke' | 'keep'): Promise<ToldSecret>;
  supply(name: string, value: Value): Promise<ToldSecret>;
  /** Gives the highest generation that the consumer has acknowledged. */
  acknowledge(name: string, consumer: string, generation: number): Promise<number>;
}

export type ToldSubscription = z.output<typeof subscriptionAnswer>;
export interface ToldSubscriptionWithSecret extends ToldSubscription {
  /** Shown this once. */
  readonly secret: string;
}

/** Throw `subscription_unknown` and what lib/host/subscription-operations.ts and subscription-notices.ts say. */
export interface SubscriptionCalls {
  /** All of them, or one consumer's. */
  list(consumer: string | undefined): Promise<readonly (ToldSubscription | UnreadableSubscription)[]>;
  show(id: string): Promise<ToldSubscription>;
  create(wanted: z.input<typeof newSubscriptionSchema>): Promise<ToldSubscriptionWithSecret>;
  change(id: string, changes: z.input<typeof subscriptionChangesSchema>): Promise<ToldSubscription>;
  disable(id: string): Promise<ToldSubscription>;
  enable(id: string): Promise<ToldSubscription>;
  delete(id: string): Promise<void>;
  rotateSecret(id: string, overlapMs: number): Promise<ToldSubscriptionWithSecret>;
  /** Gives the key of its dispatch. */
  test(id: string): Promise<string>;
  notices(id: string, query: LogQuery): Promise<LogPage>;
  replay(id: string, what: Replay, page: ReplayPage): Promise<Replayed>;
}
