import * as z from 'zod';
import type { Outcome } from '../bus/events.ts';
import { checkSigningSecret } from './signature.ts';

const signingSecret = z.string().refine((secret) => {
  try {
    checkSigningSecret(secret);
    return true;
  } catch {
    return false;
  }
}, 'expected whsec_ and the base64 of 24 to 64 random bytes');

/** Letters, digits, dots, dashes and underscores, with `*` for any run of them. */
export const patternSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9._*-]{1,128}$/,
    'expected letters, digits, dots, dashes and underscores, with * for any run of them',
  );

/**
 * Whose a subscription is: a consumer, which hears of what concerns itself; or `_all`, the operators', who hear of everything. No consumer
 * can have that name (lib/rotation/name.ts).
 */
export const EVERYBODY = '_all';
const OWNER = `(?:${EVERYBODY}|[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)`;
export const ownerSchema = z.string().regex(new RegExp(`^${OWNER}$`));

/**
 * Most subscriptions of one owner. The document of a dispatch has a notice for each: if all of them fail ten times, those of one owner take
 * an eighth of the 1 MiB that a storage entry may have.
 */
export const MOST_OF_ONE_OWNER = 100;

/** `<owner>:<name>`. The owner is a folder in Vault, so that a policy can give a consumer its own subscriptions and no others. */
export const subscriptionIdSchema = z.string().regex(new RegExp(`^${OWNER}:[A-Za-z0-9_-]{1,64}$`));

const ends = ['gone', 'failing', 'by_hand'] as const;

/** Who wants which notices. Times in milliseconds since the epoch. The document is readable by `notify`, its owner and operators only. */
export const subscriptionSchema = z.object({
  id: subscriptionIdSchema,
  url: z.string().max(2_048),
  description: z.string().max(256).optional(),
  /** Event types, such as `secret.*`. */
  types: z.array(patternSchema).min(1),
  /** Names of managed secrets and of consumers. */
  names: z.array(patternSchema).min(1),
  /** One, or two while one replaces the other: both sign until the older one's time is up. */
  secrets: z
    .array(z.object({ secret: signingSecret, until: z.number().optional() }))
    .refine((secrets) => secrets.some(({ until }) => until === undefined), 'expected one without `until`'),
  /** Notices are gathered for this long, and sent as one. */
  batch_ms: z.int().min(1_000).max(3_600_000).optional(),
  /** Adds the CloudEvents headers to each notice. */
  cloudevents: z.boolean().optional(),
  created: z.number().optional(),
  disabled: z.object({ at: z.number(), reason: z.enum(ends) }).optional(),
  /** Since when no attempt has succeeded. Written on a change only. */
  failing_since: z.number().optional(),
  /** How many of the warnings have been given since then (health.ts). */
  warned: z.int().optional(),
});
export type Subscription = z.infer<typeof subscriptionSchema>;

export function ownerOf(id: string): string {
  return id.slice(0, id.indexOf(':'));
}

/** Whether a subscription wants an event. Pure. */
export function wants(subscription: Subscription, event: Outcome): boolean {
  if (subscription.disabled !== undefined) return false;
  // A test is for one subscription, and recorded for it directly.
  if (event.type === 'subscription.test') return false;
  // It could only be told at the very address that does not work.
  if ('subscription' in event.data && event.data.subscription === subscription.id) return false;
  const matches = (patterns: readonly string[], text: string) =>
    patterns.some((one) => globMatches(one, text));
  return (
    concerns(event, ownerOf(subscription.id)) &&
    matches(subscription.types, event.type) &&
    subjectsOf(event).some((name) => matches(subscription.names, name))
  );
}

/** A consumer hears only of secrets and leases that it uses, whatever its filter says. */
function concerns(event: Outcome, owner: string): boolean {
  if (owner === EVERYBODY) return true;
  if ('subscription' in event.data) return ownerOf(event.data.subscription) === owner;
  if ('name' in event.data) return event.data.consumers.includes(owner);
  return event.data.consumer === owner;
}

/** The names an event is about: the managed secret and its consumers, or the lease's consumer. */
function subjectsOf(event: Outcome): readonly string[] {
  if ('subscription' in event.data) return [event.data.subscription, ownerOf(event.data.subscription)];
  if ('name' in event.data) return [event.data.name, ...event.data.consumers];
  return [event.data.consumer];
}

/** Takes the first place that fits for each piece: no pattern of a subscriber's makes it go back, as a regular expression would. */
export function globMatches(glob: string, text: string): boolean {
  const [first = '', ...rest] = glob.split('*');
  const last = rest.pop();
  if (last === undefined) return text === glob;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

/** The secrets that sign at `now`. The newest never runs out, so there is always one. */
export function signingSecretsAt(subscription: Subscription, now: number): readonly string[] {
  return subscription.secrets
    .filter(({ until }) => until === undefined || until > now)
    .map(({ secret }) => secret);
}
