import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { type ServerChild, startServer } from './child-process.ts';
import { type FolderLock, lockDataFolder } from './data-folder-lock.ts';
import { freePorts } from './free-port.ts';
import {
  type PostgresCluster,
  prepareCluster,
  SUPERUSER,
  serverEnvironment,
  startFailed,
} from './postgres-cluster.ts';
import type { PostgresBinaries } from './postgres-folder.ts';
import { makePrivateFolder, readIfPresent, writePrivateFile } from './private-file.ts';
import type { Report } from './report.ts';
import { lastLines } from './run-command.ts';

/** What to start. */
export interface PostgresOptions {
  readonly binaries: PostgresBinaries;
  /** Keeps the database, its password and its log; mode 0700. Made if missing. */
  readonly dataDir: string;
  /** False gives up durability for speed; for tests, whose data nobody needs again. True by default. */
  readonly fsync?: boolean;
  readonly report?: Report;
}

/** A running PostgreSQL and its superuser. */
export interface PostgresServer {
  readonly host: '127.0.0.1';
  /** The port of the last start if it is free. */
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  /** `postgresql://user:password@host:port/database` */
  readonly url: string;
  readonly pid: number;
  /** Fulfilled with a short description when the server has ended, for whatever reason. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

const DATABASE = 'postgres';
const HOST = '127.0.0.1';
const START_WITHIN_MS = 60_000;
const ATTEMPTS = 3;

/**
 * Starts PostgreSQL on 127.0.0.1, with password logins only and no Unix socket. The first start creates the database
 * cluster; later ones, after a crash too, go on with it. Started by root it runs as another user.
 * Throws `data_folder_in_use`, `data_folder_incomplete`, `server_start_failed`.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const folder = path.resolve(options.dataDir);
  await makePrivateFolder(folder);
  const lock = await lockDataFolder(folder);
  try {
    const cluster = await prepareCluster(options, folder);
    for (let attempt = 1; ; attempt += 1) {
      const started = await launch(options, cluster, lock);
      if (started) return started;
      if (attempt === ATTEMPTS) throw startFailed('no free port was left alone', cluster.log);
    }
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** One attempt. Undefined if another process took the port between choosing and using it. */
async function launch(
  options: PostgresOptions,
  cluster: PostgresCluster,
  lock: FolderLock,
): Promise<PostgresServer | undefined> {
  const portFile = path.join(cluster.folder, 'port');
  const lastPort = Number(await readIfPresent(portFile));
  const [port = 0] = await freePorts(1, lastPort > 0 ? [lastPort] : []);
  options.report?.('Starting PostgreSQL…');
  const child = await startServer({
    command: cluster.binaries.postgres,
    args: ['-D', cluster.files, ...parameters(port, options.fsync ?? true)],
    env: serverEnvironment(cluster.binaries),
    cwd: cluster.files,
    account: cluster.account,
    logFile: cluster.log,
    // PostgreSQL's "fast" shutdown: open sessions are ended, nothing is lost.
    stopSignal: 'SIGINT',
    stopWithinMs: 15_000,
  });
  try {
    await lock.setServer(child.pid);
    if (!(await waitUntilReady(port, child, cluster))) return undefined;
    await writePrivateFile(portFile, String(port));
    return describe(port, cluster.password, child, lock);
  } catch (error) {
    await child.stop();
    throw error;
  }
}

function describe(port: number, password: string, child: ServerChild, lock: FolderLock): PostgresServer {
  return {
    host: HOST,
    port,
    user: SUPERUSER,
    password,
    database: DATABASE,
    url: `postgresql://${SUPERUSER}:${password}@${HOST}:${port}/${DATABASE}`,
    pid: child.pid,
    exited: child.exited,
    stop: async () => {
      await child.stop();
      await lock.release();
    },
  };
}

function parameters(port: number, fsync: boolean): string[] {
  const clusters = {
    port: String(port),
    listen_addresses: HOST,
    unix_socket_directories: '',
    max_connections: '500',
    ...(!fsync && { fsync: 'off', full_page_writes: 'off' }),
  };
  return Object.entries(clusters).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** True once a login succeeds. False if the port was taken by someone else. */
async function waitUntilReady(port: number, child: ServerChild, cluster: PostgresCluster): Promise<boolean> {
  for (const deadline = Date.now() + START_WITHIN_MS; Date.now() < deadline; await sleep(30)) {
    if (child.hasExited()) {
      const log = await readFile(cluster.log, 'utf8');
      if (log.includes('Address already in use')) return false;
      throw startFailed(await child.exited, cluster.log, lastLines(log));
    }
    if (await acceptsLogin(port, cluster.password)) return true;
  }
  throw startFailed(`no login possible after ${START_WITHIN_MS / 1000} s`, cluster.log);
}

async function acceptsLogin(port: number, password: string): Promise<boolean> {
  const client = new Client({ host: HOST, port, user: SUPERUSER, password, database: DATABASE, ssl: false });
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
