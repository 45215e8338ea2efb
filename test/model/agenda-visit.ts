import {
  applyPublished,
  applyResults,
  claim,
  dropOldTombstones,
  type Merge,
  merge,
  toLookUp,
} from './agenda-book.ts';
import {
  type AgendaCase,
  type AgendaWorld,
  breaks,
  emptyShard,
  including,
  type Move,
  newWorker,
  replace,
  shardOf,
  type Worker,
} from './agenda-world.ts';
import { drop, put } from './sorted-record.ts';

const firstRead = ({ g }: AgendaCase) => (g.visitShardFirst ? 'READ' : 'LIST');

/** visit(n, apply): the next request of a worker. A visit to claim, the renewals, a visit with the results. */
export function visitMoves(c: AgendaCase, w: AgendaWorld, p: Worker): Move<Worker>[] {
  switch (p.at) {
    case 'idle':
      return takeMoves(c, w, p);
    case 'READ':
      return [[`A: READ shard ${p.n}`, (w, p) => readShard(c, w, p)]];
    case 'LIST':
      return [[`LIST inbox/${p.n}`, (w, p) => listInbox(c, w, p)]];
    case 'READ m':
      return [[`READ ${p.unread[0]}`, (w, p) => readMessage(c, w, p)]];
    case 'LOOKUP':
      return [[`LOOKUP ${p.lookups[0]}`, (w, p) => lookUp(c, w, p)]];
    case 'CAS': {
      const label = `CAS shard ${p.n} (${p.pass})`;
      const write: Move<Worker> = [label, (w, p) => cas(c, w, p, true)];
      const unknown: Move<Worker> = [`${label}, answer lost`, (w, p) => cas(c, w, p, false)];
      return w.unknowns > 0 ? [write, unknown] : [write];
    }
    case 'DELETE m':
      return p.names.map((name) => [`delete metadata of ${name}`, (w, p) => deleteMessage(c, w, p, name)]);
    case 'RENEW':
      return [[`RENEW ${p.torenew[0]}`, (w, p) => renew(c, w, p)]];
    case 'publish':
      return [[`publish lease.lost ${p.say.join(' ')}`, (w, p) => publishLost(c, w, p)]];
    default:
      return [];
  }
}

/** Takes a request from the bus; the visit begins with its first read. */
function takeMoves(c: AgendaCase, w: AgendaWorld, p: Worker): Move<Worker>[] {
  return w.bus.flatMap((waiting, n): Move<Worker>[] => {
    if (waiting === 0) return [];
    return visitMoves(c, w, { ...p, n, at: firstRead(c) }).map(([label, act]) => [
      label,
      (w, p) => {
        w.bus = replace(w.bus, n, waiting - 1);
        p.n = n;
        act(w, p);
      },
    ]);
  });
}

function readShard(c: AgendaCase, w: AgendaWorld, p: Worker) {
  p.shard = w.shards[p.n] ?? emptyShard;
  if (c.g.visitShardFirst) p.at = 'LIST';
  else decide(c, w, p);
}

function listInbox(c: AgendaCase, w: AgendaWorld, p: Worker) {
  p.names = Object.keys(w.inbox[p.n] ?? {});
  p.unread = p.names;
  p.at = 'READ m';
  if (p.names.length === 0) allMessagesRead(c, w, p);
}

function readMessage(c: AgendaCase, w: AgendaWorld, p: Worker) {
  const [name = '', ...unread] = p.unread;
  const m = w.inbox[p.n]?.[name];
  if (m) p.M = put(p.M, name, m);
  p.unread = unread;
  if (unread.length === 0) allMessagesRead(c, w, p);
}

function allMessagesRead(c: AgendaCase, w: AgendaWorld, p: Worker) {
  if (c.g.visitShardFirst) decide(c, w, p);
  else p.at = 'READ';
}

/** Shard and inbox are read: LOOKUP what must be, before the messages are merged. */
function decide(c: AgendaCase, w: AgendaWorld, p: Worker) {
  p.lookups = toLookUp({ E: p.shard.E, T: p.shard.T, M: p.M }, w.now, c.g);
  p.at = 'LOOKUP';
  if (p.lookups.length === 0) prepare(c, w, p);
}

function lookUp(c: AgendaCase, w: AgendaWorld, p: Worker) {
  const [id = '', ...lookups] = p.lookups;
  if (w.leases[id] !== 'live') p.dead = [...p.dead, id];
  p.lookups = lookups;
  if (lookups.length === 0) prepare(c, w, p);
}

