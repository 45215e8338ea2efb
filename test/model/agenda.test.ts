import { afterAll, describe, expect, test } from 'vitest';
import { agendaModel } from './agenda.ts';
import { type AgendaGuards, agendaGuards } from './agenda-book.ts';
import { type HintGuards, type HintsLineUp, hintGuards, hintsModel } from './agenda-hints.ts';
import { agendaLineUps, fullAgendaLineUps, fullHintsLineUps, hintsLineUps } from './agenda-lineups.ts';
import type { AgendaLineUp } from './agenda-world.ts';
import { explore } from './explore.ts';
import { SearchTable } from './report.ts';

const full = process.env.MODEL === 'full';
const bound = full ? 3_000_000 : 150_000;
/** A search is bounded by its states, not by time: a busy machine takes longer. */
const timeout = full ? 7_200_000 : 600_000;
const table = new SearchTable();
afterAll(() => table.print('agenda'));

describe('the agenda with all its guards', () => {
  const lineUps: AgendaLineUp[] = Object.values({ ...agendaLineUps, ...(full ? fullAgendaLineUps : {}) });

  test.each(lineUps)('$name', { timeout }, (lineUp) => {
    const found = explore(agendaModel(lineUp, agendaGuards), bound);
    table.add(lineUp.name, found);
    expect(found.counterexample).toBeUndefined();
  });
});

/** The line-up in which taking a guard out is found, and the invariant that breaks. */
const withoutGuard: Record<keyof AgendaGuards, readonly [keyof typeof agendaLineUps, string]> = {
  scanInboxFirst: ['scans', 'overlooked by a scan'],
  visitShardFirst: ['leftOver', 'brought back after removal'],
  tombstones: ['late', 'brought back after removal'],
  keepTombstoneOfMessage: ['leftOver', 'brought back after removal'],
  lookupOldMessages: ['late', 'brought back after removal'],
  retryKeepsTime: ['late', 'brought back after removal'],
  removeAgainWhenLate: ['late', 'brought back after removal'],
  entryWins: ['scans', 'renewed twice in a round'],
  checkAndSet: ['removal', 'brought back after removal'],
  uniqueMessageNames: ['late', 'brought back after removal'],
  claims: ['twice', 'renewed twice in a round'],
  deleteAfterCas: ['scans', 'an entry is lost'],
  keepResults: ['twice', 'renewed twice in a round'],
  applyIsDelta: ['removal', 'brought back after removal'],
  removeBeforeRevoke: ['removal', 'lease.lost for a lease removed on purpose'],
  lookAgainBeforeLost: ['removal', 'lease.lost for a lease removed on purpose'],
};

describe('the agenda without one guard', () => {
  test.each(Object.entries(withoutGuard))('%s', { timeout }, (guard, [lineUp, broken]) => {
    const guards = { ...agendaGuards, [guard]: false };
    expect(explore(agendaModel(agendaLineUps[lineUp], guards), bound).counterexample?.broken).toBe(broken);
  });
});

describe('hints with all their guards', () => {
  const lineUps: HintsLineUp[] = Object.values({ ...hintsLineUps, ...(full ? fullHintsLineUps : {}) });

  test.each(lineUps)('$name', { timeout }, (lineUp) => {
    const found = explore(hintsModel(lineUp, hintGuards), bound);
    table.add(`hints: ${lineUp.name}`, found);
    expect(found.counterexample).toBeUndefined();
  });
});

const withoutHintGuard: Record<keyof HintGuards, readonly [keyof typeof hintsLineUps, string]> = {
  hintFirst: ['rotation', 'a hint is later than its document'],
  hintFor: ['rotation', 'a hint is later than its document'],
  leastDue: ['rotation', 'a document that is due is overlooked'],
  greatestFor: ['rotation', 'a hint is later than its document'],
  noTombstones: ['delivery', 'a hint is later than its document'],
  touchDocument: ['rotation', 'a hint never comes to rest'],
  checkAndSet: ['rotation', 'a hint is later than its document'],
  deleteAfterCas: ['rotation', 'a hint is later than its document'],
};

describe('hints without one guard', () => {
  test.each(Object.entries(withoutHintGuard))('%s', { timeout }, (guard, [lineUp, broken]) => {
    const guards = { ...hintGuards, [guard]: false };
    expect(explore(hintsModel(hintsLineUps[lineUp], guards), bound).counterexample?.broken).toBe(broken);
  });
});
