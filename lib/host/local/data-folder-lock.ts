import { randomUUID } from 'node:crypto';
import { link, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { codeOf } from '../../errors.ts';
import { readIfPresent, writePrivateFile } from './private-file.ts';
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts';
import { LocalServerError } from './server-error.ts';

const identitySchema = z.object({ pid: z.int().positive(), started: z.string() });
const lockSchema = z.object({
  owner: identitySchema,
  /** The server working on the folder, from its start on. */
  server: identitySchema.optional(),
});

/** The right to run one server on a data folder. */
export interface FolderLock {
  /** Records the server, so that a later owner can wait for it when this process dies without ending it. */
  setServer(pid: number): Promise<void>;
  release(): Promise<void>;
}

/**
 * Takes the folder for this process. The lock is a file that names its owner's process; one left by a dead owner is
 * taken over, after the server of that owner has ended too (its watchdog sees to that; waited for at most `patienceMs`).
 * Throws `data_folder_in_use`.
 */
export async function lockDataFolder(folder: string, patienceMs = 30_000): Promise<FolderLock> {
  const file = path.join(folder, 'owner.json');
  const owner = await identify(process.pid);
  if (!owner) throw inUse(folder, 'this process cannot be identified');
  const temporary = `${file}.${randomUUID()}`;
  await writePrivateFile(temporary, JSON.stringify({ owner }));
  try {
    while (!(await createFrom(temporary, file))) await removeIfStale(file, folder, patienceMs);
  } finally {
    await rm(temporary, { force: true });
  }
  return {
    setServer: async (pid) => {
      await writePrivateFile(file, JSON.stringify({ owner, server: await identify(pid) }));
    },
    release: () => rm(file, { force: true }),
  };
}

/** link(2) either creates the file whole or fails because it is there: no reader ever sees half a lock. */
async function createFrom(temporary: string, file: string): Promise<boolean> {
  return link(temporary, file).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    },
  );
}

async function removeIfStale(file: string, folder: string, patienceMs: number): Promise<void> {
  const text = await readIfPresent(file);
  if (text === undefined) return;
  const lock = parseLock(text);
  if (lock && (await isRunning(lock.owner)))
    throw inUse(folder, `process ${lock.owner.pid} runs a server on it`);
  if (lock?.server) await waitForEnd(lock.server, folder, patienceMs);
  const aside = `${file}.${randomUUID()}`;
  await rename(file, aside).catch(() => undefined);
  // Another process may have taken the stale lock over in between: what was moved aside is then its lock. Put it back.
  const moved = await readIfPresent(aside);
  if (moved !== undefined && moved !== text) await link(aside, file).catch(() => undefined);
  await rm(aside, { force: true });
}

async function waitForEnd(server: ProcessIdentity, folder: string, patienceMs: number): Promise<void> {
  for (let waited = 0; await isRunning(server); waited += 100) {
    if (waited >= patienceMs)
      throw inUse(folder, `server ${server.pid} of an ended process is still running`);
    await sleep(100);
  }
}

function parseLock(text: string): z.infer<typeof lockSchema> | undefined {
  try {
    return lockSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function inUse(folder: string, why: string): LocalServerError {
  return new LocalServerError('data_folder_in_use', `The folder ${folder} is in use: ${why}.`, {
    hint: 'End the other Leasekeeper first, or start this one with another data folder.',
  });
}
