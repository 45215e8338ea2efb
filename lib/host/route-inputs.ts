import * as z from 'zod';
import { issueRequestSchema } from '../access/issue.ts';
import { dispatchKeySchema } from '../notices/dispatch.ts';
import { noticeSchema } from '../notices/notice.ts';
import { replaySchema } from '../notices/replay.ts';
import { ownerSchema } from '../notices/subscription.ts';
import { DEFAULT_OVERLAP_MS, overlapSchema } from '../notices/subscription-changes.ts';
import { nameSchema } from '../rotation/name.ts';
import { limitField, limitParameter } from './query.ts';

/** What routes take that no room has a schema for: query parameters, and bodies that only exist over HTTP. */

const MOST_IN_ONE_BATCH = 20;

export const batchBody = z.strictObject({
  requests: z
    .array(issueRequestSchema)
    .min(1, 'expected at least one')
    .max(MOST_IN_ONE_BATCH, `expected at most ${MOST_IN_ONE_BATCH}`),
});

export const acknowledgementBody = z.strictObject({
  consumer: nameSchema,
  generation: z.int().min(1),
});

/** What to replay, and beside it where to go on. */
export const replayBody = z
  .looseObject({ after: z.string().max(128).optional(), limit: limitField })
  .transform(({ after, limit, ...asked }, context) => {
    const what = replaySchema.safeParse(asked);
    if (what.success) return { what: what.data, page: { limit, ...(after === undefined ? {} : { after }) } };
    for (const { message } of what.error.issues) context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

export const readQuery = z.object({
  generation: z
    .union(
      [
        z.enum(['current', 'previous']),
        z
          .string()
          .regex(/^[1-9]\d{0,14}$/)
          .transform(Number),
      ],
      { error: 'expected a number, current or previous' },
    )
    .optional(),
});

export const managedListQuery = z.object({
  limit: limitParameter,
  after: nameSchema.optional(),
  removed: z
    .enum(['true', 'false'], { error: 'expected true or false' })
    .transform((text) => text === 'true')
    .default(false),
});

export const rotateQuery = z.object({
  revoke: z.literal('immediately', { error: 'expected immediately, or none' }).optional(),
});

export const removeQuery = z.object({
  credentials: z.enum(['revoke', 'keep'], { error: 'expected revoke or keep' }),
});

export const subscriptionListQuery = z.object({
  consumer: ownerSchema.optional(),
  after: z.string().max(256).optional(),
  limit: limitParameter,
});

export const rotateSecretQuery = z.object({ overlap: overlapSchema.default(DEFAULT_OVERLAP_MS) });

export const noticesQuery = z.object({
  dispatch: dispatchKeySchema.optional().describe('Only the notice of this dispatch.'),
  state: noticeSchema.shape.state.optional(),
  since: z.iso
    .datetime({ offset: true, error: 'expected a time such as 2026-11-21T20:00:00Z' })
    .transform((text) => Date.parse(text))
    .optional(),
  after: z.string().max(512).optional(),
  limit: limitParameter,
});
