import { issueRequestSchema } from '../../access/issue.ts';
import { renewRequestSchema } from '../../access/renew-lease.ts';
import { revokeRequestSchema } from '../../access/revoke-lease.ts';
import { batchBody, readQuery } from '../route-inputs.ts';
import type { ROUTES } from '../route-table.ts';
import { batchAnswer, leaseAnswer, renewedAnswer, secretAnswer } from './answers.ts';
import { AS_CALLER, type Operation, WITH_BODY } from './operation.ts';

const LEASE_ID = 'lotabots/database/creds/api-gateway/cVlpyXtBFP7qKQIhJ0Sk0yKP';

const lease = {
  lease_id: LEASE_ID,
  expires_at: '2026-11-21T20:23:40.276Z',
  lease_duration: 3_600,
  renewable: true,
  kept: true,
  data: { username: '[secret]', password: '[secret]' },
};

const NOT_ISSUED = ['not_a_lease', 'wrap_ttl_too_long', 'not_your_lease'] as const;

/** The routes of `fetch`. */
export const leaseOperations: Readonly<Record<(typeof ROUTES.fetch)[number], Operation>> = {
  'POST /v1/leases': {
    id: 'issueLease',
    tag: 'leases',
    summary: 'Issues a short-lived secret',
    description:
      'Vault makes it for the caller, with the caller’s own rights. Its lease is renewed until `ttl` or its max TTL.',
    body: { schema: issueRequestSchema, example: { path: 'database/creds/api-gateway', ttl: 600 } },
    answers: { 201: { description: 'Issued.', schema: leaseAnswer, example: lease } },
    problems: [...AS_CALLER, ...WITH_BODY, ...NOT_ISSUED],
  },
  'POST /v1/leases/batch': {
    id: 'issueLeases',
    tag: 'leases',
    summary: 'Issues up to 20 short-lived secrets',
    description:
      'Each as if it had been asked for alone: one that fails undoes none of the others. A body that will not do, or a caller that is refused, fails as a whole, and nothing is issued.',
    body: {
      schema: batchBody,
      example: { requests: [{ path: 'database/creds/api-gateway' }, { path: 'database/creds/absent' }] },
    },
    answers: {
      200: {
        description: 'What became of each, in their order.',
        schema: batchAnswer,
        example: { results: [{ status: 201, lease }] },
      },
    },
    problems: [...AS_CALLER, ...WITH_BODY],
  },
  'POST /v1/leases/renew': {
    id: 'renewLease',
    tag: 'leases',
    summary: 'Gives a lease of the caller’s own more life',
    description:
      'By the caller’s own rights. `increment` is what it is to live at least, in seconds from now: no renewal ever shortens a lease.',
    body: { schema: renewRequestSchema, example: { lease_id: LEASE_ID, increment: 7_200 } },
    answers: {
      200: {
        description: 'Renewed.',
        schema: renewedAnswer,
        example: {
          lease_id: LEASE_ID,
          expires_at: '2026-11-21T22:13:40.276Z',
          lease_duration: 7_200,
          renewable: true,
        },
      },
    },
    problems: [...AS_CALLER, ...WITH_BODY, 'lease_not_under_care', 'lease_retiring'],
  },
  'POST /v1/leases/revoke': {
    id: 'revokeLease',
    tag: 'leases',
    summary: 'Revokes a lease of the caller’s own',
    description:
      'Nobody hears of it as lost. If the engine cannot revoke now (`vault_revoke_failed`), it is tried again until it can.',
    body: { schema: revokeRequestSchema, example: { lease_id: LEASE_ID } },
    answers: { 204: { description: 'Revoked.' } },
    problems: [...AS_CALLER, ...WITH_BODY, 'lease_not_under_care'],
  },
  'GET /v1/secrets/{proxy+}': {
    id: 'readSecret',
    tag: 'secrets',
    summary: 'Reads a static or managed secret',
    description: 'By the caller’s own rights. The path has slashes, which may be sent as they are.',
    query: readQuery,
    headers: ['if-none-match'],
    answers: {
      200: {
        description: 'The secret. `ETag` on KV v2.',
        schema: secretAnswer,
        headers: ['etag'],
        example: { data: { api_key: '[secret]' }, version: 3, generation: 2 },
      },
      304: { description: 'It is the one that `If-None-Match` names.', headers: ['etag'] },
    },
    problems: [...AS_CALLER, 'parameter_invalid', 'generation_unknown'],
  },
};
