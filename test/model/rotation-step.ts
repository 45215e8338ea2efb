import { changed, type RotationCase } from './rotation-changes.ts';
import { breaks, type Change, newWorker, PERSON, type RotationWorld, type Worker } from './rotation-state.ts';
import { drop, put } from './sorted-record.ts';

/** One request of a process. */
export type Move<P> = readonly [label: string, act: (w: RotationWorld, p: P) => void];

/** step(), from the state in hand: which request comes next. */
function step(c: RotationCase, w: RotationWorld, p: Worker) {
  const { S } = p;
  const r = S.retiring.find((other) => other.ripe || !c.g.grace);
  Object.assign(p, { h: '', value: '', ok: false, pv: 0, published: [], listed: [] });
  if (S.outbox.length > 0) p.at = 'publish';
  else if (r) removeThenRevoke(c, w, p, r.h, 'retired');
  else if (S.phase === 'idle' && S.due === 'now') toCas(c, w, p, 'create');
  else if (S.phase === 'idle') p.at = 'raise hint';
  else if (S.phase === 'create' && S.h) Object.assign(p, { at: 'renew-accessor', h: S.h });
  else if (S.phase === 'create' && S.owner === p.me) p.at = 'create token';
  else if (S.phase === 'create' && S.claimed) stop(p);
  else if (S.phase === 'create') toCas(c, w, p, 'takeover');
  else if (S.phase === 'apply') toCas(c, w, p, 'applied');
  else if (S.phase === 'undo') removeThenRevoke(c, w, p, S.h, 'undone');
  else p.at = 'READ pending';
}

/** agenda rm; revoke the lease, then the token; cas(drop the handle). */
function removeThenRevoke(c: RotationCase, w: RotationWorld, p: Worker, h: string, change: Change) {
  p.h = h;
  p.change = change;
  if (c.g.revokeThenDrop) p.at = c.g.removeBeforeRevoke ? 'agenda rm' : 'revoke';
  else toCas(c, w, p, change);
}

function stop(p: Worker) {
  Object.assign(p, { ...newWorker(p.name, p.me), at: 'done' });
}

function reload(p: Worker) {
  Object.assign(p, { ...newWorker(p.name, p.me), at: 'READ S' });
}

// -- cas(f): one write at the version read; lost or unknown → reload, step() again

/** If it fills outbox or lowers due: first post the hint {due, for: version+1}. */
function toCas(c: RotationCase, w: RotationWorld, p: Worker, change: Change) {
  p.change = change;
  p.at = c.g.hintBeforeDocument && fillsOutbox(c, w, p) ? 'POST hint' : 'cas';
}

const fillsOutbox = (c: RotationCase, w: RotationWorld, p: Worker) =>
  changed(c, w, p).outbox.length > p.S.outbox.length;

export function postHint(w: RotationWorld, version: number) {
  w.hint = { due: true, for: Math.max(w.hint.for, version + 1) };
}

function cas(c: RotationCase, w: RotationWorld, p: Worker, answered: boolean) {
  const { change } = p;
  const won = !c.g.checkAndSet || w.S.v === p.S.v;
  const filled = fillsOutbox(c, w, p);
  if (!answered) w.unknowns -= 1;
  if (won) {
    w.S = { ...changed(c, w, p), v: w.S.v + 1 };
    if (change === 'create' || change === 'takeover') w.attempts += 1;
  }
  if (!won || !answered) {
    if (change === 'record') stop(p);
    else reload(p);
    return;
  }
  p.S = w.S;
  if (!c.g.hintBeforeDocument && filled) p.at = 'POST hint';
  else afterCas(c, w, p);
}

function afterCas(c: RotationCase, w: RotationWorld, p: Worker) {
  const dropped = p.change === 'retired' || p.change === 'undone';
  if (dropped && !c.g.revokeThenDrop && p.at !== 'revoke') p.at = 'agenda rm';
  else if (p.change === 'promoted' || p.change === 'undone') p.at = 'LIST pending';
  else step(c, w, p);
}

// -- every request of step()

