import * as z from 'zod';
import type { AskedEvidence, Finding } from './finding.ts';
import { askPostgresSessions, postgresSessionsSchema } from './postgres-sessions.ts';

/** How it is seen that nobody uses an old generation any more. */
export const evidenceSchema = z.discriminatedUnion('kind', [postgresSessionsSchema]);
export type Evidence = z.infer<typeof evidenceSchema>;

export type GatherEvidence = (evidence: Evidence, asked: AskedEvidence) => Promise<Finding>;

/** Looks once. Never throws: what cannot be asked is `unknown`. */
export const gatherEvidence: GatherEvidence = (evidence, asked) => {
  switch (evidence.kind) {
    case 'postgres_sessions':
      return askPostgresSessions(evidence, asked);
  }
};
