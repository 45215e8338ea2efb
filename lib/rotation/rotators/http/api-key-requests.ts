import * as z from 'zod';
import { type DeclaredRequest, declaredRequestSchema, placeholdersOf } from './declared-request.ts';
import { fieldPathSchema } from './field-path.ts';
import { type KeyOperation, PLACEHOLDERS } from './request-values.ts';

const createSchema = z
  .strictObject({
    request: declaredRequestSchema,
    /** Where the answer has the key itself. */
    key: fieldPathSchema,
    /** Where it has what the key is revoked by. It is stored in plain. */
    key_id: fieldPathSchema,
  })
  .refine(({ key, key_id }) => key !== key_id, {
    path: ['key_id'],
    message: 'expected another field than key: the id is no secret',
  });
export type CreateRequest = z.infer<typeof createSchema>;

/** An answer of this kind says nothing about the key, only about who asks. */
const SAYS_NOTHING: readonly number[] = [401, 403, 408, 429];
export const goneStatusSchema = z.array(
  z
    .int()
    .min(400)
    .max(499)
    .refine((status) => !SAYS_NOTHING.includes(status), 'expected none of 401, 403, 408 and 429'),
);
const GONE = [404, 410];

const revokeSchema = declaredRequestSchema.safeExtend({
  /** Answers that mean that there is no such key: it counts as revoked. */
  gone_status: goneStatusSchema.default(GONE),
});
export type RevokeRequest = z.infer<typeof revokeSchema>;

const listSchema = z.strictObject({
  request: declaredRequestSchema,
  /** Where the answer has the list; `$` when it is one. */
  items: fieldPathSchema,
  /** In each item. */
  key_id: fieldPathSchema,
  key_name: fieldPathSchema,
  /** In each item, when the key was last used, as RFC 3339 or seconds or milliseconds since 1970. */
  last_used: fieldPathSchema.optional(),
  /** Nobody has seen this answer: that it does not fit is no fault of the provider's. */
  unverified: z.boolean().optional(),
});
export type ListRequest = z.infer<typeof listSchema>;

const parametersSchema = z.record(
  z.string().regex(/^[a-z][a-z0-9_]*$/, 'expected a name such as key_type'),
  z.string().min(1),
);

const endingFields = {
  /** Values of the specification's own, which all requests can name: `org: acme` for `{{org}}`. They are no secrets. */
  parameters: parametersSchema.default({}),
  revoke: revokeSchema,
  list: listSchema.optional(),
};

/** What ends a key, and finds it by its name: to be stored with the key, so that it can be ended whatever becomes of the specification. */
export const keyEndingSchema = z.strictObject(endingFields);
export type KeyEnding = z.infer<typeof keyEndingSchema>;

/**
 * The requests that one provider of API keys understands. It may be stored and parsed again: the result is the same. Refused are requests
 * that could leave a key behind which nobody knows and which does not end by itself.
 */
export const apiKeyRequestsSchema = z
  .strictObject({
    create: createSchema,
    /** Succeeds with a key that works. */
    test: declaredRequestSchema.optional(),
    ...endingFields,
  })
  .superRefine((requests, context) => {
    for (const { path, message } of [...namingProblems(requests), ...leakProblems(requests)]) {
      context.addIssue({ code: 'custom', path: [...path], message, input: requests });
    }
  });
export type ApiKeyRequests = z.infer<typeof apiKeyRequestsSchema>;

/** The part that is stored with each key. */
export function endingOf({ parameters, revoke, list }: ApiKeyRequests): KeyEnding {
  return { parameters, revoke, ...(list === undefined ? {} : { list }) };
}

interface Problem {
  readonly path: readonly string[];
  readonly message: string;
}

function requestsOf(requests: ApiKeyRequests): [KeyOperation, readonly string[], DeclaredRequest][] {
  const { create, test, revoke, list } = requests;
  return [
    ['create', ['create', 'request'], create.request],
    ...(test === undefined
      ? []
      : [['test', ['test'], test] satisfies [KeyOperation, string[], DeclaredRequest]]),
    ['revoke', ['revoke'], revoke],
    ...(list === undefined
      ? []
      : [['list', ['list', 'request'], list.request] satisfies [KeyOperation, string[], DeclaredRequest]]),
  ];
}

function namingProblems(requests: ApiKeyRequests): Problem[] {
  const own = Object.keys(requests.parameters);
  const taken: readonly string[] = Object.values(PLACEHOLDERS).flat();
  const clashes = own
    .filter((name) => taken.includes(name))
    .map((name) => ({
      path: ['parameters', name],
      message: 'expected another name: this one has a meaning',
    }));
  const unknown = requestsOf(requests).flatMap(([operation, path, request]) => {
    const known: readonly string[] = [...PLACEHOLDERS[operation], ...own];
    return [...placeholdersOf(request)]
      .filter((name) => !known.includes(name) && !name.startsWith('auth.'))
      .map((name) => ({
        path,
        message: `unknown here: {{${name}}}; there are ${known.join(', ')} and auth.<field>`,
      }));
  });
  return [...clashes, ...unknown];
}

function leakProblems({ create, test, revoke, list }: ApiKeyRequests): Problem[] {
  const created = placeholdersOf(create.request);
  const problems: (Problem | false)[] = [
    !placeholdersOf(revoke).has('key_id') && {
      path: ['revoke'],
      message: 'expected {{key_id}}: it says which key',
    },
    test !== undefined &&
      !placeholdersOf(test).has('key') && {
        path: ['test'],
        message: 'expected {{key}}: it is what is tried',
      },
    list !== undefined &&
      !created.has('name') && {
        path: ['create', 'request'],
        message: 'expected {{name}}: list finds keys by it',
      },
    list === undefined &&
      !created.has('expires_at') && {
        path: ['create', 'request'],
        message:
          'expected {{expires_at}}, or {{name}} and a list: else a key whose answer is lost would live on for ever',
      },
    list?.unverified === true &&
      !created.has('expires_at') && {
        path: ['create', 'request'],
        message: 'expected {{expires_at}}, as nobody knows whether the list works',
      },
  ];
  return problems.filter((problem) => problem !== false);
}
