import type { Sorted } from './sorted-record.ts';

/** Who takes part, and what may go wrong. */
export interface RotationLineUp {
  readonly name: string;
  readonly workers: number;
  /** All workers call themselves the same, as a request delivered twice to one process might. */
  readonly oneOwner?: boolean;
  /** The last generation to make; each one before it is due for rotation as soon as it is current. */
  readonly last?: number;
  /** Nothing is due at first; people ask for a rotation now. */
  readonly managers?: number;
  /** How many generations may reach the end of their grace before everybody rests. */
  readonly graces?: number;
  /** How many back-offs may end before everybody rests. */
  readonly retries?: number;
  readonly crashes?: number;
  /** Writes that are done, but whose answer is lost. */
  readonly unknowns?: number;
  /** Tests that fail although the credential works. */
  readonly failures?: number;
  /** Events that the bus refuses within a batch that it takes. */
  readonly refusals?: number;
  /** Values that a person writes to the published path. */
  readonly people?: number;
}

/** Each one a reason for a line of the protocol; the tests take them out one at a time. */
export const rotationGuards = {
  /** A takeover writes a new attempt id. */
  fence: true,
  /** The handle is recorded before its token is renewed. */
  recordBeforeRenew: true,
  /** The published path is written at the version fixed in the write that entered `promote`. */
  fixedPv: true,
  /** The handle is dropped only when its credential is revoked. */
  revokeThenDrop: true,
  /** The hint is posted before a document that fills the outbox or lowers due. */
  hintBeforeDocument: true,
  /** Only who has read the version a hint is for, or a later one, may raise it. */
  hintFor: true,
  /** Exactly the events that the bus took leave the outbox. */
  outboxById: true,
  /** An event's id is made of the generation, not by who publishes it. */
  eventIdOfGeneration: true,
  /** A pending value is created, never replaced. */
  pendingCas0: true,
  /** A generation is retired only when its grace is over. */
  grace: true,
  /** The grace starts once the next generation's publication is confirmed. */
  graceAfterPublication: true,
  /** `agenda rm` before revoking. */
  removeBeforeRevoke: true,
  /** A published value that is not ours is told before a rotation replaces it: found on entering `promote`… */
  driftAtTest: true,
  /** …or when the write of the published path is refused. */
  driftAtPromote: true,
  /** Which pending values are to be deleted is decided by a state read after they were listed. */
  listBeforeRead: true,
  checkAndSet: true,
};
export type RotationGuards = typeof rotationGuards;

export interface Retiring {
  readonly g: number;
  readonly h: string;
  /** Its grace is over and it is adopted, or its deadline has passed. */
  readonly ripe: boolean;
}

/** The state document S. The clock turns `claimed`, `ripe` and `due` without a new version: they are times. */
export interface State {
  readonly v: number;
  readonly phase: 'idle' | 'create' | 'apply' | 'test' | 'promote' | 'undo';
  readonly att: string;
  readonly g: number;
  readonly h: string;
  readonly pv: number;
  readonly owner: string;
  /** now < claimUntil */
  readonly claimed: boolean;
  /** `published`: the version that the published path got with it. */
  readonly cur: { readonly g: number; readonly h: string; readonly published: number };
  readonly retiring: readonly Retiring[];
  readonly due: 'now' | 'backoff' | 'later';
  readonly outbox: readonly string[];
}

export type Change =
  | 'outbox'
  | 'retired'
  | 'create'
  | 'takeover'
  | 'record'
  | 'renewed'
  | 'applied'
  | 'tested'
  | 'drift'
  | 'promoted'
  | 'undone';

export type WorkerAt =
  | 'idle'
  | 'READ S'
  | 'publish'
  | 'agenda rm'
  | 'revoke'
  | 'create token'
  | 'rotator.create'
  | 'PUT pending'
  | 'renew-accessor'
  | 'agenda add'
  | 'READ pending'
  | 'test'
  | 'READ P metadata'
  | 'WRITE P'
  | 'READ P'
  | 'POST hint'
  | 'cas'
  | 'LIST pending'
  | 'READ S again'
  | 'delete pending'
  | 'raise hint'
  | 'done'
  | 'dead';

export interface Worker {
  readonly name: string;
  /** Who it says it is, as owner. */
  readonly me: string;
  at: WorkerAt;
  S: State;
  /** What `cas` is about to write. */
  change: Change;
  /** The credential it has made, or is about to revoke. */
  h: string;
  ok: boolean;
  /** The version at which it writes the published path, then the one it has seen there. */
  pv: number;
  value: string;
  published: readonly string[];
  listed: readonly string[];
}

export interface Manager {
  readonly name: string;
  at: 'READ S' | 'POST hint' | 'cas' | 'done' | 'dead';
  S: State | null;
}

export interface RotationWorld {
  S: State;
  /** Credentials that work, by handle: under a token just made, one that dies soon, or one that was renewed. */
  credentials: Sorted<'token' | 'short' | 'long'>;
  pending: Sorted<string>;
  /** The published path. */
  P: { readonly v: number; readonly value: string; readonly g: number };
  /** The hint in the book of rotations: whether it is due, and the version it is for. */
  hint: { readonly due: boolean; readonly for: number };
  /** The book of leases: which handles are kept alive. */
  agenda: Sorted<'in' | 'removed'>;
  workers: readonly Worker[];
  managers: readonly Manager[];
  attempts: number;
  graces: number;
  retries: number;
  crashes: number;
  unknowns: number;
  failures: number;
  refusals: number;
  people: number;
  /** What the invariants remember. */
  graceOver: readonly string[];
  everPublished: readonly string[];
  events: readonly string[];
  broken: string | null;
}

/** What a person writes. */
export const PERSON = 'a person';

const noState: State = {
  ...{ v: 0, phase: 'idle', att: '', g: 0, h: '', pv: 0, owner: '', claimed: false },
  ...{ cur: { g: 0, h: '', published: 0 }, retiring: [], due: 'later', outbox: [] },
};

export const newWorker = (name: string, me: string): Worker => ({
  ...{ name, me, at: 'idle', S: noState, change: 'outbox', h: '', ok: false, pv: 0, value: '' },
  ...{ published: [], listed: [] },
});

/** Generation 1 is current and published. */
export function beginning(lineUp: RotationLineUp): RotationWorld {
  const { managers = 0, workers, oneOwner = false } = lineUp;
  const due = managers > 0 ? 'later' : 'now';
  const cur = { g: 1, h: 'first', published: 1 };
  return {
    S: { ...noState, v: 1, cur, due, pv: 0 },
    credentials: { first: 'long' },
    pending: {},
    P: { v: 1, value: 'first', g: 1 },
    hint: { due: managers === 0, for: 1 },
    agenda: { first: 'in' },
    workers: Array.from({ length: workers }, (_, i) => newWorker(`w${i + 1}`, oneOwner ? 'w' : `w${i + 1}`)),
    managers: Array.from({ length: managers }, (_, i) => ({
      name: `manager${i + 1}`,
      at: 'READ S',
      S: null,
    })),
    attempts: 0,
    graces: lineUp.graces ?? 0,
    retries: lineUp.retries ?? 0,
    crashes: lineUp.crashes ?? 0,
    unknowns: lineUp.unknowns ?? 0,
    failures: lineUp.failures ?? 0,
    refusals: lineUp.refusals ?? 0,
    people: lineUp.people ?? 0,
    graceOver: [],
    everPublished: ['first'],
    events: [],
    broken: null,
  };
}

/** Remembers the first thing that broke. */
export function breaks(w: RotationWorld, what: string) {
  w.broken ??= what;
}
