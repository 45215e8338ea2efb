import { afterAll, describe, expect, test } from 'vitest';
import { explore } from './explore.ts';
import { SearchTable } from './report.ts';
import { rotationModel } from './rotation.ts';
import { fullRotationLineUps, rotationLineUps } from './rotation-lineups.ts';
import { type RotationGuards, type RotationLineUp, rotationGuards } from './rotation-state.ts';

const full = process.env.MODEL === 'full';
const bound = full ? 3_000_000 : 100_000;
/** A search is bounded by its states, not by time: a busy machine takes longer. */
const timeout = full ? 7_200_000 : 600_000;
const table = new SearchTable();
afterAll(() => table.print('rotation'));

describe('rotation with all its guards', () => {
  const lineUps: RotationLineUp[] = Object.values({
    ...rotationLineUps,
    ...(full ? fullRotationLineUps : {}),
  });

  test.each(lineUps)('$name', { timeout }, (lineUp) => {
    const found = explore(rotationModel(lineUp, rotationGuards), bound);
    table.add(lineUp.name, found);
    expect(found.counterexample).toBeUndefined();
  });
});

/** The line-up in which taking a guard out is found, and the invariant that breaks. */
const withoutGuard: Record<keyof RotationGuards, readonly [keyof typeof rotationLineUps, string]> = {
  fence: ['crash', 'a rotation is stuck'],
  recordBeforeRenew: ['crash', 'a credential leaks'],
  fixedPv: ['generations', 'the published path went back to an older generation'],
  revokeThenDrop: ['failureCrash', 'a credential leaks'],
  hintBeforeDocument: ['manager', 'what is due is overlooked'],
  hintFor: ['manager', 'what is due is overlooked'],
  outboxById: ['graces', 'an event is lost'],
  eventIdOfGeneration: ['crash', 'two ids for one event'],
  pendingCas0: ['owner', 'what is published does not work'],
  grace: ['graces', 'retired before its grace is over'],
  graceAfterPublication: ['graces', 'the agenda does not keep the current generation alive'],
  removeBeforeRevoke: ['graces', 'revoked while the agenda keeps it alive'],
  driftAtTest: ['person', "a person's value is overwritten in silence"],
  driftAtPromote: ['person', "a person's value is overwritten in silence"],
  listBeforeRead: ['generations', 'a pending value is missing'],
  checkAndSet: ['crash', 'a credential leaks'],
};

describe('rotation without one guard', () => {
  test.each(Object.entries(withoutGuard))('%s', { timeout }, (guard, [lineUp, broken]) => {
    const guards = { ...rotationGuards, [guard]: false };
    expect(explore(rotationModel(rotationLineUps[lineUp], guards), bound).counterexample?.broken).toBe(
      broken,
    );
  });
});
