import * as z from 'zod';
import { goneStatusSchema } from './api-key-requests.ts';
import { requestFields } from './declared-request.ts';
import { fieldPathSchema } from './field-path.ts';

const anyRequest = z.strictObject(requestFields).partial();

/**
 * What a specification may change of a preset: every field of every request. Headers are merged by name, a body is replaced as a whole;
 * `false` takes a request out that a provider can do without.
 */
export const requestOverrides = {
  create: z
    .strictObject({ request: anyRequest, key: fieldPathSchema, key_id: fieldPathSchema })
    .partial()
    .optional(),
  test: z.union([anyRequest, z.literal(false)]).optional(),
  revoke: anyRequest.extend({ gone_status: goneStatusSchema.optional() }).optional(),
  list: z
    .union([
      z
        .strictObject({
          request: anyRequest,
          items: fieldPathSchema,
          key_id: fieldPathSchema,
          key_name: fieldPathSchema,
          last_used: fieldPathSchema,
          unverified: z.boolean(),
        })
        .partial(),
      z.literal(false),
    ])
    .optional(),
};
const overridesSchema = z.object(requestOverrides);
export type RequestOverrides = z.infer<typeof overridesSchema>;

type AnyRequest = z.infer<typeof anyRequest>;

interface Declared {
  readonly create: { readonly request: AnyRequest };
  readonly test?: AnyRequest | undefined;
  readonly revoke: AnyRequest;
  readonly list?: { readonly request: AnyRequest } | undefined;
}

/** A preset's requests with what the specification says otherwise; still to be parsed. */
export function withOverrides(base: Declared, overrides: RequestOverrides): unknown {
  const { create, test, revoke, list } = overrides;
  return {
    ...base,
    create: { ...base.create, ...create, request: merged(base.create.request, create?.request) },
    test: test === false ? undefined : merged(base.test, test),
    revoke: merged(base.revoke, revoke),
    list:
      list === false
        ? undefined
        : { ...base.list, ...list, request: merged(base.list?.request, list?.request) },
  };
}

function merged(base: AnyRequest | undefined, over: AnyRequest | undefined): AnyRequest {
  const headers = { ...lowerCased(base?.headers), ...lowerCased(over?.headers) };
  return { ...base, ...over, headers };
}

function lowerCased(headers: AnyRequest['headers'] = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
