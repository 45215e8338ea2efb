import { Client } from 'pg';

/** How to reach a PostgreSQL as its superuser. */
export interface PostgresLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Hands out what the global set-up has provided; vitest's own `inject`. */
export type InjectPostgres = (key: 'postgres') => PostgresLogin;

/** Runs `work` with one connection, as the superuser unless told otherwise, and closes it whatever happens. */
export async function withPostgres<Result>(
  inject: InjectPostgres,
  work: (client: Client) => Promise<Result>,
  as: Partial<PostgresLogin> = {},
): Promise<Result> {
  const client = new Client({ ...inject('postgres'), ...as, ssl: false });
  // A server that ends a session in the middle reports it here too; the query that was running throws anyway.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return await work(client);
  } finally {
    await client.end();
  }
}
