import * as z from 'zod';
import { subscriptionSchema } from '../../notices/subscription.ts';
import { moment } from './answers.ts';

/** What the routes under /v1/subscriptions answer: lib/notices/subscription-changes.ts and attempt-log.ts build it. */

const { id, url, description, types, names, cloudevents } = subscriptionSchema.shape;

export const subscriptionAnswer = z.object({
  id,
  consumer: z.string().optional().describe('Whose it is; left out for the operators’.'),
  url,
  description,
  types,
  names,
  cloudevents,
  batch: z.string().optional().describe('A duration such as `30s`.'),
  secrets: z
    .array(z.object({ until: moment.optional() }))
    .describe('Its signing secrets: until when the older ones sign too.'),
  created: moment.optional(),
  disabled: z.object({ at: moment, reason: z.enum(['gone', 'failing', 'by_hand']) }).optional(),
  failing_since: moment.optional(),
  warned: z.int().optional(),
});

export const subscriptionWithSecretAnswer = z.object({
  ...subscriptionAnswer.shape,
  secret: z.string().describe('The signing secret, `whsec_…`. It is shown this once.'),
});

const unreadable = z.literal(true).describe('Written by a later version, or by hand.');
const next = z.string().optional().describe('What to send as `after`, when there are more.');

export const subscriptionListAnswer = z.object({
  subscriptions: z.array(z.union([subscriptionAnswer, z.object({ id: z.string(), unreadable })])),
  next,
});

const dispatch = z.string().describe('The key of its dispatch.');

export const testAnswer = z.object({ dispatch });

export const replayAnswer = z.object({
  replayed: z.array(z.string()).describe('Keys of the dispatches whose notice is on its way now.'),
  unreadable: z.array(z.string()),
  next,
});

const notice = z.object({
  dispatch,
  id: z.string().describe('The header `webhook-id`.'),
  type: z.string(),
  types: z.array(z.string()).optional().describe('Of a batch: those in it.'),
  created: moment,
  state: z.enum(['pending', 'delivered', 'failed', 'gathered']),
  due: moment.optional().describe('When it is tried next.'),
  tries: z.int().min(0),
  attempts: z.array(
    z.object({
      at: moment,
      status: z.number().optional(),
      reason: z.string().optional(),
      duration_ms: z.number().optional(),
    }),
  ),
  answer: z.string().optional().describe('The first bytes of the last answer, redacted.'),
});

export const noticesAnswer = z.object({
  notices: z.array(z.union([notice, z.object({ dispatch, unreadable })])),
  next,
});
