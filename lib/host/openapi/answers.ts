import * as z from 'zod';

/**
 * What routes answer, for their description. Strict, so that tests find what is not described; the description itself allows fields that
 * it does not name, for new ones come without a new version.
 */

/** Zod's own pattern for a moment also knows the lengths of months; `format` says that shorter (see json-schema.ts). */
export const moment = z.iso.datetime();

const count = z.int().min(0);
const leaseId = z.string().min(1);
/** The fields of a secret: whatever it has. */
const data = z.record(z.string(), z.unknown()).describe('The secret, for its caller alone.');

export const leaseAnswer = z.strictObject({
  lease_id: leaseId,
  expires_at: moment,
  lease_duration: count.describe('Seconds.'),
  renewable: z.boolean(),
  kept: z
    .boolean()
    .describe('Whether Leasekeeper renews it: a TTL under three scan intervals cannot be kept.'),
  data: data.optional(),
  wrap_info: z
    .strictObject({ token: z.string(), accessor: z.string(), ttl: count.describe('Seconds.') })
    .optional()
    .describe('In place of `data`, when `wrap_ttl` was asked for.'),
});

export const problemAnswer = z.strictObject({
  type: z.string().describe('`urn:leasekeeper:problem:` and the code.'),
  title: z.string(),
  status: z.int().min(400).max(599),
  detail: z.string(),
  code: z.string().describe('Decide by this. docs/errors.md explains every one.'),
  hint: z.string().optional().describe('What to do.'),
  errors: z
    .array(z.strictObject({ field: z.string(), message: z.string() }))
    .optional()
    .describe('What is wrong with each field. Never a value.'),
  reason: z.string().optional(),
  request_id: z.string(),
});

export const batchAnswer = z.strictObject({
  results: z
    .array(
      z.union([
        z.strictObject({ status: z.literal(201), lease: leaseAnswer }),
        z.strictObject({
          status: z.int().min(400).max(599),
          problem: z.strictObject({
            ...problemAnswer.shape,
            retry_after: count.optional().describe('Seconds.'),
          }),
        }),
      ]),
    )
    .describe('One for each request, in their order.'),
});

export const renewedAnswer = z.strictObject({
  lease_id: leaseId,
  expires_at: moment,
  lease_duration: count.describe('Seconds from now. Less than asked for: its max TTL is near.'),
  renewable: z.boolean(),
});

export const secretAnswer = z.strictObject({
  data,
  version: count.describe('Of KV v2; 0 on KV v1, which has none.'),
  generation: z.int().min(1).optional().describe('Of a managed secret.'),
});

export const acknowledgedAnswer = z.strictObject({
  name: z.string(),
  consumer: z.string(),
  generation: z.int().min(1).describe('The highest that it has acknowledged.'),
});

export const schemaListAnswer = z.strictObject({
  schemas: z.array(
    z.strictObject({ type: z.string(), $id: z.string(), description: z.string(), path: z.string() }),
  ),
});

export const healthAnswer = z.strictObject({
  status: z.enum(['ok', 'failing']),
  seconds_since_scan: count,
});
export const lifeAnswer = z.strictObject({ status: z.enum(['ok', 'stuck']) });
export const readinessAnswer = z.strictObject({ status: z.enum(['ok', 'starting', 'stopping']) });
