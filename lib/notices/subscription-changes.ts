import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { BATCH_TYPE, outcomeSchemas } from '../bus/events.ts';
import { durationSchema } from '../rotation/duration.ts';
import {
  EVERYBODY,
  globMatches,
  ownerOf,
  ownerSchema,
  patternSchema,
  type Subscription,
} from './subscription.ts';

/** What a subscriber may say of a subscription, and what becomes of the document by it. All of it is pure. */

const MOST_TYPES = 50;
const MOST_NAMES = 100;
/** Older signing secrets that are kept while they still sign. A rotation beyond that drops those that would end first. */
export const MOST_OLD_SECRETS = 10;
/** How long the old signing secret goes on signing when nobody says otherwise, in milliseconds. */
export const DEFAULT_OVERLAP_MS = 24 * 3_600_000;

/** How long both sign, as a duration; milliseconds once it is parsed. Whoever needs longer has a receiver that never learns the new one. */
export const overlapSchema = durationSchema.pipe(z.number().max(30 * 24 * 3_600_000, 'expected at most 30d'));

const types = Object.keys(outcomeSchemas);
/** Sent to the one subscription that is tested, whatever its filter. */
const heard = types.filter((type) => type !== 'subscription.test');

/** A misspelt type would never be noticed: it would just never come. */
const typePattern = patternSchema.pipe(
  z
    .string()
    .refine(
      (pattern) => [...types, BATCH_TYPE].some((type) => globMatches(pattern, type)),
      'matches no type of notice; docs/events.md lists them',
    ),
);

const typesSchema = z
  .array(typePattern)
  .min(1, 'expected at least one')
  .max(MOST_TYPES, `expected at most ${MOST_TYPES}`)
  .refine((patterns) => patterns.some((pattern) => heard.some((type) => globMatches(pattern, type))), {
    error: 'matches no event that a subscription hears of',
    // The faults of single patterns say more.
    when: ({ issues }) => issues.length === 0,
  });

const namesSchema = z
  .array(patternSchema)
  .min(1, 'expected at least one')
  .max(MOST_NAMES, `expected at most ${MOST_NAMES}`);

const batchSchema = durationSchema.pipe(
  z.number().min(1_000, 'expected at least 1s').max(3_600_000, 'expected at most 1h'),
);

const consumerSchema = z
  .string()
  .refine(
    (name) => name !== EVERYBODY && ownerSchema.safeParse(name).success,
    'expected lower-case letters, digits and dashes, at most 63 characters',
  );

const urlSchema = z.string().min(1, 'expected a URL').max(2_048, 'expected at most 2048 characters');
const descriptionSchema = z.string().max(256, 'expected at most 256 characters');

/** A subscription as it is asked for. */
export const newSubscriptionSchema = z.strictObject({
  /** Whose it is; left out, the operators', who hear of everything. */
  consumer: consumerSchema.optional(),
  url: urlSchema,
  types: typesSchema.default(['*']),
  names: namesSchema.default(['*']),
  /** A duration such as `30s`; milliseconds once it is parsed. */
  batch: batchSchema.optional(),
  cloudevents: z.boolean().optional(),
  description: descriptionSchema.optional(),
});
export type NewSubscription = z.infer<typeof newSubscriptionSchema>;

/** What may be changed of a subscription; what is left out stays. Null: no more. */
export const subscriptionChangesSchema = z.strictObject({
  url: urlSchema.optional(),
  types: typesSchema.optional(),
  names: namesSchema.optional(),
  batch: batchSchema.nullable().optional(),
  cloudevents: z.boolean().optional(),
  description: descriptionSchema.nullable().optional(),
});
export type SubscriptionChanges = z.infer<typeof subscriptionChangesSchema>;

export function ownerWanted({ consumer = EVERYBODY }: Pick<NewSubscription, 'consumer'>): string {
  return consumer;
}

/** `now` in milliseconds since the epoch. */
export function newSubscription(
  { consumer: _, batch, ...wanted }: NewSubscription,
  { id, secret, now }: { readonly id: string; readonly secret: string; readonly now: number },
): Subscription {
  return { id, ...wanted, batch_ms: batch, secrets: [{ secret }], created: now };
}

