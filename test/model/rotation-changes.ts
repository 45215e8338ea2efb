import type { RotationGuards, RotationLineUp, RotationWorld, State, Worker } from './rotation-state.ts';

/** Who takes part under which guards. */
export interface RotationCase {
  readonly lineUp: RotationLineUp;
  readonly g: RotationGuards;
}

/** What `cas(…)` writes: the next version of S, made of the version in hand and of what the worker has seen. */
export function changed(c: RotationCase, w: RotationWorld, p: Worker): State {
  return { ...nextState(c, w, p), v: p.S.v + 1 };
}

function nextState(c: RotationCase, w: RotationWorld, p: Worker): State {
  const { S } = p;
  const att = `a${w.attempts + 1}`;
  switch (p.change) {
    case 'outbox':
      return { ...S, outbox: c.g.outboxById ? S.outbox.filter((id) => !p.published.includes(id)) : [] };
    case 'create':
      return { ...S, phase: 'create', att, g: S.cur.g + 1, owner: p.me, claimed: true };
    case 'takeover':
      return { ...S, att: c.g.fence ? att : S.att, owner: p.me, claimed: true };
    case 'record':
      return { ...S, h: p.h };
    case 'renewed':
      return { ...S, phase: p.ok ? 'apply' : 'undo' };
    case 'applied':
      return { ...S, phase: 'test' };
    case 'tested':
      return p.ok ? tested(c, p) : { ...S, phase: 'undo' };
    case 'drift':
      return { ...S, pv: p.pv, outbox: withEvent(S, c.g.driftAtPromote ? `drift:${p.pv}` : undefined) };
    case 'promoted':
      return promoted(c, p);
    case 'retired':
      return {
        ...S,
        retiring: S.retiring.filter((r) => r.h !== p.h),
        outbox: withEvent(S, `retired:${S.retiring.find((r) => r.h === p.h)?.g}`),
      };
    case 'undone':
      return {
        ...S,
        phase: 'idle',
        h: '',
        due: 'backoff',
        claimed: false,
        outbox: withEvent(S, `failed:${S.att}`),
      };
  }
}

const withEvent = (S: State, id: string | undefined): readonly string[] =>
  id === undefined || S.outbox.includes(id) ? S.outbox : [...S.outbox, id];

function tested({ g }: RotationCase, p: Worker): State {
  const { S } = p;
  // The published path is at another version than the one our last publication gave it: somebody else wrote it.
  const drift = g.driftAtTest && p.pv !== S.cur.published;
  return {
    ...S,
    phase: 'promote',
    pv: p.pv,
    outbox: withEvent(S, drift ? `drift:${p.pv}` : undefined),
    retiring: g.graceAfterPublication ? S.retiring : [...S.retiring, { g: S.cur.g, h: S.cur.h, ripe: false }],
  };
}

function promoted({ g, lineUp }: RotationCase, p: Worker): State {
  const { S } = p;
  const retired = { g: S.cur.g, h: S.cur.h, ripe: false };
  return {
    ...S,
    phase: 'idle',
    h: '',
    claimed: false,
    cur: { g: S.g, h: S.h, published: p.pv },
    retiring: g.graceAfterPublication ? [...S.retiring, retired] : S.retiring,
    due: S.g < (lineUp.last ?? 2) ? 'now' : 'later',
    outbox: withEvent(S, `rotated:${S.g}`),
  };
}
