import { Client } from 'pg';
import * as z from 'zod';
import { codeOf } from '../../errors.ts';
import type { ProbeResult } from './probe-result.ts';

const credentials = z.object({ username: z.string(), password: z.string() });
const TIMEOUT_MS = 10_000;

export interface PostgresProbe {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly tls: boolean;
}

/** Logs in to PostgreSQL with the value's `username` and `password` and runs a query. */
export async function testPostgresLogin(
  probe: PostgresProbe,
  value: Readonly<Record<string, unknown>>,
): Promise<ProbeResult> {
  const parsed = credentials.safeParse(value);
  if (!parsed.success) return { ok: false, code: 'test_value_incomplete' };
  const client = new Client({
    host: probe.host,
    port: probe.port,
    database: probe.database,
    user: parsed.data.username,
    password: parsed.data.password,
    ssl: probe.tls,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
    application_name: 'leasekeeper-test',
  });
  // pg reports a connection that breaks later on this event too; unheard it would end the process.
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return { ok: true };
  } catch (error) {
    // SQLSTATE 28P01 and 28000 are refused logins (PostgreSQL, appendix A); the message may quote the user and is left out.
    const code = codeOf(error);
    return { ok: false, code: code === '28P01' || code === '28000' ? 'test_login_refused' : 'test_failed' };
  } finally {
    await client.end().catch(() => {});
  }
}
