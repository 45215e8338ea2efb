import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test, vi } from 'vitest';
import * as z from 'zod';
import { type OpenBaoServer, startOpenBao } from '../../../lib/host/local/openbao.ts';
import { type PostgresServer, startPostgres } from '../../../lib/host/local/postgres.ts';
import { identify } from '../../../lib/host/local/process-identity.ts';
import { adminOf } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';

const binaries = inject('binaries');
const isRoot = process.getuid?.() === 0;
const valueSchema = z.object({ data: z.object({ word: z.string() }) });
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A folder of the test's own that every user may pass through, as PostgreSQL must when root starts it. */
async function testFolder(mode = 0o711): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-servers-'));
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, mode);
  return folder;
}

async function openBao(dataDir: string, audit?: string): Promise<OpenBaoServer> {
  const server = await startOpenBao({
    binary: binaries.openbao,
    dataDir,
    ...(audit && { audit: { name: 'file', filePath: audit } }),
  });
  cleanups.push(() => server.stop());
  return server;
}

async function postgres(dataDir: string): Promise<PostgresServer> {
  const server = await startPostgres({ binaries: binaries.postgres, dataDir, fsync: false });
  cleanups.push(() => server.stop());
  return server;
}

/** Holds a port, so that a server that was there must come back at another one. */
async function occupy(port: number): Promise<Server> {
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return server;
}

async function isGone(pid: number): Promise<void> {
  await vi.waitFor(async () => expect(await identify(pid)).toBeUndefined(), {
    timeout: 20_000,
    interval: 50,
  });
}

async function modeOf(file: string): Promise<string> {
  return ((await stat(file)).mode & 0o777).toString(8);
}

function queries(server: PostgresServer, text: string): Promise<unknown[]> {
  return withPostgres(
    () => server,
    async (client) => (await client.query(text)).rows,
  );
}

/** A data folder whose OpenBao was initialised before and has been stopped; a first start takes two seconds longer. */
let initialised: string;

beforeAll(async () => {
  initialised = path.join(await mkdtemp(path.join(tmpdir(), 'leasekeeper-servers-')), 'openbao');
  await (await startOpenBao({ binary: binaries.openbao, dataDir: initialised })).stop();
});

afterAll(() => rm(path.dirname(initialised), { recursive: true, force: true }));

async function usedFolder(): Promise<string> {
  const dataDir = path.join(await testFolder(), 'openbao');
  await cp(initialised, dataDir, { recursive: true });
  return dataDir;
}

