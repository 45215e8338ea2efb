import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applied,
  applyTakenOver,
  begun,
  failedAt,
  kept,
  overtaken,
  promoted,
  promoteRefused,
  recorded,
  takenOver,
  tested,
  undone,
} from '../../lib/rotation/attempt.ts';
import { dueOf, nextStep, type Step, tidied } from '../../lib/rotation/machine.ts';
import { looked, overdue, retired, retireFailed } from '../../lib/rotation/retirement.ts';
import type { Specification } from '../../lib/rotation/specification.ts';
import { initialState, type RotationState } from '../../lib/rotation/state.ts';
import {
  demanded,
  dismissed,
  paused,
  postponed,
  reapedOnce,
  reapFailed,
  removed,
  resumed,
  verified,
} from '../../lib/rotation/upkeep.ts';
import { specified } from './specifications.ts';

/** A walk through the machine: whatever happens in whatever order, at whatever time, these must hold. */

const START = 1_000_000_000_000;
const FOREVER = START * 2;

const specifications: readonly Specification[] = [
  specified(),
  specified({ schedule: { every: '1h' }, grace: '0s', deadline: '0s' }),
  specified({ schedule: { cron: '0 3 * * *', window: '10m' }, consumers: ['one', 'two'] }),
  specified({ consumers: ['one'], at_deadline: 'keep' }),
  specified({ evidence: { kind: 'last_used', idle_for: '5m' }, on_drift: 'tell', verify_every: '10m' }),
];

interface Walk {
  readonly state: RotationState;
  readonly spec: Specification;
  readonly now: number;
  readonly count: number;
}

/** One thing that happens: time goes by, a worker does its next step with some outcome, or somebody asks for something. */
type Event =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'jump' }
  | { readonly kind: 'step'; readonly outcome: number; readonly me: 'a' | 'b' }
  | { readonly kind: 'tidy' }
  | { readonly kind: 'ask'; readonly what: number };

const events: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('step' as const),
      outcome: fc.nat(5),
      me: fc.constantFrom('a' as const, 'b' as const),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'jump' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 7_200_000 }) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'tidy' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('ask' as const), what: fc.nat(7) }) },
);

const random = () => 0.5;

function asked(state: RotationState, what: number, now: number): RotationState {
  switch (what) {
    case 0:
      return demanded(state, { reason: 'demand', by: 'somebody' }, now);
    case 1:
      return demanded(state, { reason: 'leak' }, now);
    case 2:
      return demanded(state, { reason: 'supplied' }, now);
    case 3:
      return paused(state, 'somebody', now);
    case 4:
    case 5:
      return resumed(state);
    default:
      return what === 6 && state.top > 3 ? removed(state, 'revoke', 'somebody', now) : state;
  }
}

function stepped(walk: Walk, step: Step, outcome: number, me: string): RotationState {
  const { state, spec, now, count } = walk;
  const bad = outcome === 0;
  const claimant = {
    att: `att-${count}`,
    owner: me,
    intent: outcome > 2 ? { att: `att-${count}` } : undefined,
  };
  switch (step.kind) {
    case 'rest':
      return state;
    case 'begin':
      return begun(state, claimant, spec, now);
    case 'postpone':
      return postponed(state, spec, now, 0.5);
    case 'take-over':
      return state.phase === 'apply' ? applyTakenOver(state, me, now) : takenOver(state, claimant, now);
    case 'create':
      if (bad) return failedAt(state, 'create', 'no', 20_000);
      return recorded(state, { handle: { id: `h-${count}` } }, now);
    case 'keep':
      return bad ? failedAt(state, 'create', 'attempt_expired') : kept(state, me, outcome > 2, now);
    case 'apply':
      return bad ? failedAt(state, 'apply', 'no') : applied(state, state.h ?? {}, now);
    case 'test':
      return bad
        ? failedAt(state, 'test', 'no')
        : tested(state, state.cur?.published?.version ?? 0, spec, now);
    case 'promote':
      if (bad) return promoteRefused(state, spec, 'no', now, random);
      return outcome === 1
        ? overtaken(state, (state.pv ?? 0) + 1, spec, now)
        : promoted(state, spec, now, 0.5);
    case 'undo':
      return undone(state, spec, now, random);
    case 'abandon':
      return failedAt(state, 'create', step.code);
    case 'dismiss':
      return dismissed(state, spec, now);
    case 'retire':
      if (bad) return retireFailed(state, step.generation, spec, 'no', now, random);
      return retired(state, step.generation, spec, now);
    case 'overdue':
      return overdue(state, step.generation, spec, now);
    case 'adoption': {
      const acks = Object.fromEntries(
        spec.consumers.slice(0, outcome).map((one) => [one, state.cur?.g ?? 0]),
      );
      return looked(state, step.generation, { acks, use: outcome > 3 ? 'idle' : 'in_use' }, now, true);
    }
    case 'reap':
      return bad
        ? reapFailed(state, step.reap, { code: 'no' }, now, random)
        : reapedOnce(state, step.reap, now);
    case 'verify':
      return verified(state, bad ? { what: 'value_refused', mark: 1 } : undefined, spec, now);
  }
}

