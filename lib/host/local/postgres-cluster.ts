import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { giveTo, placeForCluster, postgresAccount, reachableBinaries } from './postgres-account.ts';
import type { PostgresBinaries } from './postgres-folder.ts';
import { exists, readIfPresent, writePrivateFile } from './private-file.ts';
import type { Report } from './report.ts';
import { type Account, lastLines, runCommand } from './run-command.ts';
import { LocalServerError } from './server-error.ts';

/** The database role that owns everything. */
export const SUPERUSER = 'leasekeeper';

interface ClusterOptions {
  readonly binaries: PostgresBinaries;
  readonly fsync?: boolean;
  readonly report?: Report;
}

/** A database cluster ready to be started, and what to start it with. */
export interface PostgresCluster {
  /** The data folder: password, port, log. */
  readonly folder: string;
  /** The database files. */
  readonly files: string;
  readonly password: string;
  readonly log: string;
  readonly account: Account | undefined;
  readonly binaries: PostgresBinaries;
}

/** Finds or makes the cluster of a data folder that the caller has locked. */
export async function prepareCluster(options: ClusterOptions, folder: string): Promise<PostgresCluster> {
  const account = await postgresAccount();
  await giveTo(account, folder);
  const files = await placeForCluster(folder, account);
  const binaries = await reachableBinaries(options.binaries, account);
  const passwordFile = path.join(folder, 'password');
  const isNew = !(await exists(files));
  if (isNew) await writePrivateFile(passwordFile, randomBytes(24).toString('base64url'));
  const password = await readIfPresent(passwordFile);
  if (password === undefined) throw incomplete(folder);
  const cluster = { folder, files, password, log: path.join(folder, 'postgres.log'), account, binaries };
  if (isNew) await createCluster(cluster, options);
  else await disownPidFile(files);
  return cluster;
}

/** Runs initdb beside the final place and renames: a cluster that is there is whole. */
async function createCluster(cluster: PostgresCluster, options: ClusterOptions): Promise<void> {
  const { account, binaries, files } = cluster;
  options.report?.('Creating the PostgreSQL database…');
  const unfinished = `${files}.new`;
  const passwordFile = `${files}.password`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await giveTo(account, unfinished);
  await writeFile(passwordFile, cluster.password, { mode: 0o600 });
  await giveTo(account, passwordFile);
  const login = [`--username=${SUPERUSER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  const locale = ['--encoding=UTF8', '--locale=C'];
  const sync = options.fsync === false ? ['--no-sync'] : [];
  const result = await runCommand(binaries.initdb, ['-D', unfinished, ...login, ...locale, ...sync], {
    env: serverEnvironment(binaries),
    cwd: path.dirname(files),
    account,
  });
  await rm(passwordFile, { force: true });
  if (result.code !== 0) throw startFailed('initdb failed', cluster.log, lastLines(result.stderr));
  await rename(unfinished, files);
}

/**
 * After a crash postmaster.pid is still there, and if its process id has been given to another process since, PostgreSQL
 * refuses to start. Our lock has shown that its process is gone, so our own id goes in its place: PostgreSQL ignores its
 * parent's id, but still looks whether a process of the old server uses the shared memory that the file names.
 */
async function disownPidFile(files: string): Promise<void> {
  const file = path.join(files, 'postmaster.pid');
  const content = await readIfPresent(file);
  if (content !== undefined) await writeFile(file, content.replace(/^-?\d+/, String(process.pid)));
}

/** The whole environment of initdb and of the server: initdb looks for `postgres` beside itself; the locale keeps the messages in English, which the start reads. */
export function serverEnvironment(binaries: PostgresBinaries): Record<string, string> {
  return { PATH: `${path.dirname(binaries.postgres)}:/usr/bin:/bin`, LC_ALL: 'C', TZ: 'UTC' };
}

function incomplete(folder: string): LocalServerError {
  return new LocalServerError('data_folder_incomplete', `${folder} has data of PostgreSQL but no password.`, {
    hint: 'Put the file `password` back, or remove the folder to start with an empty database.',
  });
}

/** The error `server_start_failed` of PostgreSQL, with where to read more. */
export function startFailed(why: string, log: string, output = ''): LocalServerError {
  const message = `PostgreSQL did not start: ${why}.${output && `\n${output}`}`;
  return new LocalServerError('server_start_failed', message, { hint: `Its log is ${log}.` });
}
