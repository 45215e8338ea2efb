import type { Metrics } from './metrics.ts';

/** Counts nothing: for tests, and where nobody reads metrics. */
export const noMetrics: Metrics = Object.freeze({
  increment() {},
  observe() {},
  set() {},
});
