import * as z from 'zod';

/**
 * What routes answer: for their description, and for the commands, which read answers by it. A field that is not named here is let through
 * and left out, for new ones come without a new version; tests find what is answered and not described.
 */

/** Zod's own pattern for a moment also knows the lengths of months; `format` says that shorter (see json-schema.ts). */
export const moment = z.iso.datetime();

const count = z.int().min(0);
const leaseId = z.string().min(1);
/** The fields of a secret: whatever it has. */
const data = z.record(z.string(), z.unknown()).describe('The secret, for its caller alone.');

export const leaseAnswer = z.object({
  lease_id: leaseId,
  expires_at: moment,
  lease_duration: count.describe('Seconds.'),
  renewable: z.boolean(),
  kept: z
    .boolean()
    .describe('Whether Leasekeeper renews it: a TTL under three scan intervals cannot be kept.'),
  data: data.optional(),
  wrap_info: z
    .object({ token: z.string(), accessor: z.string(), ttl: count.describe('Seconds.') })
    .optional()
    .describe('In place of `data`, when `wrap_ttl` was asked for.'),
});

export const problemAnswer = z.object({
  type: z.string().describe('`urn:leasekeeper:problem:` and the code.'),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  code: z.string().describe('Decide by this. docs/errors.md explains every one.'),
  hint: z.string().optional().describe('What to do.'),
  errors: z
    .array(z.object({ field: z.string(), message: z.string() }))
    .optional()
    .describe('What is wrong with each field. Never a value.'),
  reason: z.string().optional(),
  request_id: z.string(),
});

export const batchAnswer = z.object({
  results: z
    .array(
      z.union([
        z.object({ status: z.literal(201), lease: leaseAnswer }),
        z.object({
          status: z.int().min(400).max(599),
          problem: z.object({
            ...problemAnswer.shape,
            retry_after: count.optional().describe('Seconds.'),
          }),
        }),
      ]),
    )
    .describe('One for each request, in their order.'),
});

export const renewedAnswer = z.object({
  lease_id: leaseId,
  expires_at: moment,
  lease_duration: count.describe('Seconds from now. Less than asked for: its max TTL is near.'),
  renewable: z.boolean(),
});

export const secretAnswer = z.object({
  data,
  version: count.describe('Of KV v2; 0 on KV v1, which has none.'),
  generation: z.int().min(1).optional().describe('Of a managed secret.'),
});

export const acknowledgedAnswer = z.object({
  name: z.string(),
  consumer: z.string(),
  generation: z.int().min(1).describe('The highest that it has acknowledged.'),
});

export const schemaListAnswer = z.object({
  schemas: z.array(
    z.object({ type: z.string(), $id: z.string(), description: z.string(), path: z.string() }),
  ),
});

export const healthAnswer = z.object({
  status: z.enum(['ok', 'failing']),
  seconds_since_scan: count,
});
export const lifeAnswer = z.object({ status: z.enum(['ok', 'stuck']) });
export const readinessAnswer = z.object({ status: z.enum(['ok', 'starting', 'stopping']) });
