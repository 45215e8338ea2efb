import { expect, it } from 'vitest';
import { noMetrics } from '../../lib/telemetry/no-metrics.ts';

it('cannot be made to count', () => {
  expect(Object.isFrozen(noMetrics)).toBe(true);
});
