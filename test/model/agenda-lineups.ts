import type { HintsLineUp } from './agenda-hints.ts';
import type { AgendaLineUp } from './agenda-world.ts';

const one = [['a']];
/** Due so late that nothing is renewed: what is left to search is merging and removing. */
const FAR = 50;

/** Searched with every run of the tests. */
export const agendaLineUps = {
  twice: {
    name: 'a scan delivered twice, three workers, a crash, a lost answer',
    ...{ shards: one, entries: ['a'], scans: 1, deliveries: 2, workers: 3, asked: 1 },
    ...{ ticks: 1, crashes: 1, unknowns: 1 },
  },
  scans: {
    name: 'an add during two scans, three workers',
    ...{ shards: one, adds: [{ id: 'a' }], scans: 2, workers: 3, asked: 1, ticks: 1 },
  },
  removal: {
    name: 'a removal during renewals, two workers, a crash, a lost answer',
    ...{ shards: one, entries: ['a'], removes: [{ id: 'a' }], workers: 2, asked: 2 },
    ...{ ticks: 1, crashes: 1, unknowns: 1 },
  },
  leftOver: {
    name: 'a removal not followed up, an add whose deletion was cut short, three workers',
    ...{ shards: one, entries: ['a'], waiting: ['a'], due: FAR, workers: 3, asked: 3, ticks: 2 },
    removes: [{ id: 'a', mayCrash: true }],
  },
  late: {
    name: 'an add that lands after its removal was merged, three workers',
    ...{ shards: one, due: FAR, workers: 3, asked: 3, ticks: 3 },
    adds: [{ id: 'a', fromRetry: true }],
    removes: [{ id: 'a', merged: true }],
  },
  loss: {
    name: 'a lease that is lost while it is removed, two workers, a crash',
    ...{
      shards: one,
      entries: ['a'],
      losses: ['a'],
      removes: [{ id: 'a' }],
      workers: 2,
      asked: 2,
      crashes: 1,
      ticks: 1,
    },
  },
  shards: {
    name: 'two shards, two scans, three workers',
    ...{ shards: [['a'], ['b']], entries: ['a'], waiting: ['b'], scans: 2, workers: 3, ticks: 1 },
  },
  all: {
    name: 'a removal, two scans, each delivered twice, three workers',
    ...{ shards: one, entries: ['a'], removes: [{ id: 'a' }], scans: 2, deliveries: 2, workers: 3, ticks: 1 },
  },
} satisfies Record<string, AgendaLineUp>;

/** Searched with MODEL=full. */
export const fullAgendaLineUps = {
  brief: {
    name: 'an add not merged yet and its removal, three workers',
    ...{ shards: one, waiting: ['a'], due: FAR, workers: 3, asked: 3, ticks: 2 },
    removes: [{ id: 'a', mayCrash: true }],
  },
  lateFromIssue: {
    name: 'an add that lands at any time, its removal, two workers',
    ...{ shards: one, workers: 2, asked: 2, ticks: 3 },
    adds: [{ id: 'a', late: true }],
    removes: [{ id: 'a' }],
  },
  leftOverCrash: {
    name: 'a removal, an add whose deletion was cut short, two crashes, three workers',
    ...{ shards: one, entries: ['a'], waiting: ['a'], due: FAR, workers: 3, asked: 3, ticks: 2, crashes: 2 },
    removes: [{ id: 'a', mayCrash: true }],
  },
} satisfies Record<string, AgendaLineUp>;

export const hintsLineUps = {
  rotation: {
    name: 'a rotation asked for, two workers, a crash',
    writers: 1,
    workers: 2,
    crashes: 1,
    ends: 'later',
  },
  delivery: {
    name: 'a delivery replayed, two workers, a crash',
    writers: 1,
    workers: 2,
    crashes: 1,
    ends: 'finished',
  },
  writers: {
    name: 'a rotation asked for twice, a worker, a crash',
    writers: 2,
    workers: 1,
    crashes: 1,
    ends: 'later',
  },
} satisfies Record<string, HintsLineUp>;

/** Searched with MODEL=full. */
export const fullHintsLineUps = {
  both: {
    name: 'a rotation asked for twice, two workers',
    writers: 2,
    workers: 2,
    crashes: 0,
    ends: 'later',
  },
} satisfies Record<string, HintsLineUp>;
