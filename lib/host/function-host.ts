import type { ObservedOptions } from './middleware.ts';

/** Where a function runs: what its chain needs, and its rooms, built at the first invocation and kept while the host lives. */
export interface FunctionHost<Dependencies> extends ObservedOptions {
  readonly dependencies: () => Dependencies;
}
