import { describe, expect, it } from 'vitest';
import {
  APPLY_CLAIM_MS,
  applied,
  applyTakenOver,
  begun,
  CREATE_CLAIM_MS,
  kept,
  nothingLeft,
  promoted,
  recorded,
  takenOver,
  tested,
} from '../../lib/rotation/attempt.ts';
import { nextStep } from '../../lib/rotation/machine.ts';
import { initialState } from '../../lib/rotation/state.ts';
import { specified } from './specifications.ts';

const NOW = 1_800_000_000_000;
const spec = specified();
const fresh = begun(
  initialState(NOW, 'at_once'),
  { att: 'one', owner: 'me', intent: { key: 'one' } },
  spec,
  NOW,
);
const step = (state: typeof fresh, now: number, me: string) => nextStep(state, spec, now, me).kind;

describe('a claim', () => {
  it('on create is waited for; then the attempt is another', () => {
    expect(step(fresh, NOW, 'me')).toBe('create');
    expect(step(fresh, NOW + CREATE_CLAIM_MS - 1, 'other')).toBe('rest');
    expect(step(fresh, NOW + CREATE_CLAIM_MS, 'other')).toBe('take-over');
    const taken = takenOver(fresh, { att: 'two', owner: 'other' }, NOW + CREATE_CLAIM_MS);
    expect(taken).toMatchObject({ att: 'two', owner: 'other', sweep: ['one'], reap: [{ att: 'one' }] });
    // What the dead may have left is looked for first, by whoever comes.
    expect(step(taken, NOW + CREATE_CLAIM_MS, 'me')).toBe('reap');
    expect(step({ ...taken, reap: [] }, NOW + CREATE_CLAIM_MS, 'me')).toBe('rest');
  });

  it('on apply outlasts every function; then the attempt goes on', () => {
    const state = kept(recorded(fresh, { handle: { role: 'a' } }, NOW), 'me', true, NOW);
    expect(step(state, NOW, 'me')).toBe('apply');
    expect(APPLY_CLAIM_MS).toBeGreaterThan(900_000);
    expect(step(state, NOW + APPLY_CLAIM_MS - 1, 'other')).toBe('rest');
    expect(step(state, NOW + APPLY_CLAIM_MS, 'other')).toBe('take-over');
    const taken = applyTakenOver(state, 'other', NOW + APPLY_CLAIM_MS);
    expect(taken).toMatchObject({ att: 'one', owner: 'other', h: { role: 'a' }, reap: [] });
    expect(step(taken, NOW + APPLY_CLAIM_MS, 'me')).toBe('rest');
  });
});

it('a changed kind undoes an attempt that was begun as another', () => {
  const state = {
    ...kept(recorded(fresh, { handle: { id: 'h' } }, NOW), 'me', false, NOW),
    kind: 'generated',
  };
  expect(nextStep(state, spec, NOW, 'me')).toEqual({ kind: 'abandon', code: 'specification_changed' });
});

it('the handle is what apply has found out', () => {
  const state = kept(recorded(fresh, { handle: { role: 'a' } }, NOW), 'me', true, NOW);
  expect(applied(state, { role: 'a', rotated_at: NOW }, NOW)).toMatchObject({
    phase: 'test',
    h: { rotated_at: NOW },
  });
});

it('what was asked for and found done goes back to the schedule, and tells nothing', () => {
  const daily = specified({ schedule: { every: '24h' } });
  const made = kept(recorded(fresh, { handle: { id: 'h' } }, NOW), 'me', false, NOW);
  const current = { ...promoted(tested(made, 0, daily, NOW), daily, NOW, 0), outbox: {} };
  const asked = begun({ ...current, reason: 'supplied' }, { att: 'two', owner: 'me' }, daily, NOW + 1);
  expect(nothingLeft(asked, daily, NOW + 2, 0)).toMatchObject({
    phase: 'idle',
    reason: 'schedule',
    failures: 0,
    due: NOW + 24 * 3_600_000,
    outbox: {},
  });
});
