import { type AgendaGuards, type Message, type Shard, TOMB } from './agenda-book.ts';
import { visitMoves } from './agenda-visit.ts';
import {
  type AgendaCase,
  type AgendaLineUp,
  type AgendaWorld,
  breaks,
  type Caller,
  END,
  including,
  type Move,
  newScan,
  newWorker,
  over,
  replace,
  type Scan,
  shardOf,
  type Worker,
} from './agenda-world.ts';
import type { Counterexample, Model, Step } from './explore.ts';
import { put } from './sorted-record.ts';

/**
 * Section 1 of the protocols, every request a step of its own: callers who add and remove, scan, and visit (which is in
 * agenda-visit.ts). A process may be left alone for any time between two steps; a crash leaves it alone for ever.
 */
export function agendaModel(lineUp: AgendaLineUp, g: AgendaGuards): Model<AgendaWorld> {
  const c: AgendaCase = { lineUp, g };
  return {
    initial: [beginning(c)],
    steps: (w) => steps(c, w),
    key: keyOf,
    always: (w) => w.broken ?? brokenIn(c, w),
    atRest: (w) => brokenAfterLast(c, w),
  };
}

/** Workers differ only in name: states that are the same but for which worker is which have the same key. */
function keyOf({ workers, ...rest }: AgendaWorld): string {
  const order = workers.map((p) => ({ name: p.name, text: JSON.stringify(p).replaceAll(p.name, 'me') }));
  order.sort((a, b) => (a.text < b.text ? -1 : 1));
  const key = [JSON.stringify(rest), ...order.map((p) => p.text)].join();
  return key.replace(/\bw\d/g, (name) => `W${order.findIndex((p) => p.name === name)}`);
}

// -- callers: issue, POST add; POST rm, revoke

function post(c: AgendaCase, w: AgendaWorld, message: Omit<Message, 'due'>, from: string) {
  const n = shardOf(c, message.id);
  const name = c.g.uniqueMessageNames ? `${message.at}.${from}` : message.id;
  w.inbox = replace(w.inbox, n, put(w.inbox[n] ?? {}, name, { ...message, due: c.lineUp.due ?? 0 }));
  if (message.op === 'add') {
    w.posted = including(w.posted, message.id);
    return;
  }
  w.removing = including(w.removing, message.id);
  w.scans = w.scans.map((s) => ({ ...s, owed: s.owed.filter((id) => id !== message.id) }));
}

function callerMoves(c: AgendaCase, w: AgendaWorld, p: Caller): Move<Caller>[] {
  // A caller knows the id once its lease is posted; while an add may still land late, as soon as it is issued.
  const late = c.lineUp.adds?.find((add) => add.id === p.id)?.late;
  const unborn = late ? w.leases[p.id] === 'unborn' : !w.posted.includes(p.id);
  switch (p.at) {
    case 'issue':
      return [[`issue ${p.id}`, issue]];
    case 'POST add':
    case 'POST add again':
      return [[`${p.at} ${p.id}`, (w, p) => postAdd(c, w, p)]];
    case 'POST rm':
      return unborn ? [] : [[`POST rm ${p.id}`, (w, p) => postRemoval(c, w, p)]];
    case 'revoke': {
      if (unborn) return [];
      const tooLate = c.g.removeAgainWhenLate && c.g.removeBeforeRevoke && w.now - p.made > TOMB;
      if (tooLate) return [[`POST rm ${p.id} again`, (w, p) => postRemoval(c, w, p)]];
      return [[`revoke ${p.id}`, (w, p) => revoke(c, w, p)]];
    }
    default:
      return [];
  }
}

function issue(w: AgendaWorld, p: Caller) {
  w.leases = put(w.leases, p.id, 'live');
  p.made = w.now;
  p.at = 'POST add';
}

