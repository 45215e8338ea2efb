import type { Counterexample, Model, Step } from './explore.ts';
import { drop, put, type Sorted } from './sorted-record.ts';

/** The clock stands at NOW; LATER never comes, so that an entry raised to it by mistake is an entry forgotten. */
const NOW = 0;
const LATER = 9;

interface Hint {
  readonly due: number;
  readonly for: number;
  readonly claim: string | null;
}
interface Message {
  readonly due: number;
  readonly for: number;
}
interface Document {
  readonly v: number;
  /** null: finished, nothing will be due again unless somebody asks. */
  readonly due: number | null;
}

export interface HintsLineUp {
  readonly name: string;
  /** Who writes the document so that it is due now. */
  readonly writers: number;
  readonly workers: number;
  readonly crashes: number;
  /** What the document is after its work is done: due LATER (a rotation) or finished (a delivery). */
  readonly ends: 'later' | 'finished';
}

export const hintGuards = {
  /** The hint is posted before the document is written. */
  hintFirst: true,
  /** Only who has read the version a hint is for, or a later one, may raise or drop it. */
  hintFor: true,
  /** Merging takes the least due. */
  leastDue: true,
  /** Merging takes the greatest `for`. */
  greatestFor: true,
  /** A dropped hint leaves no tombstone: the same id may be posted again. */
  noTombstones: true,
  /** A document older than its hint is written once, unchanged, so that the hint can come to rest. */
  touchDocument: true,
  checkAndSet: true,
  deleteAfterCas: true,
};
export type HintGuards = typeof hintGuards;

interface Writer {
  readonly name: string;
  at: 'READ' | 'POST hint' | 'CAS' | 'done' | 'dead';
  v: number;
}

interface Worker {
  readonly name: string;
  at: 'idle' | 'LIST' | 'READ m' | 'CAS' | 'DELETE m' | 'READ document' | 'CAS document' | 'done' | 'dead';
  pass: 'claim' | 'results';
  v: number;
  E: Hint | null;
  T: boolean;
  names: readonly string[];
  M: Sorted<Message>;
  document: Document | null;
}

interface World {
  v: number;
  /** The shard: the hint of the one document, and its tombstone where there are any. */
  E: Hint | null;
  T: boolean;
  inbox: Sorted<Message>;
  document: Document;
  writers: readonly Writer[];
  workers: readonly Worker[];
  crashes: number;
}

type Move<P> = readonly [label: string, act: (w: World, p: P) => void];

const over = (p: { at: string }) => p.at === 'done' || p.at === 'dead';
const newWriter = (name: string): Writer => ({ name, at: 'READ', v: 0 });
const newWorker = (name: string): Worker => ({
  ...{ name, at: 'idle', pass: 'claim', v: 0, E: null, T: false, names: [], M: {}, document: null },
});

/** The books `rotations` and `deliveries` of section 1: an entry is a hint, never later than its document. */
export function hintsModel(lineUp: HintsLineUp, g: HintGuards): Model<World> {
  const started = lineUp.ends === 'later';
  const first: World = {
    v: 1,
    E: started ? { due: LATER, for: 1, claim: null } : null,
    T: !started && !g.noTombstones,
    inbox: {},
    document: { v: 1, due: started ? LATER : null },
    writers: Array.from({ length: lineUp.writers }, (_, i) => newWriter(`writer${i + 1}`)),
    workers: Array.from({ length: lineUp.workers }, (_, i) => newWorker(`w${i + 1}`)),
    crashes: lineUp.crashes,
  };
  return {
    initial: [first],
    steps: (w) => steps(lineUp, g, w),
    key: (w) => JSON.stringify(w),
    always: laterThanDocument,
    atRest: (w) => brokenAfterLast(lineUp, g, w),
  };
}

// -- writers: first post the hint {due, for: version+1}, then write the document

