import * as z from 'zod';
import { BATCH_TYPE, noticeSchemaId, type OutcomeType, outcomeSchemas, outcomeTypeSchema } from './events.ts';

/** A JSON Schema, draft 2020-12. */
export type NoticeSchema = z.core.JSONSchema.BaseSchema;

/** zod's own pattern for a moment also knows the lengths of months; `format` says that shorter. */
const MOMENT = '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z$';

/**
 * The body of a notice for every type of outcome and for a batch, by that type: `{type, timestamp, data}` (lib/notices/dispatch.ts). Fields that it does
 * not name are allowed, for new ones come without a new version. docs/schemas holds what this returns.
 */
export function noticeSchemas(): Readonly<Record<string, NoticeSchema>> {
  const ofEvents = outcomeTypeSchema.options.map((type) => [type, noticeSchema(type, outcomeSchemas[type])]);
  return Object.fromEntries([...ofEvents, [BATCH_TYPE, noticeSchema(BATCH_TYPE, batchSchema)]]);
}

const timestamp = z.iso.datetime();

const batchSchema = z
  .object({
    notices: z
      .array(
        z.object({
          id: z.string().describe('What `webhook-id` would have been.'),
          type: z.string(),
          timestamp,
          data: z.looseObject({}).describe('By the schema of that type.'),
        }),
      )
      .min(1)
      .describe('In the order in which they happened.'),
  })
  .describe('All notices to this endpoint that came in one window.');

function noticeSchema(type: OutcomeType | typeof BATCH_TYPE, data: z.ZodType): NoticeSchema {
  const body = z.object({ type: z.literal(type), timestamp: timestamp.describe('When it happened.'), data });
  const { $schema: _, ...rest } = z.toJSONSchema(body, {
    // Read as output, it would forbid fields that are not named.
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      shorten(jsonSchema);
      if (!Object.is(zodSchema, data)) return;
      delete jsonSchema.description;
      // A name of its own, which a CloudEvent has as `dataschema`: on the bus `data` comes without what is around it here.
      jsonSchema.$id = `${noticeSchemaId(type)}:data`;
    },
  });
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: noticeSchemaId(type),
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
