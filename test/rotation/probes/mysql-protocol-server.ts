import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createConnection } from 'mysql2';
import * as z from 'zod';
import type { MysqlUser, RunningMysql } from './running-mysql.ts';

/** All that the protocol has (MySQL, "Capabilities Flags"), but no compression and no TLS. */
const CAPABILITIES = 0xff_ff_ff & ~0x20 & ~0x8_00;
const ACCESS_DENIED = 1045;
const NO_SUCH_TABLE = 1146;
const BINARY = 63;
const STRING = 253;
const one = (characterSet: number) => ({
  ...{ catalog: 'def', schema: '', table: '', orgTable: '', name: '1', orgName: '1' },
  ...{ characterSet, columnLength: 1, columnType: STRING, flags: 1, decimals: 0 },
});

const helloSchema = z.object({
  user: z.string(),
  authPluginData1: z.instanceof(Buffer),
  authPluginData2: z.instanceof(Buffer),
  authToken: z.instanceof(Buffer),
});

/**
 * Where there is no MariaDB: the server's half of the protocol as mysql2 has it, which logs in one user by mysql_native_password and
 * knows one query, whose answer is in the character set that is given by its number. It shows what the client does with what comes over the wire, not what a MySQL would send.
 */
export async function startProtocolServer(user: MysqlUser, characterSet = BINARY): Promise<RunningMysql> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    serve(socket, user, characterSet);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.');
  return {
    port: address.port,
    ca: undefined,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function serve(socket: Socket, user: MysqlUser, characterSet: number): void {
  const connection = createConnection({ stream: socket, isServer: true });
  connection.on('error', () => {});
  // Packets are counted from 0 in each exchange; mysql2 leaves that to the server.
  const awaitCommand = () => Object.assign(connection, { sequenceId: 0 });
  connection.on('query', (query: string) => {
    if (query === 'SELECT 1') connection.writeTextResult([{ 1: '1' }], [one(characterSet)]);
    else connection.writeError({ code: NO_SUCH_TABLE, message: 'no such table' });
    awaitCommand();
  });
  connection.serverHandshake({
    protocolVersion: 10,
    serverVersion: '8.0.0',
    connectionId: 1,
    statusFlags: 2,
    characterSet: 45,
    capabilityFlags: CAPABILITIES,
    authCallback: (hello: unknown, done: (error: unknown, refusal: object | undefined) => void) => {
      const known = isUser(hello, user);
      done(null, known ? undefined : { code: ACCESS_DENIED, message: 'Access denied' });
      awaitCommand();
    },
  });
}

const sha1 = (...parts: (Buffer | string)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha1')).digest();

/** The token is SHA1(password) XOR SHA1(salt, SHA1(SHA1(password))) (MySQL, "Native Authentication"). */
function isUser(hello: unknown, { username, password }: MysqlUser): boolean {
  const { user, authPluginData1, authPluginData2, authToken } = helloSchema.parse(hello);
  const once = sha1(password);
  const mask = sha1(authPluginData1, authPluginData2, sha1(once));
  return user === username && authToken.equals(once.map((byte, n) => byte ^ (mask[n] ?? 0)));
}
