import type { Counterexample, Model, Step } from './explore.ts';
import type { RotationCase } from './rotation-changes.ts';
import {
  beginning,
  type Manager,
  newWorker,
  PERSON,
  type RotationGuards,
  type RotationLineUp,
  type RotationWorld,
  type State,
  type Worker,
} from './rotation-state.ts';
import { type Move, postHint, stepMoves } from './rotation-step.ts';
import { drop } from './sorted-record.ts';

/**
 * Section 2 of the protocols, kind `lease`, every request a step of its own (the requests are in rotation-step.ts, what
 * `cas` writes in rotation-changes.ts). There is no clock: whatever only time does (a token dies, a claim lapses, a grace
 * or a back-off ends) may happen at any moment, so every worker may sleep for any time between two requests.
 */
export function rotationModel(lineUp: RotationLineUp, g: RotationGuards): Model<RotationWorld> {
  const c: RotationCase = { lineUp, g };
  return {
    initial: [beginning(lineUp)],
    steps: (w) => steps(c, w),
    key: (w) => JSON.stringify(w),
    always: (w) => w.broken ?? brokenIn(w),
    atRest: (w) => brokenAfterLast(c, w),
  };
}

// -- people who ask for a rotation now: hint first, then the document

function managerMoves({ g }: RotationCase, p: Manager): Move<Manager>[] {
  const read = (w: RotationWorld, p: Manager) => {
    p.S = w.S;
    p.at = g.hintBeforeDocument ? 'POST hint' : 'cas';
  };
  const post = (w: RotationWorld, p: Manager) => {
    postHint(w, p.S?.v ?? 0);
    p.at = g.hintBeforeDocument ? 'cas' : 'done';
  };
  const cas = (w: RotationWorld, p: Manager) => {
    const won = w.S.v === p.S?.v;
    if (won) w.S = { ...w.S, v: w.S.v + 1, due: 'now' };
    const after = g.hintBeforeDocument ? 'done' : 'POST hint';
    Object.assign(p, won ? { at: after } : { at: 'READ S', S: null });
  };
  if (p.at === 'done' || p.at === 'dead') return [];
  return [[p.at === 'cas' ? 'cas(due now)' : p.at, { 'READ S': read, 'POST hint': post, cas }[p.at]]];
}

// -- everything that may happen next

const over = (p: { at: string }) => p.at === 'done' || p.at === 'dead';

/** The steps of one kind of process, its crash among them. */
function* stepsOf<P extends { readonly name: string; at: string }>(
  w: RotationWorld,
  list: readonly P[],
  moves: (p: P) => Move<P>[],
  dead: (p: P) => P,
  into: (list: readonly P[]) => RotationWorld,
): Iterable<Step<RotationWorld>> {
  for (const [i, p] of list.entries()) {
    // Processes of a kind are alike until they begin, so it is enough that they begin in order.
    if (i > 0 && (list[i - 1]?.at === 'idle' || list[i - 1]?.at === 'READ S') && p.at === 'idle') continue;
    for (const [label, act] of moves(p)) {
      const after = { ...p };
      const next = into(list.with(i, after));
      act(next, after);
      yield { label: `${p.name}: ${label}`, next };
    }
    if (w.crashes > 0 && !over(p)) {
      const next = { ...into(list.with(i, { ...dead(p), at: 'dead' })), crashes: w.crashes - 1 };
      yield { label: `${p.name}: crash`, next };
    }
  }
}

function* steps(c: RotationCase, w: RotationWorld): Iterable<Step<RotationWorld>> {
  const deadWorker = (p: Worker) => newWorker(p.name, p.me);
  const deadManager = (p: Manager) => ({ ...p, S: null });
  yield* stepsOf(
    w,
    w.workers,
    (p) => stepMoves(c, w, p),
    deadWorker,
    (workers) => ({ ...w, workers }),
  );
  yield* stepsOf(
    w,
    w.managers,
    (p) => managerMoves(c, p),
    deadManager,
    (managers) => ({ ...w, managers }),
  );
  if ([...w.workers, ...w.managers].every(over)) return;
  yield* time(w);
  if (w.people > 0) {
    const P = { v: w.P.v + 1, value: PERSON, g: w.P.g };
    yield { label: 'a person writes P', next: { ...w, P, people: w.people - 1 } };
  }
}