function writerMoves(g: HintGuards, p: Writer): Move<Writer>[] {
  const [afterRead, afterPost, afterCas] = g.hintFirst
    ? (['POST hint', 'CAS', 'done'] as const)
    : (['CAS', 'done', 'POST hint'] as const);
  const read: Move<Writer> = [
    'READ document',
    (w, p) => {
      p.v = w.document.v;
      p.at = afterRead;
    },
  ];
  const post: Move<Writer> = [
    'POST hint',
    (w, p) => {
      w.inbox = put(w.inbox, `${p.name}.${p.v}`, { due: NOW, for: p.v + 1 });
      p.at = afterPost;
    },
  ];
  const cas: Move<Writer> = [
    'CAS document, due now',
    (w, p) => {
      const lost = w.document.v !== p.v;
      if (!lost) w.document = { v: p.v + 1, due: NOW };
      p.at = lost ? 'READ' : afterCas;
    },
  ];
  if (over(p)) return [];
  return [{ READ: read, 'POST hint': post, CAS: cas, done: read, dead: read }[p.at]];
}

// -- workers: visit to claim, read and do the document, visit with what was read

function workerMoves(lineUp: HintsLineUp, g: HintGuards, p: Worker): Move<Worker>[] {
  switch (p.at) {
    case 'idle':
      return [['A: READ shard', (w, p) => Object.assign(p, { v: w.v, E: w.E, T: w.T, at: 'LIST' })]];
    case 'LIST':
      return [
        [
          'LIST inbox',
          (w, p) => {
            p.names = Object.keys(w.inbox);
            p.at = 'READ m';
            if (p.names.length === 0) decide(g, p);
          },
        ],
      ];
    case 'READ m':
      return [
        [
          // All at once: a message never changes, and one that is gone by now is in a shard written since.
          'READ messages',
          (w, p) => {
            p.M = Object.fromEntries(Object.entries(w.inbox).filter(([name]) => p.names.includes(name)));
            decide(g, p);
          },
        ],
      ];
    case 'CAS':
      return [
        [
          `CAS shard (${p.pass})`,
          (w, p) => {
            const lost = g.checkAndSet && w.v !== p.v;
            const { E, T } = visited(g, p);
            if (!lost) Object.assign(w, { v: w.v + 1, E, T });
            if (lost) Object.assign(p, { at: 'idle', E: null, names: [], M: {} });
            else goOn(g, p, E);
          },
        ],
      ];
    case 'DELETE m':
      return [
        [
          `delete ${p.names[0]}`,
          (w, p) => {
            w.inbox = drop(w.inbox, p.names[0] ?? '');
            p.names = p.names.slice(1);
            if (p.names.length === 0) afterDelete(g, p);
          },
        ],
      ];
    case 'READ document':
      return [
        [
          'READ document',
          (w, p) => {
            p.document = w.document;
            const behind = g.touchDocument && p.E !== null && w.document.v < p.E.for;
            if (w.document.due === NOW || behind) p.at = 'CAS document';
            else Object.assign(p, { at: 'idle', pass: 'results', E: null });
          },
        ],
      ];
    case 'CAS document':
      return [['CAS document', (w, p) => writeDocument(lineUp, w, p)]];
    default:
      return [];
  }
}

/** The due work is done and written; or nothing was due, and the write only makes the version that the hint is for. */
function writeDocument(lineUp: HintsLineUp, w: World, p: Worker) {
  const lost = w.document.v !== p.document?.v;
  const { v, due } = w.document;
  const after = lineUp.ends === 'later' ? LATER : null;
  if (!lost) w.document = { v: v + 1, due: due === NOW ? after : due };
  if (lost) p.at = 'READ document';
  else Object.assign(p, { document: w.document, at: 'idle', pass: 'results', E: null });
}

/** The shard as this visit would write it. */
function visited(g: HintGuards, p: Worker): { E: Hint | null; T: boolean } {
  let E = merge(g, p);
  if (p.pass === 'claim') return { E: E?.due === NOW ? { ...E, claim: p.name } : E, T: p.T };
  if (p.document === null || E?.claim !== p.name) return { E, T: p.T };
  if (g.hintFor && E.for > p.document.v) return { E: { ...E, claim: null }, T: p.T };
  const { due } = p.document;
  E = due === null ? null : { ...E, due, claim: null };
  return { E, T: p.T || (due === null && !g.noTombstones) };
}

