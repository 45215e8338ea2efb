import * as z from 'zod';
import { type OutcomeType, outcomeSchemas, outcomeTypeSchema } from './events.ts';

/** A JSON Schema, draft 2020-12. */
export type NoticeSchema = z.core.JSONSchema.BaseSchema;

/** zod's own pattern for a moment also knows the lengths of months; `format` says that shorter. */
const MOMENT = '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$';

/**
 * The body of a notice for every type of outcome, by that type: `{type, timestamp, data}` (lib/notices/delivery.ts). Fields that it does
 * not name are allowed, for new ones come without a new version. docs/schemas holds what this returns.
 */
export function noticeSchemas(): Readonly<Record<string, NoticeSchema>> {
  return Object.fromEntries(outcomeTypeSchema.options.map((type) => [type, noticeSchema(type)]));
}

function noticeSchema(type: OutcomeType): NoticeSchema {
  const data = outcomeSchemas[type];
  const timestamp = z.iso.datetime().describe('When it happened.');
  const { $schema: _, ...rest } = z.toJSONSchema(z.object({ type: z.literal(type), timestamp, data }), {
    // Read as output, it would forbid fields that are not named.
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      shorten(jsonSchema);
      if (zodSchema === data) delete jsonSchema.description;
    },
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:leasekeeper:event:${type}:1`,
    title: type,
    description: data.description ?? '',
    ...rest,
  };
}

/** Takes out what only repeats how JavaScript represents a number or a moment. */
function shorten(schema: NoticeSchema): void {
  if (schema.format === 'date-time') schema.pattern = MOMENT;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
}
