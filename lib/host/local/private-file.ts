import { randomUUID } from 'node:crypto';
import { access, chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../../errors.ts';
import { LocalServerError } from './server-error.ts';

/**
 * Makes a folder, and those above it, that only this user can enter (0700), also when it was there with a wider mode.
 * Throws `data_folder_denied` when it belongs to someone else.
 */
export async function makePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  } catch (cause) {
    if (!['EACCES', 'EPERM'].includes(codeOf(cause))) throw cause;
    throw new LocalServerError('data_folder_denied', `The folder ${folder} belongs to another user.`, {
      hint: 'Start Leasekeeper as the user who started it before, or with another data folder.',
      cause,
    });
  }
}

/** Writes a file of mode 0600 so that a crash at any moment leaves the whole old content or the whole new one. */
export async function writePrivateFile(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}.${randomUUID()}`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(path.dirname(file));
}

/** The file's text, or undefined if there is no such file. */
export async function readIfPresent(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
}

/** Whether there is a file or folder of this name. */
export async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  await handle.sync().finally(() => handle.close());
}
