import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import type { Connection } from 'mysql2';
import * as z from 'zod';
import { codeOf } from '../../errors.ts';
import { withBoundedSocket } from './bounded-socket.ts';
import type { ProbeResult } from './probe-result.ts';
import { CA_UNUSED, caIsUsed, databaseServer, loginFields, portSchema } from './server-schema.ts';
import { type Login, loginOf, type Value } from './value-fields.ts';

/** A login to MySQL or MariaDB. */
export const mysqlProbeSchema = z
  .strictObject({
    kind: z.literal('mysql'),
    ...databaseServer,
    port: portSchema.default(3306),
    database: z.string().min(1).optional(),
    ...loginFields,
    /** Run after the login, to see that the user may do its work. Its rows are read and dropped: let there be few. */
    query: z.string().min(1).default('SELECT 1'),
  })
  .refine(caIsUsed, CA_UNUSED)
  .refine(({ host, tls }) => !(tls && isIP(host)), {
    path: ['host'],
    // mysql2 compares the certificate of a server that is given by its address with the name localhost.
    message: 'expected a host name with tls: true, an address cannot be compared with the certificate',
  });
export type MysqlProbe = z.infer<typeof mysqlProbeSchema>;

/**
 * The user, the password, or a password that has run out. A user that must use TLS, or may not come from this host, is refused with the
 * first of them too: the server does not tell them apart (MySQL, "Server Error Message Reference").
 */
const REFUSALS = new Set([
  'ER_ACCESS_DENIED_ERROR',
  'ER_ACCESS_DENIED_NO_PASSWORD_ERROR',
  'ER_MUST_CHANGE_PASSWORD_LOGIN',
]);

/** Logs in to MySQL or MariaDB with the value's `username` and `password` and runs a query. */
export async function testMysqlLogin(probe: MysqlProbe, value: Value): Promise<ProbeResult> {
  const login = loginOf(value, probe);
  if (!login.ok) return login;
  // Loaded when it is asked for: most rotations need no MySQL.
  const { createConnection } = await import('./mysql-client.ts');
  try {
    await withBoundedSocket(probe.timeout, (socket) => logInAndAsk(createConnection, probe, login, socket));
    return { ok: true };
  } catch (error) {
    // The message quotes the user and is left out.
    if (REFUSALS.has(codeOf(error))) return { ok: false, code: 'test_login_refused', refused: true };
    return { ok: false, code: 'test_failed', refused: false };
  }
}

async function logInAndAsk(
  createConnection: typeof import('./mysql-client.ts').createConnection,
  probe: MysqlProbe,
  login: Login,
  socket: Socket,
): Promise<void> {
  const { host, port, database, tls, ca, timeout } = probe;
  const connection = createConnection({
    stream: socket.connect(port, host),
    host,
    user: login.username,
    password: login.password,
    connectTimeout: timeout,
    ...(database !== undefined && { database }),
    // `verifyIdentity` is off by default: any certificate of a trusted authority would do.
    ...(tls && { ssl: { verifyIdentity: true, ...(ca !== undefined && { ca }) } }),
  });
  // After a failure mysql2 may report another on this event; unheard it would end the process.
  connection.on('error', () => {});
  await connected(connection);
  await asked(connection, probe.query);
  await ended(connection, socket);
}

const connected = (connection: Connection) =>
  new Promise<void>((resolve, reject) => {
    connection.connect((error) => (error ? reject(error) : resolve()));
  });

const asked = (connection: Connection, query: string) =>
  new Promise<void>((resolve, reject) => {
    connection.query(query, (error) => (error ? reject(error) : resolve()));
  });

/** Says goodbye and waits for the server to hang up; without it the server counts the connection as aborted. */
async function ended(connection: Connection, socket: Socket): Promise<void> {
  if (socket.closed) return;
  const closed = once(socket, 'close').catch(() => {});
  connection.end();
  await closed;
}
