import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { type ServerChild, startServer } from './child-process.ts';
import { type FolderLock, lockDataFolder } from './data-folder-lock.ts';
import { freePorts } from './free-port.ts';
import { type AuditFile, openBaoConfig } from './openbao-config.ts';
import { exists, makePrivateFolder, readIfPresent, writePrivateFile } from './private-file.ts';
import type { Report } from './report.ts';
import { lastLines } from './run-command.ts';
import { LocalServerError } from './server-error.ts';

/** What to start. */
export interface OpenBaoOptions {
  /** The executable, as `findOpenBao` gives it. */
  readonly binary: string;
  /** Keeps everything the server knows, its key and its root token; mode 0700. Made if missing. */
  readonly dataDir: string;
  readonly audit?: AuditFile;
  readonly report?: Report;
}

/** A running, initialised and unsealed OpenBao of one node. */
export interface OpenBaoServer {
  /** `http://127.0.0.1:<port>`; the port of the last start if it is free. */
  readonly address: string;
  readonly rootToken: string;
  readonly pid: number;
  /** Fulfilled with a short description when the server has ended, for whatever reason. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

const START_WITHIN_MS = 60_000;
const ATTEMPTS = 3;
const portsSchema = z.tuple([z.int(), z.int()]).catch([0, 0]);
const initSchema = z.object({ root_token: z.string().min(1) });

/**
 * Starts OpenBao on 127.0.0.1. The first start initialises it; every later one, after a crash too, unseals by itself
 * with the key beside the data. Throws `data_folder_in_use`, `data_folder_incomplete`, `server_start_failed`.
 */
export async function startOpenBao(options: OpenBaoOptions): Promise<OpenBaoServer> {
  const files = filesIn(path.resolve(options.dataDir));
  await makePrivateFolder(files.folder);
  const lock = await lockDataFolder(files.folder);
  try {
    await prepare(files);
    for (let attempt = 1; ; attempt += 1) {
      const started = await launch(options, files, lock);
      if (started) return started;
      if (attempt === ATTEMPTS) throw startFailed('no free port was left alone', files.log);
    }
  } catch (error) {
    await lock.release();
    throw error;
  }
}

interface Files {
  readonly folder: string;
  readonly raft: string;
  readonly sealKey: string;
  readonly rootToken: string;
  readonly initialising: string;
  readonly ports: string;
  readonly config: string;
  readonly log: string;
}

function filesIn(folder: string): Files {
  const file = (name: string) => path.join(folder, name);
  return {
    folder,
    raft: file('raft'),
    sealKey: file('seal.key'),
    rootToken: file('root-token'),
    initialising: file('initialising'),
    ports: file('ports.json'),
    config: file('openbao.json'),
    log: file('openbao.log'),
  };
}

/**
 * Brings the folder into a state to start from. The marker `initialising` is written before the first initialisation and
 * removed once the root token is on disk: a crash in between leaves a storage that nobody has a token for and that
 * nobody has used, so it is thrown away.
 */
async function prepare(files: Files): Promise<void> {
  const brokenOff = (await readIfPresent(files.initialising)) !== undefined;
  if ((await readIfPresent(files.rootToken)) !== undefined) {
    if (!(await exists(files.sealKey))) throw incomplete(files.folder, 'seal.key');
    await rm(files.initialising, { force: true });
    return;
  }
  if (!brokenOff && (await exists(files.raft))) throw incomplete(files.folder, 'root-token');
  await writePrivateFile(files.initialising, '');
  await rm(files.raft, { recursive: true, force: true });
  await writePrivateFile(files.sealKey, randomBytes(32));
  await makePrivateFolder(files.raft);
}

/** One attempt. Undefined if another process took the port between choosing and using it. */
async function launch(
  options: OpenBaoOptions,
  files: Files,
  lock: FolderLock,
): Promise<OpenBaoServer | undefined> {
  const [port = 0, clusterPort = 0] = await freePorts(2, await lastPorts(files));
  const { raft: raftFolder, sealKey: sealKeyFile } = files;
  const config = openBaoConfig({ raftFolder, sealKeyFile, port, clusterPort, audit: options.audit });
  await writePrivateFile(files.config, config);
  options.report?.('Starting OpenBao…');
  const child = await startServer({
    command: options.binary,
    args: ['server', `-config=${files.config}`],
    env: { HOME: files.folder },
    cwd: files.folder,
    logFile: files.log,
    stopSignal: 'SIGTERM',
    stopWithinMs: 15_000,
  });
  try {
    await lock.setServer(child.pid);
    const address = `http://127.0.0.1:${port}`;
    if (!(await waitUntilActive(address, child, files))) return undefined;
    await writePrivateFile(files.ports, JSON.stringify([port, clusterPort]));
    const rootToken = await readIfPresent(files.rootToken);
    if (rootToken === undefined) throw incomplete(files.folder, 'root-token');
    return { address, rootToken, pid: child.pid, exited: child.exited, stop: () => stop(child, lock) };
  } catch (error) {
    await child.stop();
    throw error;
  }
}

async function stop(child: ServerChild, lock: FolderLock): Promise<void> {
  await child.stop();
  await lock.release();
}

/** Initialises a new server, then waits for sys/health to be 200. False if the port was taken by someone else. */
async function waitUntilActive(address: string, child: ServerChild, files: Files): Promise<boolean> {
  for (const deadline = Date.now() + START_WITHIN_MS; Date.now() < deadline; await sleep(30)) {
    if (child.hasExited()) {
      const log = (await readIfPresent(files.log)) ?? '';
      if (log.includes('address already in use')) return false;
      throw startFailed(await child.exited, files.log, lastLines(log));
    }
    const status = await healthStatus(address);
    if (status === 501) await initialise(address, files);
    if (status === 200) return true;
  }
  throw startFailed(`not active after ${START_WITHIN_MS / 1000} s`, files.log);
}

/** 200 active, 429 standby, 501 not initialised, 503 sealed, 0 not listening yet. */
async function healthStatus(address: string): Promise<number> {
  const answer = await fetch(`${address}/v1/sys/health`, { signal: AbortSignal.timeout(2000) }).catch(
    () => undefined,
  );
  await answer?.body?.cancel();
  return answer?.status ?? 0;
}

/** With a seal that unseals by itself there are recovery keys instead of unseal keys; here nothing ever needs them. */
async function initialise(address: string, files: Files): Promise<void> {
  const answer = await fetch(`${address}/v1/sys/init`, {
    method: 'PUT',
    body: JSON.stringify({ recovery_shares: 1, recovery_threshold: 1 }),
    signal: AbortSignal.timeout(START_WITHIN_MS),
  });
  if (!answer.ok) throw startFailed(`sys/init answered ${answer.status}`, files.log);
  const { root_token: rootToken } = initSchema.parse(await answer.json());
  await writePrivateFile(files.rootToken, rootToken);
  await rm(files.initialising, { force: true });
}

async function lastPorts(files: Files): Promise<number[]> {
  const text = await readIfPresent(files.ports);
  return text === undefined ? [] : portsSchema.parse(JSON.parse(text)).filter((port) => port > 0);
}

function incomplete(folder: string, file: string): LocalServerError {
  return new LocalServerError('data_folder_incomplete', `${folder} has data of OpenBao but no ${file}.`, {
    hint: `Put ${file} back, or remove the folder to start with an empty OpenBao.`,
  });
}

function startFailed(why: string, log: string, output = ''): LocalServerError {
  const message = `OpenBao did not start: ${why}.${output && `\n${output}`}`;
  return new LocalServerError('server_start_failed', message, { hint: `Its log is ${log}.` });
}
