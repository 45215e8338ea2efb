import * as z from 'zod';
import { attemptTokenFields, pathSchema, publishedFields } from '../specification-fields.ts';
import { rotatorKind } from './kind.ts';
import { inspectLeased, issueLeased, keepLeased, revokeLeased } from './leased-credential.ts';

const schema = z.strictObject({
  kind: z.literal('lease'),
  ...publishedFields,
  ...attemptTokenFields,
  /** The path that issues it, after VAULT_NAMESPACE: `database/creds/api-gateway`. */
  source: pathSchema,
});

/** Any leased path that is read: database and cloud engines, rabbitmq. */
export const lease = rotatorKind({
  schema,
  begins: 'at_once',
  rights: ({ source, token_role }) => ({
    rotate: [],
    attempt: {
      tokenRole: token_role,
      rights: [{ path: source, under: 'namespace', capabilities: ['read'] }],
    },
  }),
  open: (deps) => ({
    create: ({ spec }) => issueLeased(deps, spec, spec.source),
    keep: (attempt, handle) => keepLeased(deps, attempt, attempt.spec.source, handle),
    revoke: ({ handle }) => revokeLeased(deps, handle),
    inspect: (_spec, { handle }) => inspectLeased(deps, handle),
  }),
});
