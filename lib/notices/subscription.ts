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
const pattern = z.string().regex(/^[A-Za-z0-9._*-]{1,128}$/);

/** Who wants which notices. Times in milliseconds since the epoch. The document is readable by `notify` and by operators only. */
export const subscriptionSchema = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  url: z.string(),
  /** Event types, such as `secret.*`. */
  types: z.array(pattern).min(1),
  /** Names of managed secrets and of consumers. */
  names: z.array(pattern).min(1),
  /** One, or two while one replaces the other: both sign until the older one's time is up. */
  secrets: z
    .array(z.object({ secret: signingSecret, until: z.number().optional() }))
    .refine((secrets) => secrets.some(({ until }) => until === undefined), 'expected one without `until`'),
  disabled: z.object({ at: z.number(), reason: z.enum(['gone', 'failing', 'by_hand']) }).optional(),
  /** Since when no attempt has succeeded. Written on a change only. */
  failing_since: z.number().optional(),
});
export type Subscription = z.infer<typeof subscriptionSchema>;

/** An endpoint that has failed for this long on end is disabled. */
export const DISABLED_AFTER_MS = 5 * 24 * 3_600_000;

/** Whether a subscription wants an event. Pure. */
export function wants(subscription: Subscription, event: Outcome): boolean {
  if (subscription.disabled !== undefined) return false;
  // It could only be told at the very address that does not work.
  if ('subscription' in event.data && event.data.subscription === subscription.id) return false;
  const matches = (patterns: readonly string[], text: string) =>
    patterns.some((one) => globMatches(one, text));
  return (
    matches(subscription.types, event.type) &&
    subjectsOf(event).some((name) => matches(subscription.names, name))
  );
}

/** The names an event is about: the managed secret and its consumers, or the lease's consumer. */
function subjectsOf(event: Outcome): readonly string[] {
  if ('subscription' in event.data) return [event.data.subscription];
  if ('name' in event.data) return [event.data.name, ...event.data.consumers];
  return [event.data.consumer];
}

/** Takes the first place that fits for each piece: no pattern of a subscriber's makes it go back, as a regular expression would. */
function globMatches(glob: string, text: string): boolean {
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

/** The subscription after an attempt; the same object when nothing is to be written. */
export function withHealth(subscription: Subscription, delivered: boolean, now: number): Subscription {
  if (delivered) {
    return subscription.failing_since === undefined
      ? subscription
      : { ...subscription, failing_since: undefined };
  }
  if (subscription.failing_since === undefined) return { ...subscription, failing_since: now };
  if (subscription.disabled === undefined && now - subscription.failing_since >= DISABLED_AFTER_MS) {
    return { ...subscription, disabled: { at: now, reason: 'failing' } };
  }
  return subscription;
}
