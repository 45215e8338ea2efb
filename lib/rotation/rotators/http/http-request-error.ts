import { type ErrorDetails, LeasekeeperError } from '../../../errors.ts';

/** What went wrong with a declared request. Decide by these. */
export type HttpRequestErrorCode =
  | 'http_refused'
  | 'http_rate_limited'
  | 'http_unavailable'
  | 'http_unexpected_status'
  | 'http_answer_invalid';

/** Whether the other side may have done what was asked. `no` only when it surely has not. */
export type Processed = 'no' | 'maybe';

export interface HttpRequestErrorDetails extends Omit<ErrorDetails, 'cause'> {
  readonly status?: number;
  readonly processed: Processed;
  readonly retryAfterMs?: number;
}

/**
 * A declared request that did not come out. Its message names the method, the host and the status, or fields of the answer, and no
 * value: neither path nor query, headers, body, nor the library's own error, which may hold them.
 */
export class HttpRequestError extends LeasekeeperError {
  declare readonly code: HttpRequestErrorCode;
  /** Of the answer, when one came. */
  readonly status: number | undefined;
  readonly processed: Processed;
  /** Milliseconds that the other side asked us to wait, an hour at most. */
  readonly retryAfterMs: number | undefined;

  constructor(code: HttpRequestErrorCode, message: string, details: HttpRequestErrorDetails) {
    super(code, message, { hint: details.hint ?? HINTS[code] });
    this.status = details.status;
    this.processed = details.processed;
    this.retryAfterMs = details.retryAfterMs;
  }
}

const HINTS: Record<HttpRequestErrorCode, string> = {
  http_refused: 'Check that the credential of auth is valid and may do this.',
  http_rate_limited: 'It is tried again later. Rotate less often, or ask the provider for more.',
  http_unavailable: 'Check that the host can be reached from here and that the provider works.',
  http_unexpected_status: 'Check method, URL and body of the request, and expect_status.',
  http_answer_invalid: 'Check the field paths of the specification against what the provider answers.',
};

/** Whether an error is of a declared request and has one of these codes. */
export function isHttpRequestError(
  error: unknown,
  ...codes: readonly HttpRequestErrorCode[]
): error is HttpRequestError {
  return error instanceof HttpRequestError && (codes.length === 0 || codes.includes(error.code));
}
