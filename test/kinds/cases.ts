import type { KindCase } from './kind-case.ts';
import { leaseCase } from './lease.ts';

/** One case for each kind of managed secret; a test sees to it that none is missing. */
export const kindCases: readonly KindCase[] = [leaseCase];
