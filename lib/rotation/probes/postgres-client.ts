import type { Client } from 'pg';
import { withBoundedSocket } from './bounded-socket.ts';
import { DEFAULT_TIMEOUT_MS } from './server-schema.ts';
import type { Login } from './value-fields.ts';

export interface PostgresServer {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly tls: boolean;
  /** Certificate authorities in PEM; default: Node's own. */
  readonly ca?: string | undefined;
  /** For all of it, in milliseconds; default 10,000. */
  readonly timeout?: number;
}

/** Logs in, runs `work` and closes the connection whatever happens. Throws what pg throws; its messages may quote the user's name. */
export async function withPostgresClient<Result>(
  { host, port, database, tls, ca, timeout = DEFAULT_TIMEOUT_MS }: PostgresServer,
  { username, password }: Login,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  // Loaded when it is asked for: most rotations log in nowhere.
  const pg = await import('pg');
  return withBoundedSocket(timeout, async (socket) => {
    const client = new pg.Client({
      host,
      port,
      database,
      user: username,
      password,
      ssl: tls && (ca === undefined ? true : { ca }),
      application_name: 'leasekeeper-test',
      stream: () => socket,
    });
    // pg reports a connection that breaks later on this event too; unheard it would end the process.
    client.on('error', () => {});
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  });
}