/** What only time does. */
function* time(w: RotationWorld): Iterable<Step<RotationWorld>> {
  for (const [h, kind] of Object.entries(w.credentials)) {
    if (kind !== 'long')
      yield { label: `token of ${h} dies`, next: { ...w, credentials: drop(w.credentials, h) } };
  }
  const { S } = w;
  if (S.phase === 'create' && !S.h && S.claimed)
    yield { label: 'claim lapses', next: { ...w, S: { ...S, claimed: false } } };
  if (S.due === 'backoff' && w.retries > 0) {
    const after = { ...w, S: { ...S, due: 'now' as const }, hint: { ...w.hint, due: true } };
    yield { label: 'back-off is over', next: { ...after, retries: w.retries - 1 } };
  }
  const r = S.retiring.find((other) => !other.ripe);
  if (r && w.graces > 0)
    yield { label: `grace of ${r.h} is over`, next: { ...graceOver(w, r.h), graces: w.graces - 1 } };
}

function graceOver(w: RotationWorld, h: string): RotationWorld {
  const retiring = w.S.retiring.map((r) => (r.h === h ? { ...r, ripe: true } : r));
  const graceOver = [...new Set([...w.graceOver, h])].sort();
  return { ...w, S: { ...w.S, retiring }, graceOver, hint: { ...w.hint, due: true } };
}

// -- invariants

function brokenIn({ S, P, credentials, agenda }: RotationWorld): string | undefined {
  if (!credentials[S.cur.h]) return 'the current generation does not work';
  if (P.value !== PERSON && !credentials[P.value]) return 'what is published does not work';
  if (agenda[S.cur.h] !== 'in') return 'the agenda does not keep the current generation alive';
  if (S.phase === 'idle' && P.value !== PERSON && P.value !== S.cur.h)
    return 'what is published is not current';
  return undefined;
}

const busy = (S: State) =>
  S.outbox.length > 0 || S.phase !== 'idle' || S.due === 'now' || S.retiring.some((r) => r.ripe);

/** Two last workers, one after the other and undisturbed, once every short-lived token is dead and all time has passed. */
function brokenAfterLast(c: RotationCase, rest: RotationWorld): Counterexample | undefined {
  const trace: string[] = [];
  if (busy(rest.S) && !rest.hint.due) return { broken: 'what is due is overlooked', trace };
  let w: RotationWorld = {
    ...rest,
    unknowns: 0,
    failures: 0,
    refusals: 0,
    people: 0,
    crashes: 0,
    managers: [],
  };
  for (const name of ['last1', 'last2']) {
    w = { ...allTimePasses(w), workers: [newWorker(name, name)] };
    for (let next = firstStep(c, w); next; next = firstStep(c, w)) {
      w = next.next;
      trace.push(next.label);
      const broken = trace.length > 500 ? 'a rotation goes in a circle' : (w.broken ?? brokenIn(w));
      if (broken !== undefined) return { broken, trace };
    }
  }
  const broken = brokenInTheEnd(w);
  return broken === undefined ? undefined : { broken, trace };
}

function firstStep(c: RotationCase, w: RotationWorld): Step<RotationWorld> | undefined {
  for (const step of steps(c, w)) return step;
  return undefined;
}

function allTimePasses(rest: RotationWorld): RotationWorld {
  let w = rest;
  for (const [h, kind] of Object.entries(w.credentials))
    if (kind !== 'long') w = { ...w, credentials: drop(w.credentials, h) };
  for (const r of w.S.retiring) w = graceOver(w, r.h);
  const due = w.S.due === 'backoff' ? 'now' : w.S.due;
  return { ...w, S: { ...w.S, claimed: false, due } };
}

function brokenInTheEnd({ S, P, credentials, events }: RotationWorld): string | undefined {
  if (busy(S)) return 'a rotation is stuck';
  const known = [S.cur.h, ...S.retiring.map((r) => r.h)];
  if (Object.keys(credentials).some((h) => !known.includes(h))) return 'a credential leaks';
  if (P.value !== PERSON && P.value !== S.cur.h) return 'what is published is not current';
  for (let g = 2; g <= S.cur.g; g += 1) {
    if (!events.some((id) => id.split(' ')[0] === `rotated:${g}`)) return 'an event is lost';
  }
  return undefined;
}