function merge(g: HintGuards, p: Worker): Hint | null {
  let { E } = p;
  for (const m of Object.values(p.M)) {
    if (p.T) continue;
    const due = E && g.leastDue ? Math.min(E.due, m.due) : (E?.due ?? m.due);
    const version = E && g.greatestFor ? Math.max(E.for, m.for) : (E?.for ?? m.for);
    E = { due, for: version, claim: E?.claim ?? null };
  }
  return E;
}

/** if anything changed: CAS. */
function decide(g: HintGuards, p: Worker) {
  const { E, T } = visited(g, p);
  const changed = JSON.stringify([E, T]) !== JSON.stringify([p.E, p.T]);
  if (!g.deleteAfterCas && p.names.length > 0) p.at = 'DELETE m';
  else if (changed) p.at = 'CAS';
  else goOn(g, p, E);
}

function goOn(g: HintGuards, p: Worker, E: Hint | null) {
  Object.assign(p, { E, M: {}, T: false, v: 0 });
  if (g.deleteAfterCas && p.names.length > 0) p.at = 'DELETE m';
  else afterVisit(p);
}

function afterDelete(g: HintGuards, p: Worker) {
  if (g.deleteAfterCas) afterVisit(p);
  else p.at = 'CAS';
}

function afterVisit(p: Worker) {
  const mine = p.E?.claim === p.name && p.pass === 'claim';
  p.names = [];
  if (mine) p.at = 'READ document';
  else Object.assign(p, { ...newWorker(p.name), at: 'done' });
}

function* steps(lineUp: HintsLineUp, g: HintGuards, w: World): Iterable<Step<World>> {
  for (const [i, p] of w.writers.entries()) {
    const crash: Move<Writer> = ['crash', (w, p) => crashed(w, p, newWriter(p.name))];
    for (const [label, act] of [...writerMoves(g, p), ...(w.crashes > 0 && !over(p) ? [crash] : [])]) {
      const after = { ...p };
      const next = { ...w, writers: w.writers.with(i, after) };
      act(next, after);
      yield { label: `${p.name}: ${label}`, next };
    }
  }
  for (const [i, p] of w.workers.entries()) {
    const crash: Move<Worker> = ['crash', (w, p) => crashed(w, p, newWorker(p.name))];
    for (const [label, act] of [
      ...workerMoves(lineUp, g, p),
      ...(w.crashes > 0 && !over(p) ? [crash] : []),
    ]) {
      const after = { ...p };
      const next = { ...w, workers: w.workers.with(i, after) };
      act(next, after);
      yield { label: `${p.name}: ${label}`, next };
    }
  }
}

function crashed<P extends { at: string }>(w: World, p: P, fresh: P) {
  w.crashes -= 1;
  Object.assign(p, { ...fresh, at: 'dead' });
}

// -- invariants

function laterThanDocument({ document, E, inbox }: World): string | undefined {
  const { due } = document;
  if (due === null) return undefined;
  const hints = [...(E ? [E] : []), ...Object.values(inbox)];
  return hints.some((hint) => hint.due <= due) ? undefined : 'a hint is later than its document';
}

/** Two last workers, one after the other and undisturbed. */
function brokenAfterLast(lineUp: HintsLineUp, g: HintGuards, rest: World): Counterexample | undefined {
  const trace: string[] = [];
  let w: World = { ...rest, crashes: 0, workers: [newWorker('last1')] };
  for (const name of ['last2', '']) {
    for (let step = firstStep(lineUp, g, w); step; step = firstStep(lineUp, g, w)) {
      w = step.next;
      trace.push(step.label);
    }
    if (name) w = { ...w, workers: [newWorker(name)] };
  }
  const broken = brokenInTheEnd(w);
  return broken === undefined ? undefined : { broken, trace };
}

function brokenInTheEnd(w: World): string | undefined {
  if (w.document.due === NOW) return 'a document that is due is overlooked';
  if (w.E?.due === NOW) return 'a hint never comes to rest';
  return laterThanDocument(w);
}

function firstStep(lineUp: HintsLineUp, g: HintGuards, w: World): Step<World> | undefined {
  for (const step of steps(lineUp, g, w)) return step;
  return undefined;
}
