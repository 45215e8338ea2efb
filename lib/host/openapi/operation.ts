import type * as z from 'zod';
import { statusOf } from '../../access/problem.ts';
import { VAULT_ERROR_CODES, type VaultErrorCode } from '../../vault/errors.ts';

/** What one route takes and answers. `openapi.ts` makes a description of it; tests hold every answer against it. */
export interface Operation {
  /** Unique, as generators of clients want it. */
  readonly id: string;
  readonly tag: 'leases' | 'secrets' | 'managed secrets' | 'subscriptions' | 'documents' | 'process';
  readonly summary: string;
  readonly description?: string;
  /** Asks nobody who they are. */
  readonly open?: true;
  readonly query?: z.ZodObject;
  readonly headers?: readonly 'if-none-match'[];
  readonly body?: DescribedBody;
  readonly answers: Readonly<Record<number, DescribedAnswer>>;
  readonly problems: readonly ProblemCode[];
}

export interface DescribedBody {
  readonly schema: z.ZodType;
  /** Types besides JSON. */
  readonly also?: readonly string[];
  readonly example: unknown;
}

export interface DescribedAnswer {
  readonly description: string;
  /** Without one there is no body. */
  readonly schema?: z.ZodType;
  readonly type?: string;
  readonly headers?: readonly 'etag'[];
  /** Without secrets. */
  readonly example?: unknown;
}

const OWN = {
  caller_missing: 401,
  caller_refused: 401,
  role_missing: 400,
  auth_mount_not_allowed: 403,
  caller_rate_exceeded: 429,
  body_not_json: 400,
  body_not_yaml: 400,
  body_invalid: 422,
  body_too_deep: 422,
  body_too_large: 413,
  content_type_unsupported: 415,
  path_invalid: 400,
  path_too_long: 414,
  parameter_invalid: 400,
  route_unknown: 404,
  method_not_allowed: 405,
  not_a_lease: 422,
  wrap_ttl_too_long: 422,
  not_your_lease: 409,
  lease_not_under_care: 404,
  lease_retiring: 409,
  generation_unknown: 404,
  name_invalid: 400,
  specification_invalid: 422,
  managed_secret_unknown: 404,
  managed_secret_removed: 410,
  managed_secret_paused: 409,
  managed_secret_exists: 412,
  managed_secret_not_manual: 409,
  credentials_parameter_missing: 400,
  subscription_unknown: 404,
  subscription_id_invalid: 400,
  subscription_exists: 409,
  subscriptions_full: 409,
  subscription_contended: 409,
  subscription_disabled: 409,
  endpoint_refused: 422,
  event_unknown: 404,
  place_in_log_invalid: 400,
  schema_unknown: 404,
  internal: 500,
} as const;

export type ProblemCode = keyof typeof OWN | VaultErrorCode;

const isOwn = (code: ProblemCode): code is keyof typeof OWN => code in OWN;

/** The status that a code has over HTTP. */
export function statusOfProblem(code: ProblemCode): number {
  return isOwn(code) ? OWN[code] : statusOf(code);
}

/** Of every route. */
export const ANYWHERE: readonly ProblemCode[] = ['body_too_large', 'path_too_long', 'internal'];
/** Of every route that acts as its caller in Vault. */
export const AS_CALLER: readonly ProblemCode[] = [
  'caller_missing',
  'caller_refused',
  'role_missing',
  'auth_mount_not_allowed',
  'caller_rate_exceeded',
  ...VAULT_ERROR_CODES,
];
/** Of every route with a body that is read. */
export const WITH_BODY: readonly ProblemCode[] = [
  'content_type_unsupported',
  'body_not_json',
  'body_too_deep',
  'body_invalid',
];
/** Of every route with a part of the path to fill in: something else may be meant by it. */
export const WITH_PARAMETER: readonly ProblemCode[] = ['path_invalid', 'route_unknown', 'method_not_allowed'];
