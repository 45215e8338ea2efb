import { randomUUID } from 'node:crypto';
import { link, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { codeOf } from '../../errors.ts';
import { readIfPresent, writePrivateFile } from './private-file.ts';
import { identify, isRunning, type ProcessIdentity } from './process-identity.ts';
import { LocalServerError } from './server-error.ts';

const identitySchema = z.object({ pid: z.int().positive(), started: z.string() });
const ownershipSchema = z.object({
  /** Absent once the owner has given the folder back. */
  owner: identitySchema.optional(),
  /** The server working on the folder, from its start on. */
  server: identitySchema.optional(),
});
const NAME = /^owner\.(\d+)\.json$/;

/** The right to run one server on a data folder. */
export interface FolderLock {
  /** Records the server, so that a later owner can wait for it when this process dies without ending it. */
  setServer(pid: number): Promise<void>;
  release(): Promise<void>;
}

/**
 * Takes the folder for this process, or throws `data_folder_in_use`.
 *
 * Ownerships are numbered files, `owner.7.json`; the highest counts. Whoever finds its owner dead, or gone after giving
 * it back, creates the next number, which only one can. The numbers never go back, and who has created one that is no
 * longer the highest withdraws: so nobody who was slow takes a folder that has changed hands in between. (Removing a dead
 * owner's single lock file, in contrast, removes its successor's when two do it at once.)
 *
 * A dead owner's server is waited for, at most `patienceMs`: its watchdog is ending it.
 */
export async function lockDataFolder(folder: string, patienceMs = 30_000): Promise<FolderLock> {
  const owner = await identify(process.pid);
  if (!owner) throw inUse(folder, 'this process cannot be identified');
  const temporary = path.join(folder, `owner.${randomUUID()}.tmp`);
  await writePrivateFile(temporary, JSON.stringify({ owner }));
  try {
    const file = await takeNextNumber(folder, temporary, patienceMs);
    return {
      setServer: async (pid) => {
        await writePrivateFile(file, JSON.stringify({ owner, server: await identify(pid) }));
      },
      release: () => writePrivateFile(file, '{}'),
    };
  } finally {
    await rm(temporary, { force: true });
  }
}

async function takeNextNumber(folder: string, temporary: string, patienceMs: number): Promise<string> {
  for (;;) {
    const last = Math.max(0, ...(await numbersIn(folder)));
    await requireFree(fileOf(folder, last), folder, patienceMs);
    const mine = last + 1;
    if (!(await createFrom(temporary, fileOf(folder, mine)))) continue;
    const numbers = await numbersIn(folder);
    const obsolete = numbers.some((number) => number > mine)
      ? [mine]
      : numbers.filter((number) => number < mine);
    for (const number of obsolete) await rm(fileOf(folder, number), { force: true });
    if (!obsolete.includes(mine)) return fileOf(folder, mine);
  }
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.map((name) => Number(NAME.exec(name)?.[1] ?? 0)).filter((number) => number > 0);
}

const fileOf = (folder: string, number: number): string => path.join(folder, `owner.${number}.json`);

/** link(2) either creates the file whole or fails because it is there: no reader ever sees half of it. */
async function createFrom(temporary: string, file: string): Promise<boolean> {
  return link(temporary, file).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    },
  );
}

async function requireFree(file: string, folder: string, patienceMs: number): Promise<void> {
  const { owner, server } = parse((await readIfPresent(file)) ?? '{}');
  if (owner && (await isRunning(owner))) throw inUse(folder, `process ${owner.pid} runs a server on it`);
  if (server) await waitForEnd(server, folder, patienceMs);
}

async function waitForEnd(server: ProcessIdentity, folder: string, patienceMs: number): Promise<void> {
  for (let waited = 0; await isRunning(server); waited += 100) {
    if (waited >= patienceMs)
      throw inUse(folder, `server ${server.pid} of an ended process is still running`);
    await sleep(100);
  }
}

function parse(text: string): z.infer<typeof ownershipSchema> {
  try {
    return ownershipSchema.parse(JSON.parse(text));
  } catch {
    return {};
  }
}

function inUse(folder: string, why: string): LocalServerError {
  return new LocalServerError('data_folder_in_use', `The folder ${folder} is in use: ${why}.`, {
    hint: 'End the other Leasekeeper first, or start this one with another data folder.',
  });
}