function happened(walk: Walk, event: Event): Walk {
  const { state, spec, now } = walk;
  const next = { ...walk, count: walk.count + 1 };
  switch (event.kind) {
    case 'wait':
      return { ...next, now: now + event.ms };
    case 'jump':
      return { ...next, now: Math.max(now, Math.min(dueOf(state, spec) ?? now, FOREVER)) };
    case 'tidy':
      return { ...next, state: tidied(state, new Set(Object.keys(state.outbox)), new Set(state.sweep)) };
    case 'ask':
      return { ...next, state: asked(state, event.what, now) };
    case 'step':
      return { ...next, state: stepped(walk, nextStep(state, spec, now, event.me), event.outcome, event.me) };
  }
}

function eachStep(check: (before: Walk, after: Walk, event: Event) => void): void {
  fc.assert(
    fc.property(
      fc.constantFrom(...specifications),
      fc.array(events, { minLength: 20, maxLength: 120 }),
      (spec, happenings) => {
        let walk: Walk = { state: initialState(START, 'at_once'), spec, now: START, count: 0 };
        for (const event of happenings) {
          const after = happened(walk, event);
          check(walk, after, event);
          walk = after;
        }
      },
    ),
    { numRuns: 400, seed: 20_261_121 },
  );
}

const isTidy = ({ outbox, sweep }: RotationState) => Object.keys(outbox).length === 0 && sweep.length === 0;

describe('the rotation machine, whatever happens', () => {
  it('is due exactly when there is something to do', () => {
    eachStep((_, { state, spec }) => {
      if (!isTidy(state)) return expect(dueOf(state, spec)).toBe(0);
      const due = dueOf(state, spec);
      // A stranger comes: whose claim it is has been waited for by then.
      const at = (time: number) => nextStep(state, spec, time, 'stranger').kind;
      // Under way, anybody may go on; whoever has it is only given the time.
      if (state.phase === 'idle') expect(at((due ?? FOREVER) - 1)).toBe('rest');
      if (due !== undefined) expect({ due, step: at(due), state }).not.toMatchObject({ step: 'rest' });
    });
  });

  it('never uses a generation twice, and never goes back', () => {
    eachStep((before, after) => {
      expect(after.state.top).toBeGreaterThanOrEqual(before.state.top);
      const [was, is] = [before.state.cur?.g, after.state.cur?.g];
      if (is !== undefined && was !== is) expect(is).toBe(before.state.top + 1);
    });
  });

  it('drops no handle but by a revocation, and revokes nothing before its grace is over', () => {
    eachStep((before, after, event) => {
      const known = ({ cur, h, retiring }: RotationState) =>
        new Set([cur?.h.id, h?.id, ...retiring.map((one) => one.h.id)].filter((id) => id !== undefined));
      const still = known(after.state);
      const gone = [...known(before.state)].filter((id) => !still.has(id));
      if (gone.length === 0) return;
      const step = nextStep(before.state, before.spec, before.now, event.kind === 'step' ? event.me : '');
      expect(step.kind).toBe('retire');
      if (step.kind !== 'retire') return;
      expect(gone).toEqual([step.generation.h.id]);
      expect(before.now).toBeGreaterThanOrEqual(step.generation.notBefore);
    });
  });

  it('keeps a current generation once there is one, until it is removed', () => {
    eachStep((before, after) => {
      if (before.state.cur !== undefined && after.state.cur === undefined) {
        expect(after.state.removed).toBeDefined();
      }
    });
  });

  it('loses no attempt that may have left something outside', () => {
    eachStep((before, after) => {
      const { att, intent, h } = before.state;
      if (intent === undefined || h !== undefined || after.state.att === att) return;
      expect(after.state.reap.map((one) => one.att)).toContain(att);
    });
  });

  it('begins and retires nothing while it is paused', () => {
    eachStep((before, _, event) => {
      if (before.state.paused === undefined || event.kind !== 'step') return;
      const { kind } = nextStep(before.state, before.spec, before.now, event.me);
      expect(['begin', 'retire', 'adoption', 'overdue', 'postpone', 'verify']).not.toContain(kind);
    });
  });

  it('loses no event but to the bus', () => {
    eachStep((before, after, event) => {
      if (event.kind === 'tidy') return;
      expect(Object.keys(after.state.outbox)).toEqual(
        expect.arrayContaining(Object.keys(before.state.outbox)),
      );
    });
  });
});
