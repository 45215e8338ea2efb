import type * as z from 'zod';
import { issueRequestSchema } from '../../access/issue.ts';
import { newSubscriptionSchema, subscriptionChangesSchema } from '../../notices/subscription-changes.ts';
import { probeSchema } from '../../rotation/probes/probe.ts';
import { specificationSchema } from '../../rotation/specification.ts';
import { healthAnswer, leaseAnswer, problemAnswer, secretAnswer } from './answers.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { managedAnswer } from './managed-answers.ts';
import { subscriptionAnswer } from './subscription-answers.ts';

/** What several operations share, under `components` of the description. */

const requests = {
  LeaseRequest: issueRequestSchema,
  Specification: specificationSchema,
  Probe: probeSchema,
  NewSubscription: newSubscriptionSchema,
  SubscriptionChanges: subscriptionChangesSchema,
} as const;
const answers = {
  Problem: problemAnswer,
  Lease: leaseAnswer,
  Secret: secretAnswer,
  ManagedSecret: managedAnswer,
  Subscription: subscriptionAnswer,
  Health: healthAnswer,
} as const;

export const NAMED: ReadonlyMap<z.core.$ZodType, string> = new Map(
  Object.entries({ ...requests, ...answers }).map(([name, schema]) => [schema, name]),
);

export function namedSchemas() {
  const converted = (all: Readonly<Record<string, z.ZodType>>, open: boolean) =>
    Object.entries(all).map(([name, schema]) => [name, jsonSchemaOf(schema, { open, named: NAMED })]);
  return Object.fromEntries([...converted(requests, false), ...converted(answers, true)]);
}

const text = (description: string, more: object = {}) => ({
  description,
  required: true,
  schema: { type: 'string', ...more },
});

export const HEADERS = {
  'x-request-id': text('Our own id of the request: the log and the audit log have it.', { minLength: 1 }),
  'cache-control': text('`no-store`, but for documents.'),
  'x-content-type-options': text('', { const: 'nosniff' }),
  etag: { ...text('The tag of its version or content; none on KV v1.'), required: false },
  'retry-after': { ...text('Seconds.', { pattern: '^\\d+$' }), required: false },
  'www-authenticate': text('', { const: 'Bearer' }),
  allow: text('The methods that there are.'),
};
export type HeaderName = keyof typeof HEADERS;

export const PARAMETERS = {
  'if-none-match': {
    name: 'If-None-Match',
    in: 'header',
    description: 'An `ETag` that the caller has, or `*`.',
    schema: { type: 'string' },
  },
  'auth-mount': {
    name: 'X-Vault-Auth-Mount',
    in: 'header',
    description:
      'Where a JWT logs in, if not at the first of LEASEKEEPER_CALLER_MOUNTS. Only those are allowed.',
    schema: { type: 'string', pattern: '^\\w[\\w.-]*(/\\w[\\w.-]*)*$' },
    example: 'kubernetes',
  },
};

export const SECURITY_SCHEMES = {
  jwt: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'A Kubernetes service account token, or another JWT that Vault takes; with `X-Vault-Role`.',
  },
  role: { type: 'apiKey', in: 'header', name: 'X-Vault-Role', description: 'The Vault role to log in to.' },
  token: { type: 'apiKey', in: 'header', name: 'X-Vault-Token', description: 'A Vault token.' },
};