export function stepMoves(c: RotationCase, w: RotationWorld, p: Worker): Move<Worker>[] {
  const first = requests[p.at];
  if (!first) return [];
  const moves: Move<Worker>[] = [[p.at === 'cas' ? `cas(${p.change})` : p.at, (w, p) => first(c, w, p)]];
  const label = `cas(${p.change}), answer lost`;
  if (p.at === 'cas' && w.unknowns > 0) moves.push([label, (w, p) => cas(c, w, p, false)]);
  if (p.at === 'WRITE P' && w.unknowns > 0)
    moves.push(['WRITE P, answer lost', (w, p) => writeUnanswered(c, w, p)]);
  if (p.at === 'test' && w.failures > 0) moves.push(['test fails', (w, p) => testFails(c, w, p)]);
  if (p.at === 'publish' && w.refusals > 0)
    moves.push(['publish, last refused', (w, p) => publish(c, w, p, 1)]);
  return moves;
}

type Request = (c: RotationCase, w: RotationWorld, p: Worker) => void;

const requests: Partial<Record<Worker['at'], Request>> = {
  idle: readState,
  'READ S': readState,
  publish: (c, w, p) => publish(c, w, p, 0),
  'POST hint': (c, w, p) => {
    postHint(w, c.g.hintBeforeDocument ? p.S.v : p.S.v - 1);
    if (c.g.hintBeforeDocument) p.at = 'cas';
    else afterCas(c, w, p);
  },
  cas: (c, w, p) => cas(c, w, p, true),
  'raise hint': (c, w, p) => {
    // Raised to the earliest time that S holds; which may have come since.
    const retry = p.S.due === 'backoff' && w.S.due === 'now';
    const due = retry || p.S.retiring.some((r) => w.graceOver.includes(r.h));
    if (!c.g.hintFor || w.hint.for <= p.S.v) w.hint = { ...w.hint, due };
    stop(p);
  },

  // create, no h, me
  'create token': (_c, w, p) => {
    p.h = `${p.S.att}.${p.name}`;
    w.credentials = put(w.credentials, p.h, 'token');
    p.at = 'rotator.create';
  },
  'rotator.create': (c, w, p) => {
    if (!w.credentials[p.h]) return stop(p);
    w.credentials = put(w.credentials, p.h, 'short');
    p.at = c.g.recordBeforeRenew ? 'PUT pending' : 'renew-accessor';
  },
  'PUT pending': (c, w, p) => {
    if (c.g.pendingCas0 && p.S.att in w.pending) return stop(p);
    w.pending = put(w.pending, p.S.att, p.h);
    toCas(c, w, p, 'record');
  },

  // create, h
  'renew-accessor': (c, w, p) => {
    p.ok = w.credentials[p.h] !== undefined;
    if (p.ok) w.credentials = put(w.credentials, p.h, 'long');
    if (!p.S.h) p.at = 'PUT pending';
    else if (p.ok) p.at = 'agenda add';
    else toCas(c, w, p, 'renewed');
  },
  'agenda add': (c, w, p) => {
    if (!w.agenda[p.h]) w.agenda = put(w.agenda, p.h, 'in');
    toCas(c, w, p, 'renewed');
  },

  // test, promote
  'READ pending': (c, w, p) => {
    const value = w.pending[p.S.att];
    if (value === undefined && w.S.v === p.S.v) breaks(w, 'a pending value is missing');
    if (value === undefined) return reload(p);
    p.value = value;
    p.at = p.S.phase === 'test' ? 'test' : 'WRITE P';
    p.pv = p.S.pv;
    if (p.at === 'WRITE P' && !c.g.fixedPv) p.at = 'READ P metadata';
  },
  test: (c, w, p) => {
    p.ok = w.credentials[p.value] !== undefined;
    if (p.ok) p.at = 'READ P metadata';
    else toCas(c, w, p, 'tested');
  },
  'READ P metadata': (c, w, p) => {
    p.pv = w.P.v;
    if (p.S.phase === 'test') toCas(c, w, p, 'tested');
    else p.at = 'WRITE P';
  },
  'WRITE P': writePublished,
  'READ P': (c, w, p) => {
    p.pv = w.P.v;
    toCas(c, w, p, w.P.value === p.value ? 'promoted' : 'drift');
  },

  // retiring, undo
  'agenda rm': (c, w, p) => {
    w.agenda = put(w.agenda, p.h, 'removed');
    if (c.g.removeBeforeRevoke) p.at = 'revoke';
    else toCas(c, w, p, p.change);
  },
  revoke: (c, w, p) => {
    checkRevocation(w, p.h);
    w.credentials = drop(w.credentials, p.h);
    if (!c.g.revokeThenDrop) afterCas(c, w, p);
    else if (c.g.removeBeforeRevoke) toCas(c, w, p, p.change);
    else p.at = 'agenda rm';
  },

  // then delete the metadata of pending/name/* except S.att
  'LIST pending': (c, w, p) => {
    p.listed = Object.keys(w.pending);
    p.at = 'READ S again';
    if (!c.g.listBeforeRead) keepOwnPending(c, w, p);
  },
  'READ S again': (c, w, p) => {
    p.S = w.S;
    keepOwnPending(c, w, p);
  },
  'delete pending': (c, w, p) => {
    const [att = '', ...listed] = p.listed;
    w.pending = drop(w.pending, att);
    p.listed = listed;
    if (listed.length === 0) step(c, w, p);
  },
};