/** for m in M; apply(E); drop tombstones older than TOMB; if anything changed: CAS. */
function prepare({ g }: AgendaCase, w: AgendaWorld, p: Worker) {
  let body = merge({ E: p.shard.E, T: p.shard.T, M: p.M }, p.dead, w.now, g);
  if (p.pass === 'claim') {
    const { E, rounds } = claim(body.E, p.name, p.rounds, w.now, g);
    body = { ...body, E };
    p.rounds = rounds;
    p.torenew = Object.keys(rounds).filter((id) => !E[id]?.unpublished);
  } else if (p.pass === 'results') {
    body = { ...body, E: applyResults(body.E, p.name, p.results, w.now, g) };
  } else body = applyPublished(body, p.say, w.now, g);
  if (p.pass !== 'clear') p.say = unpublishedOf(body, p.name);
  body = { ...body, T: dropOldTombstones(body.T, p.M, w.now, g) };
  const changed = JSON.stringify([body.E, body.T]) !== JSON.stringify([p.shard.E, p.shard.T]);
  Object.assign(p, { body: changed ? body : null, dead: [], M: {} });
  if (!g.deleteAfterCas && p.names.length > 0) p.at = 'DELETE m';
  else if (changed) p.at = 'CAS';
  else shardHoldsAll(g.deleteAfterCas, p);
}

const unpublishedOf = ({ E }: Merge, me: string) =>
  Object.keys(E).filter((id) => E[id]?.unpublished && E[id]?.claim === me);

function cas(c: AgendaCase, w: AgendaWorld, p: Worker, answered: boolean) {
  const refused = c.g.checkAndSet && w.shards[p.n]?.v !== p.shard.v;
  if (!answered) w.unknowns -= 1;
  if (!refused && p.body) land(c, w, p.n, p.body);
  if (refused || !answered) goToA(c, p);
  else shardHoldsAll(c.g.deleteAfterCas, p);
}

function land(c: AgendaCase, w: AgendaWorld, n: number, body: Merge) {
  const was = w.shards[n] ?? emptyShard;
  w.shards = replace(w.shards, n, { v: was.v + 1, E: body.E, T: body.T });
  for (const id of body.removed) w.removed = including(w.removed, id);
  const takenOn = (id: string) => (body.E[id]?.due ?? 0) > w.now || (id in was.E && !(id in body.E));
  w.scans = w.scans.map((s) => ({ ...s, owed: s.owed.filter((id) => shardOf(c, id) !== n || !takenOn(id)) }));
}

/** lost or unknown: goto A. The results are kept, not renewed again. */
function goToA(c: AgendaCase, p: Worker) {
  Object.assign(p, { at: firstRead(c), shard: emptyShard, names: [], body: null });
  if (p.pass !== 'results' || c.g.keepResults) return;
  Object.assign(p, { at: 'RENEW', torenew: Object.keys(p.results), results: {} });
}

function shardHoldsAll(deleteNow: boolean, p: Worker) {
  Object.assign(p, { body: null, shard: emptyShard });
  if (deleteNow && p.names.length > 0) p.at = 'DELETE m';
  else afterVisit(p);
}

function deleteMessage({ g }: AgendaCase, w: AgendaWorld, p: Worker, name: string) {
  const names = p.names.filter((other) => other !== name);
  w.inbox = replace(w.inbox, p.n, drop(w.inbox[p.n] ?? {}, name));
  p.names = names;
  if (names.length > 0) return;
  if (!g.deleteAfterCas && p.body) p.at = 'CAS';
  else afterVisit(p);
}

function afterVisit(p: Worker) {
  if (p.pass === 'claim' && p.torenew.length > 0) p.at = 'RENEW';
  else if (p.pass !== 'clear' && p.say.length > 0) p.at = 'publish';
  else Object.assign(p, { ...newWorker(p.name), at: 'done' });
}

function renew(c: AgendaCase, w: AgendaWorld, p: Worker) {
  const [id = '', ...torenew] = p.torenew;
  const round = `${id} due ${p.rounds[id]}`;
  if (w.renewed.includes(round)) breaks(w, 'renewed twice in a round');
  w.renewed = including(w.renewed, round);
  const lives = w.leases[id] === 'live';
  p.results = put(p.results, id, lives ? 'ok' : 'lost');
  if (!lives && !c.g.lookAgainBeforeLost) announce(w, id);
  p.torenew = torenew;
  if (torenew.length > 0) return;
  p.pass = 'results';
  p.at = firstRead(c);
}

function publishLost(c: AgendaCase, w: AgendaWorld, p: Worker) {
  for (const id of p.say) announce(w, id);
  p.pass = 'clear';
  p.at = firstRead(c);
}

function announce(w: AgendaWorld, id: string) {
  if (w.leases[id] !== 'lost') breaks(w, 'lease.lost for a lease removed on purpose');
  w.announced = including(w.announced, id);
}
