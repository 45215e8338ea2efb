import type { ObservedOptions } from './middleware.ts';

/** Where a function runs: what its chain needs, and its rooms, built at the first invocation and kept while the host lives. */
export interface FunctionHost<Dependencies> extends ObservedOptions {
  readonly dependencies: () => Dependencies;
}

/** One for functions that have work left when they could answer. */
export interface BackgroundHost<Dependencies> extends FunctionHost<Dependencies> {
  /** Takes work that need not be done before the answer. Where the function is frozen after it, it returns when the work is done. */
  readonly background: (work: Promise<void>) => Promise<void>;
}
