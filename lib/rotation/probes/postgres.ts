import * as z from 'zod';
import { codeOf } from '../../errors.ts';
import { type PostgresServer, withPostgresClient } from './postgres-client.ts';
import type { ProbeResult } from './probe-result.ts';
import { CA_UNUSED, caIsUsed, databaseServer, loginFields, portSchema } from './server-schema.ts';
import { loginOf, type Value } from './value-fields.ts';

/** A PostgreSQL and a database in it. */
export const postgresServer = {
  ...databaseServer,
  port: portSchema.default(5432),
  database: z.string().min(1),
};

/** A login to PostgreSQL. */
export const postgresProbeSchema = z
  .strictObject({
    kind: z.literal('postgres'),
    ...postgresServer,
    ...loginFields,
    /** Run after the login, to see that the role may do its work. Its rows are read and dropped: let there be few. */
    query: z.string().min(1).default('SELECT 1'),
  })
  .refine(caIsUsed, CA_UNUSED);

export interface PostgresProbe extends PostgresServer {
  readonly username_field?: string;
  readonly password_field?: string;
  readonly query?: string;
}

/** Logs in to PostgreSQL with the value's `username` and `password` and runs a query. */
export async function testPostgresLogin(probe: PostgresProbe, value: Value): Promise<ProbeResult> {
  const login = loginOf(value, probe);
  if (!login.ok) return login;
  try {
    await withPostgresClient(probe, login, (client) => client.query(probe.query ?? 'SELECT 1'));
    return { ok: true };
  } catch (error) {
    // The message may quote the user and is left out.
    if (isRefusal(error)) return { ok: false, code: 'test_login_refused', refused: true };
    return { ok: false, code: 'test_failed', refused: false };
  }
}

/** Where the server refuses a login for the role's sake; the rules of pg_hba.conf refuse a host, in `ClientAuthentication`. */
const ABOUT_THE_ROLE = new Set(['auth_failed', 'InitializeSessionUserId']);

/** SQLSTATE 28P01 is a wrong password; 28000 is also said of a host or a connection without TLS (PostgreSQL, appendix A). */
function isRefusal(error: unknown): boolean {
  const code = codeOf(error);
  if (code === '28P01') return true;
  const routine = error instanceof Error && 'routine' in error ? error.routine : undefined;
  return code === '28000' && typeof routine === 'string' && ABOUT_THE_ROLE.has(routine);
}
