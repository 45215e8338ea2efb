import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseRole, holds } from '../../../lib/rotation/rotators/static-role-choice.ts';

const role = (letter: string, rotatedAt = 1) => ({ role: letter, username: `user-${letter}`, rotatedAt });
const taken = (letter: string, rotatedAt = 1) => ({
  username: `user-${letter}`,
  rotatedAt,
});
const nobody = { current: undefined, retiring: [], urgent: false };

describe('which static role is next', () => {
  it('is the first for the first generation', () => {
    expect(chooseRole([role('a'), role('b')], nobody)?.role).toBe('a');
  });

  it('is the one that the current generation does not have', () => {
    const roles = [role('a'), role('b')];
    expect(chooseRole(roles, { ...nobody, current: taken('a') })?.role).toBe('b');
    expect(chooseRole(roles, { ...nobody, current: taken('b') })?.role).toBe('a');
  });

  it('is none while each is in use', () => {
    const others = { current: taken('b'), retiring: [taken('a')], urgent: false };
    expect(chooseRole([role('a'), role('b')], others)).toBeUndefined();
    expect(chooseRole([role('a'), role('b'), role('c')], others)?.role).toBe('c');
  });

  it('is one on its way out when the current generation has leaked, the oldest first', () => {
    const others = { current: taken('b'), retiring: [taken('c'), taken('a')], urgent: true };
    expect(chooseRole([role('a'), role('b'), role('c')], others)?.role).toBe('c');
  });

  it('may be one whose password was changed since, so that nobody can be using it', () => {
    const others = { current: taken('b', 1), retiring: [taken('a', 1)], urgent: false };
    expect(chooseRole([role('a', 1), role('b', 2)], others)?.role).toBe('b');
    expect(chooseRole([role('a', 2), role('b', 2)], others)?.role).toBe('a');
    expect(chooseRole([role('a', 2), role('b', 2), role('c', 2)], others)?.role).toBe('c');
  });

  it('knows a user again under another role name', () => {
    const renamed = { ...role('a', 5), role: 'new-name' };
    expect(chooseRole([renamed, role('b')], { ...nobody, current: taken('a', 5) })?.role).toBe('b');
  });

  it('counts a generation that never got its password as using nothing', () => {
    const others = {
      current: taken('a'),
      retiring: [{ username: 'user-b', rotatedAt: undefined }],
      urgent: false,
    };
    expect(chooseRole([role('a'), role('b')], others)?.role).toBe('b');
  });

  it('is never the current generation’s while its password works, nor, unless it is urgent, one still in use', () => {
    const letter = fc.constantFrom('a', 'b', 'c', 'd');
    const time = fc.integer({ min: 1, max: 3 });
    const user = fc.record({ letter, time });
    fc.assert(
      fc.property(
        fc.uniqueArray(user, { selector: (one) => one.letter, maxLength: 4 }),
        fc.option(user, { nil: undefined }),
        fc.array(user, { maxLength: 4 }),
        fc.boolean(),
        (there, current, retiring, urgent) => {
          const roles = there.map((one) => role(one.letter, one.time));
          const others = {
            current: current === undefined ? undefined : taken(current.letter, current.time),
            retiring: retiring.map((one) => taken(one.letter, one.time)),
            urgent,
          };
          const chosen = chooseRole(roles, others);
          if (chosen === undefined) return;
          if (others.current !== undefined) expect(holds(others.current, chosen)).toBe(false);
          if (!urgent) expect(others.retiring.some((one) => holds(one, chosen))).toBe(false);
        },
      ),
    );
  });
});
