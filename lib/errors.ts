/** Options every error of this project takes besides its code and message. */
export interface ErrorDetails {
  /** What the reader can do about it, one sentence. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * The base of every error this project throws. Match on `code`, which is stable; the message is for people.
 * An error never carries a request, a token or a secret value, so it may be logged whole.
 */
export class LeasekeeperError extends Error {
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint;
  }
}

/** The `code` of any thrown value: a LeasekeeperError's, Node's (`ECONNREFUSED`), or `unknown`. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'unknown';
}
