import { describe, expect, it } from 'vitest';
import { begun, failedAt, kept, promoted, recorded, tested, undone } from '../../lib/rotation/attempt.ts';
import { nextStep } from '../../lib/rotation/machine.ts';
import { initialState, type RotationState } from '../../lib/rotation/state.ts';
import {
  type Demand,
  demanded,
  dismissed,
  paused,
  postponed,
  removed,
  rescheduled,
  restored,
  resumed,
  verified,
} from '../../lib/rotation/upkeep.ts';
import { specified } from './specifications.ts';

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
const spec = specified({ schedule: { every: '10h' } });
const half = () => 0.5;

/** A secret at its first generation. */
function current(from = initialState(NOW, 'at_once'), at = NOW, ours = spec): RotationState {
  const attempt = begun(from, { att: `att-${at}`, owner: 'me' }, ours, at);
  const made = kept(recorded(attempt, { handle: { id: `h-${at}` } }, at), 'me', false, at);
  return { ...promoted(tested(made, 0, ours, at), ours, at, 0), sweep: [], outbox: {} };
}

const underWay = (state: RotationState, at = NOW) => begun(state, { att: 'next', owner: 'me' }, spec, at);

describe('demanded', () => {
  it('makes a rotation due now, and says who asked', () => {
    const state = demanded(current(), { reason: 'demand', by: 'ann' }, NOW + HOUR);
    expect(state).toMatchObject({ due: NOW + HOUR, reason: 'demand', by: 'ann' });
  });

  it('changes nothing while one waits or is under way', () => {
    const waiting = demanded(current(), { reason: 'drift' }, NOW);
    expect(demanded(waiting, { reason: 'demand', by: 'ann' }, NOW + 1)).toBe(waiting);
    const busy = underWay(current());
    expect(demanded(busy, { reason: 'demand' }, NOW)).toBe(busy);
  });

  it.each<Demand>([{ reason: 'demand', by: 'ann' }, { reason: 'supplied' }, { reason: 'drift' }])(
    'never takes its urgency from a leak that has failed ($reason)',
    (demand) => {
      const leaked = demanded(current(), { reason: 'leak', by: 'bob' }, NOW);
      const failed = undone(failedAt(underWay(leaked), 'create', 'no'), spec, NOW, half);
      expect(failed.due).toBeGreaterThan(NOW);
      expect(demanded(failed, demand, NOW + 1)).toMatchObject({ reason: 'leak', by: 'bob', due: NOW + 1 });
    },
  );

  it('has a value that was supplied meanwhile followed by another rotation', () => {
    const busy = demanded(underWay(current()), { reason: 'supplied', by: 'ann' }, NOW);
    const made = kept(recorded(busy, { handle: { id: 'h' } }, NOW), 'me', false, NOW);
    const next = promoted(tested(made, 1, spec, NOW), spec, NOW, 0);
    expect(next).toMatchObject({ phase: 'idle', cur: { g: 2 }, due: NOW, reason: 'supplied', by: 'ann' });
    expect(next.again).toBeUndefined();
  });

  it('has a value that was supplied meanwhile taken at once when the rotation fails for want of it', () => {
    const busy = demanded(underWay(current()), { reason: 'supplied', by: 'ann' }, NOW);
    const failed = failedAt(busy, 'create', 'manual_value_missing', 24 * HOUR);
    const next = undone(failed, spec, NOW, half);
    expect(next).toMatchObject({ due: NOW, reason: 'supplied', by: 'ann', again: undefined });
  });
});

describe('a leak', () => {
  it('ends what is still in its grace too, and nothing waits', () => {
    const second = current(current(), NOW + HOUR);
    expect(second.retiring).toMatchObject([{ g: 1, why: 'replaced', notBefore: NOW + HOUR + 600_000 }]);
    const third = current(demanded(second, { reason: 'leak' }, NOW + HOUR + 1), NOW + HOUR + 1);
    expect(third.retiring.map(({ g, why, notBefore }) => ({ g, why, notBefore }))).toEqual([
      { g: 1, why: 'leak', notBefore: NOW + HOUR + 1 },
      { g: 2, why: 'leak', notBefore: NOW + HOUR + 1 },
    ]);
    expect(nextStep(third, spec, NOW + HOUR + 1, 'me').kind).toBe('retire');
  });
});

