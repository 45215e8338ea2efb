import * as z from 'zod';

/** A JSON Schema, draft 2020-12, which OpenAPI 3.1 takes as it is. */
export type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Schemas that stand under a name of their own; wherever one of them occurs in another, there is a reference. */
export type NamedSchemas = ReadonlyMap<z.core.$ZodType, string>;

/**
 * Of what is sent, and of what is answered. An answer may have fields that are not named here: new ones come without a new version. What
 * is sent is as it is before it is read, and nothing beside it is allowed.
 */
export function jsonSchemaOf(
  schema: z.ZodType,
  { open, named }: { readonly open: boolean; readonly named: NamedSchemas },
): JsonSchema {
  const {
    $schema: _,
    $defs: __,
    ...rest
  } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const name = Object.is(zodSchema, schema) ? undefined : named.get(zodSchema);
      if (name !== undefined) return replace(jsonSchema, referenceTo(name));
      shorten(jsonSchema);
      if (isAnyJson(zodSchema)) return replace(jsonSchema, {});
      if (open && jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  return rest;
}

/** `z.json()`, which is the only one that contains itself. */
function isAnyJson(schema: z.core.$ZodType): boolean {
  return schema instanceof z.ZodLazy;
}

export function referenceTo(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

function replace(json: JsonSchema, by: JsonSchema): void {
  for (const key of Object.keys(json)) delete json[key];
  Object.assign(json, by);
}

/** Takes out what only repeats how JavaScript represents a number or a moment, and says control characters so that every reader knows them. */
function shorten(json: JsonSchema): void {
  if (json.pattern !== undefined) json.pattern = json.pattern.replaceAll('\\p{Cc}', '\\x00-\\x1f\\x7f-\\x9f');
  if (json.format === 'date-time') delete json.pattern;
  if (json.minimum === Number.MIN_SAFE_INTEGER) delete json.minimum;
  if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
}
