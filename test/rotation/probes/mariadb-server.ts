import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startServer } from '../../../lib/host/local/child-process.ts';
import { freePorts } from '../../../lib/host/local/free-port.ts';
import { findOnPath, runCommand } from '../../../lib/host/local/run-command.ts';
import { until } from '../../support/until.ts';
import { issue } from './certificates.ts';
import type { MysqlUser, RunningMysql } from './running-mysql.ts';

export interface MariadbBinaries {
  readonly server: string;
  readonly installer: string;
}

export async function findMariadb(): Promise<MariadbBinaries | undefined> {
  const server = await findOnPath('mariadbd', process.env);
  const installer = await findOnPath('mariadb-install-db', process.env);
  return server === undefined || installer === undefined ? undefined : { server, installer };
}

/** Starts a MariaDB with TLS and one user. Its files are gone when it is stopped. */
export async function startMariadb(binaries: MariadbBinaries, user: MysqlUser): Promise<RunningMysql> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-mariadb-'));
  const file = async (name: string, content: string) => {
    await writeFile(path.join(folder, name), content, { mode: 0o600 });
    return path.join(folder, name);
  };
  const data = path.join(folder, 'data');
  await mkdir(data);
  const shared = [
    '--no-defaults',
    `--basedir=${path.dirname(path.dirname(binaries.server))}`,
    `--datadir=${data}`,
    // It refuses to run as root unless told to.
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
  ];
  const env = { PATH: process.env.PATH, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH };
  const installed = await runCommand(
    binaries.installer,
    [...shared, '--auth-root-authentication-method=normal'],
    { env },
  );
  if (installed.code !== 0) throw new Error(`mariadb-install-db failed: ${installed.stderr}`);
  const authority = issue({ subject: '/CN=authority', authority: true });
  const own = issue({ names: 'DNS:localhost', signedBy: authority });
  const logFile = path.join(folder, 'log');
  const [port = 0] = await freePorts(1);
  const server = await startServer({
    command: binaries.server,
    args: [
      ...shared,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      '--skip-name-resolve',
      `--socket=${path.join(folder, 'socket')}`,
      `--pid-file=${path.join(folder, 'pid')}`,
      `--init-file=${await file('init.sql', `CREATE USER '${user.username}'@'%' IDENTIFIED BY '${user.password}';\n`)}`,
      `--ssl-cert=${await file('own.pem', own.certificate)}`,
      `--ssl-key=${await file('own.key', own.key)}`,
    ],
    env,
    logFile,
    stopSignal: 'SIGTERM',
    stopWithinMs: 20_000,
  });
  await until(async () => {
    const log = await readFile(logFile, 'utf8');
    if (server.hasExited()) throw new Error(`mariadbd did not start: ${log}`);
    return log.includes('ready for connections');
  }, 30_000);
  return {
    port,
    ca: authority.certificate,
    stop: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
