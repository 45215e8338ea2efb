/** What a log line says of an error. */
export interface ErrorFields {
  readonly name: string;
  readonly code?: string | number;
  readonly message: string;
  readonly hint?: string;
  readonly stack?: string;
  readonly cause?: ErrorFields;
  /** The members of an AggregateError. */
  readonly errors?: readonly ErrorFields[];
}

/** Causes further down are left out; it also ends a chain that leads back to itself. */
const DEEPEST_CAUSE = 5;
const MOST_MEMBERS = 10;

/**
 * The fields of an error that may be logged, and nothing else of it: libraries hang requests, headers and whole rows
 * on their errors (a PostgreSQL error's `detail` quotes values). A cause that is no Error is left out for the same reason.
 */
export function serializeError(error: Error, depth = 0): ErrorFields {
  const code = 'code' in error ? error.code : undefined;
  const hint = 'hint' in error ? error.hint : undefined;
  const next = depth < DEEPEST_CAUSE;
  return {
    name: String(error.name),
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    message: String(error.message),
    ...(typeof hint === 'string' && { hint }),
    ...(typeof error.stack === 'string' && { stack: error.stack }),
    ...(next && error.cause instanceof Error && { cause: serializeError(error.cause, depth + 1) }),
    ...(next && error instanceof AggregateError && { errors: membersOf(error, depth + 1) }),
  };
}

function membersOf(error: AggregateError, depth: number): ErrorFields[] {
  const members = error.errors.filter((member: unknown) => member instanceof Error);
  return members.slice(0, MOST_MEMBERS).map((member) => serializeError(member, depth));
}