describe('OpenBao', () => {
  const write = (server: OpenBaoServer, word: string) =>
    adminOf(server).request('PUT', 'cubbyhole/kept', { word });
  const read = async (server: OpenBaoServer) =>
    (await adminOf(server).read(valueSchema, 'GET', 'cubbyhole/kept')).data.word;

  test('keeps its state through stop and start, at another port too', async () => {
    const dataDir = await usedFolder();
    const first = await openBao(dataDir);
    await write(first, 'one');
    await first.stop();
    const again = await openBao(dataDir);
    expect(again.address).toBe(first.address);
    await again.stop();
    await occupy(Number(new URL(first.address).port));
    const elsewhere = await openBao(dataDir);
    expect(elsewhere.address).not.toBe(first.address);
    expect(elsewhere.rootToken).toBe(first.rootToken);
    expect(await read(elsewhere)).toBe('one');
  });

  test('keeps its state when it is killed, and unseals by itself', async () => {
    const dataDir = await usedFolder();
    const first = await openBao(dataDir);
    await write(first, 'two');
    process.kill(first.pid, 'SIGKILL');
    expect(await first.exited).toContain('SIGKILL');
    await first.stop();
    expect(await read(await openBao(dataDir))).toBe('two');
  });

  test('lets nobody else at its key, its token and its folder, nor at it from outside', async () => {
    const folder = await testFolder();
    const dataDir = path.join(folder, 'openbao');
    const audit = path.join(folder, 'audit.log');
    await mkdir(dataDir, { mode: 0o755 });
    const server = await openBao(dataDir, audit);
    expect(await modeOf(dataDir)).toBe('700');
    expect(await modeOf(path.join(dataDir, 'raft'))).toBe('700');
    for (const file of ['seal.key', 'root-token', 'openbao.log', 'openbao.json', 'owner.1.json']) {
      expect([file, await modeOf(path.join(dataDir, file))]).toEqual([file, '600']);
    }
    expect((await readFile(path.join(dataDir, 'seal.key'))).length).toBe(32);
    const log = await readFile(path.join(dataDir, 'openbao.log'), 'utf8');
    expect(log).toMatch(/Listener 1: tcp \(addr: "127\.0\.0\.1:\d+", cluster address: "127\.0\.0\.1:\d+"/);
    await write(server, 'three');
    expect(await readFile(audit, 'utf8')).toContain('"path":"cubbyhole/kept"');
  });

  test('a second one on the same folder is refused, and the first works on', async () => {
    const dataDir = await usedFolder();
    const first = await openBao(dataDir);
    await expect(openBao(dataDir)).rejects.toMatchObject({ code: 'data_folder_in_use' });
    await write(first, 'four');
    await first.stop();
    expect(await read(await openBao(dataDir))).toBe('four');
  });

  test('a lock whose process id now belongs to another process is taken over', async () => {
    const dataDir = await usedFolder();
    const reused = { pid: process.pid, started: 'before the last boot' };
    await writeFile(path.join(dataDir, 'owner.9.json'), JSON.stringify({ owner: reused, server: reused }));
    await openBao(dataDir);
  });

  test('starts afresh when the first initialisation was broken off', async () => {
    const dataDir = await usedFolder();
    const before = await readFile(path.join(dataDir, 'root-token'), 'utf8');
    await rm(path.join(dataDir, 'root-token'));
    await expect(openBao(dataDir)).rejects.toMatchObject({ code: 'data_folder_incomplete' });
    await writeFile(path.join(dataDir, 'initialising'), '');
    const second = await openBao(dataDir);
    expect(second.rootToken).not.toBe(before);
    await write(second, 'five');
  });

  test('what it says when it cannot start is passed on', async () => {
    const dataDir = path.join(await testFolder(), 'openbao');
    await expect(startOpenBao({ binary: '/bin/false', dataDir })).rejects.toMatchObject({
      code: 'server_start_failed',
      message: expect.stringContaining('exit code 1'),
      hint: expect.stringContaining('openbao.log'),
    });
  });
});

describe('PostgreSQL', () => {
  test('keeps its data through stop and start, at another port too', async () => {
    const dataDir = path.join(await testFolder(), 'postgres');
    const first = await postgres(dataDir);
    await queries(first, `CREATE TABLE kept AS SELECT 'one' AS word`);
    await first.stop();
    const again = await postgres(dataDir);
    expect(again.port).toBe(first.port);
    await again.stop();
    await occupy(first.port);
    const elsewhere = await postgres(dataDir);
    expect(elsewhere.port).not.toBe(first.port);
    expect(await queries(elsewhere, 'SELECT word FROM kept')).toEqual([{ word: 'one' }]);
  });

  test('keeps its data when it is killed, also when its process id is in use again', async () => {
    const dataDir = path.join(await testFolder(), 'postgres');
    const first = await postgres(dataDir);
    await queries(first, `CREATE TABLE kept AS SELECT 'two' AS word`);
    process.kill(first.pid, 'SIGKILL');
    await first.exited;
    await first.stop();
    const pidFile = path.join(dataDir, 'cluster', 'postmaster.pid');
    const other = await unrelatedProcess((await stat(path.join(dataDir, 'cluster'))).uid);
    await writeFile(pidFile, (await readFile(pidFile, 'utf8')).replace(/^\d+/, String(other.pid)));
    const second = await postgres(dataDir);
    expect(await queries(second, 'SELECT word FROM kept')).toEqual([{ word: 'two' }]);
  });

  test('takes password logins on the loopback address only', async () => {
    const dataDir = path.join(await testFolder(), 'postgres');
    const server = await postgres(dataDir);
    expect(await modeOf(dataDir)).toBe('700');
    expect(await modeOf(path.join(dataDir, 'password'))).toBe('600');
    const settings = `SELECT name, setting FROM pg_settings WHERE name IN
      ('listen_addresses', 'unix_socket_directories', 'password_encryption', 'max_connections') ORDER BY name`;
    expect(await queries(server, settings)).toEqual([
      { name: 'listen_addresses', setting: '127.0.0.1' },
      { name: 'max_connections', setting: '500' },
      { name: 'password_encryption', setting: 'scram-sha-256' },
      { name: 'unix_socket_directories', setting: '' },
    ]);
    expect(await queries(server, 'SELECT DISTINCT auth_method FROM pg_hba_file_rules')).toEqual([
      { auth_method: 'scram-sha-256' },
    ]);
    await expect(queries({ ...server, password: 'wrong' }, 'SELECT 1')).rejects.toMatchObject({
      code: '28P01',
    });
  });

  test('a second one on the same folder is refused', async () => {
    const dataDir = path.join(await testFolder(), 'postgres');
    const first = await postgres(dataDir);
    await expect(postgres(dataDir)).rejects.toMatchObject({ code: 'data_folder_in_use' });
    expect(await queries(first, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test.runIf(isRoot)('run by root below a closed folder, keeps its data where its user can get', async () => {
    const dataDir = path.join(await testFolder(0o700), 'postgres');
    const first = await postgres(dataDir);
    const cluster = (await readFile(path.join(dataDir, 'location'), 'utf8')).trim();
    cleanups.push(() => rm(path.dirname(cluster), { recursive: true, force: true }));
    expect(await modeOf(path.dirname(cluster))).toBe('700');
    await queries(first, `CREATE TABLE kept AS SELECT 'three' AS word`);
    await first.stop();
    const second = await postgres(dataDir);
    expect(await queries(second, 'SELECT word FROM kept')).toEqual([{ word: 'three' }]);
    await second.stop();
    await rm(dataDir, { recursive: true });
    const afresh = await postgres(dataDir);
    await expect(queries(afresh, 'SELECT word FROM kept')).rejects.toMatchObject({ code: '42P01' });
  });
});

describe('the servers of a process', () => {
  test('end when it is killed, and the next process goes on with their data', async () => {
    const folder = await testFolder();
    const parent = await runServers(folder);
    process.kill(parent.pid, 'SIGKILL');
    await isGone(parent.openbao);
    await isGone(parent.postgres);
    await Promise.all([openBao(path.join(folder, 'openbao')), postgres(path.join(folder, 'postgres'))]);
  });

  test('are waited for by a process that starts while they are still ending', async () => {
    const folder = await testFolder();
    const parent = await runServers(folder);
    process.kill(parent.pid, 'SIGKILL');
    // On a busy machine it is there for a moment still; a process that runs is not waited for.
    await isGone(parent.pid);
    await Promise.all([openBao(path.join(folder, 'openbao')), postgres(path.join(folder, 'postgres'))]);
  });

  test('do not get the Ctrl-C that the terminal sends to it', async () => {
    const parent = await runServers(await testFolder());
    const groupOf = async (pid: number) => (await readFile(`/proc/${pid}/stat`, 'utf8')).split(' ')[4];
    expect(await groupOf(parent.openbao)).not.toBe(await groupOf(parent.pid));
    expect(await groupOf(parent.postgres)).not.toBe(await groupOf(parent.pid));
  });
});

/** A process that runs both servers, with their process ids. */
async function runServers(folder: string): Promise<{ pid: number; openbao: number; postgres: number }> {
  const script = path.join(import.meta.dirname, '../../support/run-servers.ts');
  const args = [script, folder, binaries.openbao, JSON.stringify(binaries.postgres)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const pid = endWith(child);
  const [line] = await once(createInterface(child.stdout), 'line');
  const pids = z
    .object({ openbao: z.number(), postgres: z.number() })
    .parse(JSON.parse(z.string().parse(line)));
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await isGone(pids.openbao);
    await isGone(pids.postgres);
  });
  return { pid, ...pids };
}

/** A process of the given user that has nothing to do with any server. */
async function unrelatedProcess(uid: number): Promise<{ pid: number }> {
  const child = spawn('/bin/sleep', ['600'], { stdio: 'ignore', ...(isRoot && { uid }) });
  const pid = endWith(child);
  await once(child, 'spawn');
  return { pid };
}

function endWith(child: ChildProcess): number {
  cleanups.push(() => child.kill('SIGKILL'));
  return child.pid ?? 0;
}
