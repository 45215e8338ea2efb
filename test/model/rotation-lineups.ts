import type { RotationLineUp } from './rotation-state.ts';

/** Searched with every run of the tests. */
export const rotationLineUps = {
  crash: { name: 'two workers, a crash, a lost answer', workers: 2, crashes: 1, unknowns: 1 },
  failure: { name: 'two workers, a failed test, a retry', workers: 2, failures: 1, retries: 1 },
  failureCrash: { name: 'two workers, a failed test, a crash', workers: 2, failures: 1, crashes: 1 },
  graces: { name: 'two workers, a grace ends, an event is refused', workers: 2, graces: 1, refusals: 1 },
  generations: { name: 'two workers, two rotations on end', workers: 2, last: 3 },
  owner: { name: 'a request delivered twice to one owner, a crash', workers: 2, oneOwner: true, crashes: 1 },
  person: { name: 'two workers, a person writes the published path', workers: 2, people: 1 },
  manager: { name: 'two workers, a rotation asked for, a crash', workers: 2, managers: 1, crashes: 1 },
} satisfies Record<string, RotationLineUp>;

/** Searched with MODEL=full. */
export const fullRotationLineUps = {
  failureRetryCrash: {
    name: 'two workers, a failed test, a retry, a crash',
    ...{ workers: 2, failures: 1, retries: 1, crashes: 1 },
  },
  three: { name: 'three workers, a crash', workers: 3, crashes: 1 },
  threeGenerations: { name: 'two workers, three rotations, graces end', workers: 2, last: 4, graces: 2 },
  managers: {
    name: 'two workers, a rotation asked for twice, a grace',
    workers: 2,
    managers: 2,
    graces: 1,
    last: 2,
  },
} satisfies Record<string, RotationLineUp>;
