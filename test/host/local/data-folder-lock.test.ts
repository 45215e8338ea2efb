import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataFolder } from '../../../lib/host/local/data-folder-lock.ts';
import { identify } from '../../../lib/host/local/process-identity.ts';

const gone = { pid: process.pid, started: 'before the last boot' };
const inUse = { code: 'data_folder_in_use' };
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-lock-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

const leave = (lock: unknown) => writeFile(path.join(folder, 'owner.7.json'), JSON.stringify(lock));

test('a folder is locked once, and again after its release', async () => {
  const lock = await lockDataFolder(folder);
  await expect(lockDataFolder(folder)).rejects.toMatchObject(inUse);
  await lock.release();
  await (await lockDataFolder(folder)).release();
  expect(await readdir(folder)).toEqual(['owner.2.json']);
});

test('a living owner keeps its lock, whether its server has started or not', async () => {
  await leave({ owner: await identify(process.pid) });
  await expect(lockDataFolder(folder, 0)).rejects.toMatchObject(inUse);
  await leave({ owner: await identify(process.pid), server: gone });
  await expect(lockDataFolder(folder, 0)).rejects.toMatchObject(inUse);
});

test('a dead owner loses its lock, but only when its server has ended too', async () => {
  const server = spawn('/bin/sleep', ['600']);
  await once(server, 'spawn');
  await leave({ owner: gone, server: await identify(server.pid ?? 0) });
  await expect(lockDataFolder(folder, 100)).rejects.toMatchObject(inUse);
  const waiting = lockDataFolder(folder);
  server.kill();
  await (await waiting).release();
});

test('who was slow to take a folder withdraws when it has changed hands since', async () => {
  const server = spawn('/bin/sleep', ['600']);
  await once(server, 'spawn');
  await leave({ owner: gone, server: await identify(server.pid ?? 0) });
  const slow = lockDataFolder(folder);
  slow.catch(() => undefined);
  await sleep(150);
  await writeFile(path.join(folder, 'owner.9.json'), JSON.stringify({ owner: await identify(process.pid) }));
  await rm(path.join(folder, 'owner.7.json'));
  server.kill();
  await expect(slow).rejects.toMatchObject(inUse);
  expect(await readdir(folder)).toEqual(['owner.9.json']);
});

test('a lock file that nobody can read is taken over', async () => {
  await writeFile(path.join(folder, 'owner.7.json'), '');
  await (await lockDataFolder(folder)).release();
});

test('of many that find a dead owner, one gets the folder', async () => {
  for (let round = 0; round < 20; round += 1) {
    await leave({ owner: gone });
    const contender = async (_: unknown, index: number) => {
      // Spread over the few milliseconds a takeover takes, so that some meet it half done.
      await sleep(index % 8);
      return lockDataFolder(folder);
    };
    const tries = await Promise.allSettled(Array.from({ length: 16 }, contender));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await readdir(folder)).toEqual(['owner.8.json']);
    await rm(path.join(folder, 'owner.8.json'));
  }
});

test('of many that take it and give it back, never two have it at once', async () => {
  let holders = 0;
  let most = 0;
  const contender = async (_: unknown, index: number) => {
    await sleep(index % 8);
    const lock = await lockDataFolder(folder);
    holders += 1;
    most = Math.max(most, holders);
    await sleep(1);
    holders -= 1;
    await lock.release();
  };
  for (let round = 0; round < 20; round += 1) {
    const tries = await Promise.allSettled(Array.from({ length: 16 }, contender));
    expect(tries.some(({ status }) => status === 'fulfilled')).toBe(true);
  }
  expect(most).toBe(1);
});