describe('a window that was missed', () => {
  const windowed = specified({ schedule: { cron: '0 3 * * *', window: '1h' } });
  const state = current(initialState(NOW, 'at_once'), NOW, windowed);

  it('waits for the next one', () => {
    const late = (state.closes ?? 0) + 1;
    expect(nextStep(state, windowed, late, 'me').kind).toBe('postpone');
    const next = postponed(state, windowed, late, 0);
    expect(next.due).toBe((state.due ?? 0) + 24 * HOUR);
    expect(nextStep(next, windowed, late, 'me').kind).toBe('verify');
  });

  it('does not hold up what somebody asks for', () => {
    const late = (state.closes ?? 0) + 1;
    expect(nextStep(demanded(state, { reason: 'demand' }, late), windowed, late, 'me').kind).toBe('begin');
  });
});

describe('rescheduled', () => {
  it('counts from the last rotation, and makes nothing by itself', () => {
    const faster = specified({ schedule: { every: '5h' } });
    const state = rescheduled(current(), faster, 0);
    expect(state.due).toBe(NOW + 5 * HOUR);
    expect(nextStep(state, faster, NOW, 'me').kind).toBe('rest');
  });

  it('leaves what was asked for', () => {
    const asked = demanded(current(), { reason: 'demand' }, NOW);
    expect(rescheduled(asked, specified(), 0)).toBe(asked);
  });
});

describe('pausing', () => {
  it('is once, and resuming takes it away', () => {
    const state = paused(current(), 'ann', NOW);
    expect(state.paused).toEqual({ at: NOW, by: 'ann' });
    expect(paused(state, 'bob', NOW + 1)).toBe(state);
    expect(resumed(state).paused).toBeUndefined();
  });

  it('lets an attempt that is under way go on', () => {
    const state = paused(underWay(current()), 'ann', NOW);
    expect(nextStep(state, spec, NOW, 'me').kind).toBe('create');
  });
});

describe('removing', () => {
  it('revokes the current generation after its grace, or forgets it', () => {
    const revoked = dismissed(removed(current(), 'revoke', 'ann', NOW), spec, NOW);
    expect(revoked.retiring).toMatchObject([{ g: 1, why: 'removed', notBefore: NOW + 600_000 }]);
    const kept = dismissed(removed(current(), 'keep', 'ann', NOW), spec, NOW);
    expect(kept.retiring).toEqual([]);
    expect(kept.cur).toBeUndefined();
  });

  it('abandons an attempt that is under way', () => {
    const state = removed(recorded(underWay(current()), { handle: { id: 'h' } }, NOW), 'revoke', 'ann', NOW);
    expect(nextStep(state, spec, NOW, 'me')).toEqual({ kind: 'abandon', code: 'managed_secret_removed' });
  });

  it('does not begin the generations anew when it is specified again', () => {
    const gone = dismissed(removed(current(), 'revoke', 'ann', NOW), spec, NOW);
    const back = restored(gone, initialState(NOW + 1, 'at_once'));
    expect(back).toMatchObject({ removed: undefined, due: NOW + 1 });
    expect(begun(back, { att: 'a', owner: 'me' }, spec, NOW + 1).g).toBe(2);
  });
});

describe('verified', () => {
  const found = { what: 'lease_revoked', mark: 1 };

  it('tells what was found once, and has it mended', () => {
    const state = verified(current(), found, spec, NOW);
    expect(state).toMatchObject({ due: NOW, reason: 'drift' });
    expect(Object.values(state.outbox).map(({ type }) => type)).toEqual(['secret.drift']);
    const again = verified({ ...state, outbox: {} }, found, spec, NOW + HOUR);
    expect(again.outbox).toEqual({});
  });

  it('only tells where it is to', () => {
    const quiet = specified({ on_drift: 'tell' });
    const state = verified(current(), found, quiet, NOW);
    expect(state.reason).toBe('schedule');
    expect(Object.keys(state.outbox)).toHaveLength(1);
  });

  it('forgets what has passed', () => {
    const state = verified(verified(current(), found, spec, NOW), undefined, spec, NOW);
    expect(state.drift).toBeUndefined();
  });
});
