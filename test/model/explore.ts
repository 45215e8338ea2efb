import { hash } from 'node:crypto';

/** One thing that may happen next: a single request of one process, its crash, or the clock. */
export interface Step<S> {
  readonly label: string;
  readonly next: S;
}

/** What the search needs to know of a protocol. States are plain data and never changed in place. */
export interface Model<S> {
  readonly initial: readonly S[];
  /** Everything that may happen in this state. None at all: the state is at rest. */
  steps(state: S): Iterable<Step<S>>;
  /** The same string for the same state, whatever way led to it. */
  key(state: S): string;
  /** The invariant that this state breaks, if any. */
  always(state: S): string | undefined;
  /** The invariant that breaks when nobody can move any more, if any, with the undisturbed steps that show it. */
  atRest(state: S): Counterexample | undefined;
}

/** A broken invariant and the shortest way to it. */
export interface Counterexample {
  readonly broken: string;
  readonly trace: readonly string[];
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** States in which nobody could move any more. */
  readonly rests: number;
  readonly counterexample: Counterexample | undefined;
}

/** The search met more states than it was allowed to: nothing is known about the rest, so this is a failure. */
export class StateBoundExceeded extends Error {
  constructor(bound: number) {
    super(`more than ${bound} states: the search is not complete and proves nothing`);
    this.name = 'StateBoundExceeded';
  }
}

/**
 * Searches every state that can be reached, breadth first, so that the first counterexample is a shortest one.
 * Stops at the first broken invariant. Throws `StateBoundExceeded` beyond `bound` states.
 */
export function explore<S>(model: Model<S>, bound: number): Exploration {
  const seen = new Set<string>();
  const parents: number[] = [];
  const labels: string[] = [];
  let level: { readonly state: S; readonly index: number }[] = [];
  let found: Counterexample | undefined;
  let transitions = 0;
  let rests = 0;

  const traceTo = (index: number): string[] => {
    const trace: string[] = [];
    for (let at = index; at >= 0; at = parents[at] ?? -1) trace.push(labels[at] ?? '');
    return trace.reverse().slice(1);
  };
  const visit = (state: S, label: string, parent: number, into: typeof level) => {
    // The hash instead of the key itself keeps a million states in about 100 MB.
    const name = hash('sha1', model.key(state), 'base64');
    if (seen.has(name)) return;
    if (seen.size === bound) throw new StateBoundExceeded(bound);
    seen.add(name);
    const index = parents.push(parent) - 1;
    labels.push(label);
    into.push({ state, index });
    const broken = model.always(state);
    if (broken !== undefined) found ??= { broken, trace: traceTo(index) };
  };

  for (const state of model.initial) visit(state, 'start', -1, level);
  while (level.length > 0 && found === undefined) {
    const nextLevel: typeof level = [];
    for (const { state, index } of level) {
      let moved = false;
      for (const step of model.steps(state)) {
        moved = true;
        transitions += 1;
        visit(step.next, step.label, index, nextLevel);
        if (found !== undefined) break;
      }
      if (!moved) {
        rests += 1;
        const broken = model.atRest(state);
        if (broken) found = { broken: broken.broken, trace: [...traceTo(index), 'at rest', ...broken.trace] };
      }
      if (found !== undefined) break;
    }
    level = nextLevel;
  }
  return { states: seen.size, transitions, rests, counterexample: found };
}
