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

/**
 * SQLSTATE 28P01 is a wrong password. 28000 is a role that is missing or may not log in, but is also said of a host that pg_hba.conf does
 * not let in, and of a login that LDAP or PAM could not judge (PostgreSQL, appendix A): the place in the server tells them apart.
 */
function isRefusal(error: unknown): boolean {
  const code = codeOf(error);
  const routine = error instanceof Error && 'routine' in error ? error.routine : undefined;
  return code === '28P01' || (code === '28000' && routine === 'InitializeSessionUserId');
}
