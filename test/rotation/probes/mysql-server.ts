import { findMariadb, startMariadb } from './mariadb-server.ts';
import { startProtocolServer } from './mysql-protocol-server.ts';
import type { MysqlUser, RunningMysql } from './running-mysql.ts';

/** The MariaDB on PATH if there is one, else a server that speaks the protocol. */
export async function startMysql(user: MysqlUser): Promise<RunningMysql> {
  const mariadb = await findMariadb();
  return mariadb === undefined ? startProtocolServer(user) : startMariadb(mariadb, user);
}
