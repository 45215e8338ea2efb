import { AsyncLocalStorage } from 'node:async_hooks';

/** What every log line says of the work that led to it. docs/metrics.md, "Log lines", has the words. */
export interface LogFields {
  /** One call of a function; on Lambda its `awsRequestId`. */
  readonly invocation_id?: string | undefined;
  /** The trace that the work belongs to, at whoever traces. */
  readonly trace_id?: string | undefined;
  /** One message of a queue. */
  readonly message_id?: string | undefined;
  /** One access. Its audit line has it, and so have the requests to Vault that it leads to. */
  readonly request_id?: string | undefined;
}

interface Scope {
  readonly fields: LogFields;
  readonly outer: Scope | undefined;
  open: boolean;
}

const current = new AsyncLocalStorage<Scope>();

/**
 * An id as AWS and we ourselves make them, in the letters of UUIDs, of Base64 and of X-Ray. Whatever else stands in an event does not get
 * into lines and headers.
 */
export const IDENTIFIER = /^[\w.:=+/-]{1,128}$/;

/**
 * Runs `work` so that every log line that it leads to has these fields beside those around it. What work leaves behind (a timer, a pool) goes
 * on without. A field that is no {@link IDENTIFIER} is left out. An inner one hides an outer one.
 */
export function withLogFields<T>(fields: LogFields, work: () => Promise<T>): Promise<T> {
  // Of those that are closed nothing is kept: work that leaves work behind, again and again, would be an endless chain.
  let outer = current.getStore();
  while (outer !== undefined && !outer.open) outer = outer.outer;
  return within({ fields: identifiers(fields), outer, open: true }, work);
}

/** The same for an invocation, which has nothing of what is around it: in one process another invocation may have led to it. */
export function withLogFieldsOnly<T>(fields: LogFields, work: () => Promise<T>): Promise<T> {
  return within({ fields: identifiers(fields), outer: undefined, open: true }, work);
}

/** The fields of the work under way, in an object that is the caller's own. */
export function logFields(): LogFields {
  return openFields(current.getStore());
}

async function within<T>(scope: Scope, work: () => Promise<T>): Promise<T> {
  try {
    return await current.run(scope, work);
  } finally {
    scope.open = false;
  }
}

function openFields(scope: Scope | undefined): LogFields {
  if (scope === undefined) return {};
  const outer = openFields(scope.outer);
  return scope.open ? { ...outer, ...scope.fields } : outer;
}

function identifiers(fields: LogFields): LogFields {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]: [string, unknown]) => isIdentifier(value)),
  );
}

function isIdentifier(value: unknown): boolean {
  return typeof value === 'string' && IDENTIFIER.test(value);
}
