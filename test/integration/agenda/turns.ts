import fc from 'fast-check';
import type { Choice, Fate } from '../../support/conductor.ts';

/** Short turns find races, long ones find what a process does that slept while the others finished. */
const exchanges = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constantFrom(8, 30));

/** Turns of which one in so many ends in a fault: a schedule in which everybody dies shows nothing. */
export function turns(oneFaultIn: number): fc.Arbitrary<Choice> {
  const fate: fc.Arbitrary<Fate> = fc.oneof(
    { weight: 2 * (oneFaultIn - 1), arbitrary: fc.constant('go' as const) },
    { weight: 1, arbitrary: fc.constantFrom('lose-request' as const, 'lose-answer' as const) },
    { weight: 1, arbitrary: fc.constantFrom('die-before' as const, 'die-after' as const) },
  );
  return fc.record({ pick: fc.nat(59), exchanges, fate });
}
