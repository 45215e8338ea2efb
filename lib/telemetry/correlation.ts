import { AsyncLocalStorage } from 'node:async_hooks';

interface Correlation {
  readonly id: string;
  open: boolean;
}

const current = new AsyncLocalStorage<Correlation>();

/**
 * Runs `work` so that every request to Vault that it leads to carries `id`, which its audit line has as `request_id`. What
 * work leaves behind (a timer, a renewal to come) goes on without: it is no part of this access. An outer one is hidden by
 * an inner one.
 */
export async function correlated<T>(id: string, work: () => Promise<T>): Promise<T> {
  const correlation: Correlation = { id, open: true };
  try {
    return await current.run(correlation, work);
  } finally {
    correlation.open = false;
  }
}

/** The id of the access under way; undefined outside of any. */
export function correlationId(): string | undefined {
  const correlation = current.getStore();
  return correlation?.open === true ? correlation.id : undefined;
}