function readState(c: RotationCase, w: RotationWorld, p: Worker) {
  p.S = w.S;
  step(c, w, p);
}

/** outbox: publish each; cas(delete exactly those ids). */
function publish(c: RotationCase, w: RotationWorld, p: Worker, refused: 0 | 1) {
  p.published = p.S.outbox.slice(0, p.S.outbox.length - refused);
  w.refusals -= refused;
  for (const event of p.published) {
    const id = c.g.eventIdOfGeneration ? event : `${event} by ${p.name}`;
    if (w.events.some((other) => other !== id && other.split(' ')[0] === event))
      breaks(w, 'two ids for one event');
    if (!w.events.includes(id)) w.events = [...w.events, id].sort();
  }
  toCas(c, w, p, 'outbox');
}

function testFails(c: RotationCase, w: RotationWorld, p: Worker) {
  w.failures -= 1;
  p.ok = false;
  toCas(c, w, p, 'tested');
}

/** WRITE P cas=S.pv val */
function writePublished(c: RotationCase, w: RotationWorld, p: Worker) {
  if (w.P.v !== p.pv) {
    p.at = 'READ P';
    return;
  }
  const told = [...w.S.outbox, ...w.events].includes(`drift:${w.P.v}`);
  if (w.P.value === PERSON && !told) breaks(w, "a person's value is overwritten in silence");
  if (p.S.g < w.P.g) breaks(w, 'the published path went back to an older generation');
  if (p.S.g === w.P.g && w.P.value !== p.value && w.P.value !== PERSON)
    breaks(w, 'two values of one generation');
  w.P = { v: w.P.v + 1, value: p.value, g: p.S.g };
  w.everPublished = [...new Set([...w.everPublished, p.value])].sort();
  p.pv = w.P.v;
  toCas(c, w, p, 'promoted');
}

/** Unknown: reload; whoever comes next finds the value there. */
function writeUnanswered(c: RotationCase, w: RotationWorld, p: Worker) {
  w.unknowns -= 1;
  writePublished(c, w, p);
  reload(p);
}

function checkRevocation(w: RotationWorld, h: string) {
  if (!w.credentials[h]) return;
  if (w.S.cur.h === h || w.P.value === h) breaks(w, 'the current generation is revoked');
  if (w.everPublished.includes(h) && !w.graceOver.includes(h)) breaks(w, 'retired before its grace is over');
  if (w.agenda[h] === 'in') breaks(w, 'revoked while the agenda keeps it alive');
}

function keepOwnPending(c: RotationCase, w: RotationWorld, p: Worker) {
  p.listed = p.listed.filter((att) => att !== p.S.att);
  p.at = 'delete pending';
  if (p.listed.length === 0) step(c, w, p);
}
