import { codeOf, LeasekeeperError } from '../errors.ts';
import { VaultError, type VaultErrorCode } from '../vault/errors.ts';

/** What a caller is told: an RFC 9457 problem document with a stable `code` and a `hint`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly hint?: string;
  /** What is wrong with each field of the body, where that can be told field by field. */
  readonly errors?: readonly FieldFault[];
  /** A stable word for why, where one code has several reasons. */
  readonly reason?: string;
  /** Seconds, for a Retry-After header. */
  readonly retryAfterSeconds?: number;
  /** Methods, for an Allow header. */
  readonly allow?: readonly string[];
}

/** One thing wrong with what was sent. Never a value. */
export interface FieldFault {
  /** With full stops between the levels: `schedule.every`. */
  readonly field: string;
  readonly message: string;
}

/** What some refusals have to say besides. */
type RefusalDetails = Pick<Problem, 'errors' | 'reason' | 'retryAfterSeconds' | 'allow'>;

/** A request that is refused for what it says. */
export class RequestError extends LeasekeeperError {
  readonly status: number;
  readonly details: RefusalDetails;

  constructor(status: number, code: string, message: string, hint?: string, details: RefusalDetails = {}) {
    super(code, message, hint === undefined ? {} : { hint });
    this.status = status;
    this.details = details;
  }
}

const STATUS_OF: Readonly<Partial<Record<VaultErrorCode, number>>> = {
  vault_denied: 403,
  vault_not_found: 404,
  vault_bad_request: 400,
  vault_rate_limited: 429,
  vault_lease_quota_exceeded: 503,
  vault_unreachable: 503,
  vault_timeout: 504,
  vault_sealed: 503,
  vault_standby: 503,
  vault_unavailable: 502,
  vault_invalid_answer: 502,
  vault_lease_not_found: 404,
  vault_lease_not_renewable: 409,
};
const STATUS_OF_OTHERS = 502;

/** The status that a fault of Vault has over HTTP. */
export function statusOf(code: VaultErrorCode): number {
  return STATUS_OF[code] ?? STATUS_OF_OTHERS;
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Not authenticated',
  403: 'Denied',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  410: 'Gone',
  412: 'Precondition failed',
  413: 'Too large',
  414: 'Path too long',
  415: 'Unsupported media type',
  422: 'Cannot be done as asked',
  429: 'Too many requests',
  500: 'Internal error',
  502: 'Vault failed',
  503: 'Vault is not available',
  504: 'Vault did not answer in time',
};

const AGAIN_AFTER_SECONDS = 5;

/** Any thrown value as a problem. What is not ours is `internal`, and nothing of it is told. */
export function problemOf(error: unknown): Problem {
  if (error instanceof RequestError) return requestProblem(error);
  if (error instanceof VaultError) return vaultProblem(error);
  if (error instanceof LeasekeeperError) return problem(500, error.code, error.message, error.hint);
  return problem(
    500,
    'internal',
    `The request could not be carried out (${codeOf(error)}).`,
    'Look in the log by the request id.',
  );
}

function requestProblem({ status, code, message, hint, details }: RequestError): Problem {
  return { ...problem(status, code, message, hint), ...details };
}

function vaultProblem(error: VaultError): Problem {
  const status = statusOf(error.code);
  const told = problem(status, error.code, error.message, error.hint);
  if (status !== 429 && status !== 503) return told;
  if (error.code === 'vault_lease_quota_exceeded') return told;
  const seconds =
    error.retryAfterMs === undefined ? AGAIN_AFTER_SECONDS : Math.ceil(error.retryAfterMs / 1_000);
  return { ...told, retryAfterSeconds: seconds };
}

function problem(status: number, code: string, detail: string, hint: string | undefined): Problem {
  return {
    type: `urn:leasekeeper:problem:${code}`,
    title: TITLES[status] ?? 'Error',
    status,
    detail,
    code,
    ...(hint === undefined ? {} : { hint }),
  };
}
