import * as z from 'zod';
import { durationSchema } from '../duration.ts';
import { postgresServer } from '../probes/postgres.ts';
import { type PostgresServer, withPostgresClient } from '../probes/postgres-client.ts';
import { CA_UNUSED, caIsUsed, loginFields } from '../probes/server-schema.ts';
import { loginOf } from '../probes/value-fields.ts';
import type { AskedEvidence, Finding } from './finding.ts';

/**
 * Sessions of the old user, in any database of this server. It speaks for this server only: sessions on its replicas are not seen, nor are
 * those that consumers will open later.
 */
export const postgresSessionsSchema = z
  .strictObject({
    kind: z.literal('postgres_sessions'),
    ...postgresServer,
    ...loginFields,
    /** How long every look must find it idle: a pool may be without a session for a moment. */
    idle_for: durationSchema.default(5 * 60_000),
  })
  .refine(caIsUsed, CA_UNUSED);

export interface PostgresSessions extends PostgresServer {
  readonly username_field?: string;
  readonly password_field?: string;
}

const answerSchema = z.tuple([z.object({ used: z.boolean() })]);

/**
 * Every role sees the user of every session in pg_stat_activity, only not what it does (PostgreSQL, "Viewing Statistics"). A name is
 * compared as PostgreSQL keeps it, cut to 63 bytes: a longer one would equal no session's.
 */
const SESSIONS =
  'SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1::name AND pid <> pg_backend_pid()) AS used';

/** Logs in with the current generation and looks for sessions of the old one's user. Never throws. */
export async function askPostgresSessions(
  server: PostgresSessions,
  { username, value }: AskedEvidence,
): Promise<Finding> {
  const login = loginOf(value, server);
  if (!login.ok || username === '') return 'unknown';
  try {
    const { rows } = await withPostgresClient(server, login, (client) => client.query(SESSIONS, [username]));
    const [{ used }] = answerSchema.parse(rows);
    return used ? 'in_use' : 'idle';
  } catch {
    return 'unknown';
  }
}