function postAdd(c: AgendaCase, w: AgendaWorld, p: Caller) {
  const how = c.lineUp.adds?.find((add) => add.id === p.id);
  const again = p.at === 'POST add again';
  if (again ? !c.g.retryKeepsTime : !how?.late) p.made = w.now;
  post(c, w, { op: 'add', id: p.id, at: p.made }, again ? `${p.name}.again` : p.name);
  p.at = how?.twice && !again ? 'POST add again' : 'done';
}

function postRemoval(c: AgendaCase, w: AgendaWorld, p: Caller) {
  post(c, w, { op: 'rm', id: p.id, at: w.now }, p.name);
  p.made = w.now;
  p.at = c.g.removeBeforeRevoke ? 'revoke' : 'done';
}

function revoke(c: AgendaCase, w: AgendaWorld, p: Caller) {
  if (w.leases[p.id] === 'live') w.leases = put(w.leases, p.id, 'revoked');
  p.at = c.g.removeBeforeRevoke ? 'done' : 'POST rm';
}

// -- scan: fresh = LIST inbox/;  READ every shard;  publish n in fresh ∪ {n: min due ≤ now}

function scanMoves(c: AgendaCase, p: Scan): Move<Scan>[] {
  if (over(p)) return [];
  const at = p.at === 'begin' ? (c.g.scanInboxFirst ? 'LIST' : 'READ') : p.at;
  if (at === 'LIST') return [['scan: LIST inbox/', (w, p) => scanInbox(c, w, p)]];
  if (at === 'READ') return [[`scan: READ shard ${p.n}`, (w, p) => scanShard(c, w, p)]];
  return [['scan: publish', (w, p) => publishDue(c, w, p)]];
}

function scanInbox(c: AgendaCase, w: AgendaWorld, p: Scan) {
  if (p.at === 'begin') p.owed = owedNow(c, w);
  const fresh = w.inbox.flatMap((messages, n) => (Object.keys(messages).length > 0 ? [n] : []));
  p.found = [...new Set([...p.found, ...fresh])].sort();
  p.at = c.g.scanInboxFirst ? 'READ' : 'publish';
}

function scanShard(c: AgendaCase, w: AgendaWorld, p: Scan) {
  if (p.at === 'begin') p.owed = owedNow(c, w);
  const due = Object.values(w.shards[p.n]?.E ?? {}).some((entry) => entry.due <= w.now);
  if (due && !p.found.includes(p.n)) p.found = [...p.found, p.n].sort();
  p.n += 1;
  if (p.n < w.shards.length) p.at = 'READ';
  else p.at = c.g.scanInboxFirst ? 'publish' : 'LIST';
}

function publishDue(c: AgendaCase, w: AgendaWorld, p: Scan) {
  const { found } = p;
  if (p.owed.some((id) => !found.includes(shardOf(c, id)))) breaks(w, 'overlooked by a scan');
  w.bus = w.bus.map((waiting, n) => waiting + (found.includes(n) ? (c.lineUp.deliveries ?? 1) : 0));
  Object.assign(p, { ...newScan(p.name), at: 'done' });
}

/** What a scan that begins now owes: every entry that is posted, due, alive and not being removed. */
function owedNow(c: AgendaCase, w: AgendaWorld): string[] {
  return w.posted.filter((id) => {
    const n = shardOf(c, id);
    const waiting = Object.values(w.inbox[n] ?? {}).find((m) => m.id === id && m.op === 'add');
    const due = w.shards[n]?.E[id]?.due ?? waiting?.due;
    return due !== undefined && due <= w.now && !w.removing.includes(id) && w.leases[id] === 'live';
  });
}

// -- everything that may happen next

/** The steps of one kind of process. `into` puts the list back into a world of its own. */
function* stepsOf<P extends { readonly name: string }>(
  list: readonly P[],
  moves: (p: P, i: number) => Move<P>[],
  into: (list: readonly P[]) => AgendaWorld,
): Iterable<Step<AgendaWorld>> {
  for (const [i, p] of list.entries()) {
    for (const [label, act] of moves(p, i)) {
      const after = { ...p };
      const next = into(replace(list, i, after));
      act(next, after);
      yield { label: `${p.name}: ${label}`, next };
    }
  }
}