/** Whether a subscription has what is wanted already: the same endpoint hears of the same. */
export function isAlike(
  subscription: Subscription,
  wanted: Pick<NewSubscription, 'url' | 'types' | 'names'>,
): boolean {
  const same = (one: readonly string[], other: readonly string[]) =>
    isDeepStrictEqual(new Set(one), new Set(other));
  return (
    subscription.url === wanted.url &&
    same(subscription.types, wanted.types) &&
    same(subscription.names, wanted.names)
  );
}

/** The same object when nothing changes. Another endpoint has not failed yet. */
export function changed(subscription: Subscription, changes: SubscriptionChanges): Subscription {
  const { url = subscription.url, batch, description } = changes;
  const after: Subscription = {
    ...(url === subscription.url ? subscription : withoutFailure(subscription)),
    url,
    types: changes.types ?? subscription.types,
    names: changes.names ?? subscription.names,
    cloudevents: changes.cloudevents ?? subscription.cloudevents,
    batch_ms: batch === undefined ? subscription.batch_ms : (batch ?? undefined),
    description: description === undefined ? subscription.description : (description ?? undefined),
  };
  return isStoredAlike(after, subscription) ? subscription : after;
}

/** One that is disabled already stays as it is, with its reason. */
export function disabledByHand(subscription: Subscription, now: number): Subscription {
  return subscription.disabled === undefined
    ? { ...subscription, disabled: { at: now, reason: 'by_hand' } }
    : subscription;
}

/** It has its five days anew. */
export function enabled(subscription: Subscription): Subscription {
  const { disabled: _, ...after } = withoutFailure(subscription);
  return isStoredAlike(after, subscription) ? subscription : after;
}

/**
 * Another secret signs from now on; the one before it, too, for `overlapMs` more. With none, no old secret signs any more: one has leaked.
 * Asked again with the same secret, nothing changes.
 */
export function withNewSecret(
  subscription: Subscription,
  secret: string,
  { overlapMs, now }: { readonly overlapMs: number; readonly now: number },
): Subscription {
  if (subscription.secrets.some((one) => one.secret === secret)) return subscription;
  const old = subscription.secrets
    .map((one) => ({ secret: one.secret, until: one.until ?? now + overlapMs }))
    .filter(({ until }) => overlapMs > 0 && until > now)
    .toSorted((a, b) => b.until - a.until)
    .slice(0, MOST_OLD_SECRETS);
  return { ...subscription, secrets: [{ secret }, ...old] };
}

/**
 * All of a subscription that may be shown: of its signing secrets only until when the old ones sign. Fields that are undefined are left out
 * of JSON.
 */
export function showable({ id, secrets, disabled, ...subscription }: Subscription) {
  const owner = ownerOf(id);
  const { url, description, types, names, cloudevents, batch_ms: batch, warned } = subscription;
  return {
    id,
    consumer: owner === EVERYBODY ? undefined : owner,
    url,
    description,
    types,
    names,
    cloudevents,
    batch: batch === undefined ? undefined : durationText(batch),
    secrets: secrets.map(({ until }) => ({ until: moment(until) })),
    created: moment(subscription.created),
    disabled: disabled && { at: moment(disabled.at), reason: disabled.reason },
    failing_since: moment(subscription.failing_since),
    warned,
  };
}
export type ShownSubscription = ReturnType<typeof showable>;

function withoutFailure({ failing_since: _, warned: __, ...rest }: Subscription): Subscription {
  return rest;
}

/** Whether both are the same once they are written. */
function isStoredAlike(one: Subscription, other: Subscription): boolean {
  return isDeepStrictEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)));
}

function moment(ms: number): string;
function moment(ms: number | undefined): string | undefined;
function moment(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

/** As `batch` takes it. */
function durationText(ms: number): string {
  const units = [
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1_000, 's'],
    [1, 'ms'],
  ] as const;
  let left = ms;
  return units
    .map(([size, unit]) => {
      const count = Math.floor(left / size);
      left -= count * size;
      return count === 0 ? '' : `${count}${unit}`;
    })
    .join('');
}
