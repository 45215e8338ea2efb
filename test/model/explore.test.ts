import { describe, expect, test } from 'vitest';
import { explore, type Model, StateBoundExceeded } from './explore.ts';

/** Counts from 0 by ones and twos up to 10. */
const counting: Model<number> = {
  initial: [0],
  *steps(n) {
    if (n + 1 <= 10) yield { label: 'one', next: n + 1 };
    if (n + 2 <= 10) yield { label: 'two', next: n + 2 };
  },
  key: String,
  always: () => undefined,
  atRest: () => undefined,
};

describe('explore', () => {
  test('counts every state once, and every transition', () => {
    expect(explore(counting, 11)).toEqual({
      states: 11,
      transitions: 19,
      rests: 1,
      counterexample: undefined,
    });
  });

  test('finds a shortest way to a broken invariant', () => {
    const model = { ...counting, always: (n: number) => (n === 5 ? 'five' : undefined) };
    expect(explore(model, 11).counterexample).toMatchObject({ broken: 'five', trace: { length: 3 } });
  });

  test('looks at states in which nobody can move', () => {
    const model = { ...counting, atRest: (n: number) => ({ broken: `rests at ${n}`, trace: ['seen'] }) };
    const trace = ['two', 'two', 'two', 'two', 'two', 'at rest', 'seen'];
    expect(explore(model, 11).counterexample).toEqual({ broken: 'rests at 10', trace });
  });

  test('fails when there are more states than it may search', () => {
    expect(() => explore(counting, 10)).toThrow(StateBoundExceeded);
  });

  test('looks at the initial states too', () => {
    const model = { ...counting, always: (n: number) => (n === 0 ? 'zero' : undefined) };
    expect(explore(model, 11).counterexample).toEqual({ broken: 'zero', trace: [] });
  });
});