/** Never scheduled again. */
function crash<P extends { at: string }>(dead: P, spend: boolean): Move<P> {
  return [
    'crash',
    (w, p) => {
      Object.assign(p, dead);
      if (spend) w.crashes -= 1;
    },
  ];
}

function* steps(c: AgendaCase, w: AgendaWorld): Iterable<Step<AgendaWorld>> {
  const caller = (p: Caller) => {
    const mayCrash = c.lineUp.removes?.find((remove) => remove.id === p.id)?.mayCrash && p.at === 'revoke';
    return [
      ...callerMoves(c, w, p),
      ...(mayCrash ? [crash<Caller>({ ...p, made: 0, at: 'dead' }, false)] : []),
    ];
  };
  const scan = (p: Scan) => {
    const mayCrash = w.crashes > 0 && !over(p);
    return [...scanMoves(c, p), ...(mayCrash ? [crash<Scan>({ ...newScan(p.name), at: 'dead' }, true)] : [])];
  };
  const worker = (p: Worker, i: number) => {
    // Workers are alike until they begin, so it is enough that they begin in order.
    if (i > 0 && w.workers[i - 1]?.at === 'idle') return [];
    const mayCrash = w.crashes > 0 && !over(p);
    return [
      ...visitMoves(c, w, p),
      ...(mayCrash ? [crash<Worker>({ ...newWorker(p.name), at: 'dead' }, true)] : []),
    ];
  };
  yield* stepsOf(w.callers, caller, (callers) => ({ ...w, callers }));
  yield* stepsOf(w.scans, scan, (scans) => ({ ...w, scans }));
  yield* stepsOf(w.workers, worker, (workers) => ({ ...w, workers }));
  const ended = [...w.callers, ...w.scans, ...w.workers].every(over);
  if (w.now < (c.lineUp.ticks ?? 0) && !ended) yield { label: 'tick', next: { ...w, now: w.now + 1 } };
  for (const id of c.lineUp.losses ?? []) {
    const lost = { ...w, leases: put(w.leases, id, 'lost' as const) };
    if (w.leases[id] === 'live') yield { label: `${id} is lost`, next: lost };
  }
}

function beginning({ lineUp, g }: AgendaCase): AgendaWorld {
  const { entries = [], waiting = [], adds = [], removes = [], scans = 0, workers } = lineUp;
  const merged = removes.flatMap((removal) => (removal.merged ? [removal.id] : []));
  const known = [...new Set([...entries, ...waiting, ...merged])].sort();
  const message = (id: string): Message => ({ op: 'add', id, at: 0, due: lineUp.due ?? 0 });
  const entry = { due: lineUp.due ?? 0, claim: null, unpublished: false };
  const ids = lineUp.shards.flat();
  const shard = (of: readonly string[]): Shard => {
    const E = Object.fromEntries(of.filter((id) => entries.includes(id)).map((id) => [id, entry]));
    const T = Object.fromEntries(of.filter((id) => merged.includes(id) && g.tombstones).map((id) => [id, 0]));
    return { v: 1, E, T };
  };
  return {
    now: 0,
    shards: lineUp.shards.map(shard),
    inbox: lineUp.shards.map((of) => {
      const here = of.filter((id) => waiting.includes(id));
      return Object.fromEntries(here.map((id) => [g.uniqueMessageNames ? `0.${id}` : id, message(id)]));
    }),
    bus: lineUp.shards.map(() => lineUp.asked ?? 0),
    leases: Object.fromEntries(ids.map((id) => [id, known.includes(id) ? 'live' : 'unborn'])),
    callers: [
      ...adds.map(({ id, fromRetry }): Caller => {
        return { name: `adder-${id}`, id, at: fromRetry ? 'POST add again' : 'issue', made: 0 };
      }),
      ...removes.map(({ id, merged }): Caller => {
        return {
          name: `remover-${id}`,
          id,
          at: merged || !g.removeBeforeRevoke ? 'revoke' : 'POST rm',
          made: 0,
        };
      }),
    ],
    scans: Array.from({ length: scans }, (_, i) => newScan(`scan${i + 1}`)),
    workers: Array.from({ length: workers }, (_, i) => newWorker(`w${i + 1}`)),
    crashes: lineUp.crashes ?? 0,
    unknowns: lineUp.unknowns ?? 0,
    posted: known,
    removing: merged,
    removed: merged,
    renewed: [],
    announced: [],
    broken: null,
  };
}

