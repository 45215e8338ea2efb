import { logFields, withLogFields } from './log-fields.ts';

/**
 * Runs `work` so that every request to Vault that it leads to carries `id`, which its audit line and its log lines have as `request_id`. What
 * work leaves behind (a timer, a renewal to come) goes on without: it is no part of this access. An outer one is hidden by
 * an inner one.
 */
export function correlated<T>(id: string, work: () => Promise<T>): Promise<T> {
  return withLogFields({ request_id: id }, work);
}

/** The id of the access under way; undefined outside of any. */
export function correlationId(): string | undefined {
  return logFields().request_id;
}