// -- invariants

function brokenIn(c: AgendaCase, w: AgendaWorld): string | undefined {
  for (const id of c.lineUp.shards.flat()) {
    const n = shardOf(c, id);
    const held = w.shards[n] !== undefined && id in w.shards[n].E;
    const waits = Object.values(w.inbox[n] ?? {}).some((m) => m.id === id && m.op === 'add');
    if (held && w.removed.includes(id) && !maySit(c, w, id)) return 'brought back after removal';
    if (cared(w, id) && !held && !waits) return 'an entry is lost';
  }
  return undefined;
}

/**
 * An add that lands when its tombstone is gone is let in while its lease lives. That does no harm if its remover, late by
 * then, writes the removal again before it revokes.
 */
function maySit({ lineUp }: AgendaCase, w: AgendaWorld, id: string): boolean {
  const add = lineUp.adds?.find((other) => other.id === id);
  const landsLate = add?.late || add?.twice || add?.fromRetry;
  const removedAgain = Object.values(w.inbox).some((messages) =>
    Object.values(messages).some((m) => m.id === id && m.op === 'rm'),
  );
  return landsLate === true && (w.leases[id] === 'live' || removedAgain);
}

/** Posted, not being removed, and alive: the agenda must not forget it. */
const cared = (w: AgendaWorld, id: string) =>
  w.posted.includes(id) && !w.removing.includes(id) && w.leases[id] === 'live';

/** One last scan, and one last visit to each shard that it publishes, undisturbed. */
function brokenAfterLast(c: AgendaCase, rest: AgendaWorld): Counterexample | undefined {
  const trace: string[] = [];
  let w: AgendaWorld = { ...rest, now: END, bus: rest.bus.map(() => 0), crashes: 0, unknowns: 0 };
  w = { ...w, callers: [], scans: [newScan('last')], workers: [] };
  for (let step = firstStep(c, w); step; step = firstStep(c, w)) {
    w = step.next;
    trace.push(step.label);
    const asked = w.bus.some((waiting) => waiting > 0) && w.workers.every(over);
    if (asked) w = { ...w, workers: [newWorker(`last${w.bus.indexOf(1)}`)] };
  }
  const broken = w.broken ?? brokenIn(c, w) ?? brokenInTheEnd(c, w);
  return broken === undefined ? undefined : { broken, trace };
}

function firstStep(c: AgendaCase, w: AgendaWorld): Step<AgendaWorld> | undefined {
  for (const step of steps({ ...c, lineUp: { ...c.lineUp, deliveries: 1, losses: [] } }, w)) return step;
  return undefined;
}

function brokenInTheEnd(c: AgendaCase, w: AgendaWorld): string | undefined {
  if (w.inbox.some((messages) => Object.keys(messages).length > 0)) return 'a message is never merged';
  for (const id of c.lineUp.shards.flat()) {
    const entry = w.shards[shardOf(c, id)]?.E[id];
    if (w.removing.includes(id) && entry) return 'a removal is lost';
    if (cared(w, id) && (entry?.due ?? 0) <= END) return 'an entry is never renewed';
    const missed = w.leases[id] === 'lost' && w.posted.includes(id) && !w.removing.includes(id);
    if (missed && !w.announced.includes(id)) return 'lease.lost is never said';
  }
  return undefined;
}
