import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

const LEFT_BEHIND_AFTER_MS = 6 * 3_600_000;

/**
 * A new folder in `parent` to prepare something in before it is moved into place beside it. What a start that was
 * broken off hours ago has left of the same prefix is removed; younger ones may be another start's, still at work.
 */
export async function stagingFolder(parent: string, prefix: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    if (name.startsWith(prefix)) await removeIfOld(path.join(parent, name));
  }
  return mkdtemp(path.join(parent, prefix));
}

async function removeIfOld(folder: string): Promise<void> {
  const changed = await stat(folder).catch(() => undefined);
  if (changed && Date.now() - changed.mtimeMs > LEFT_BEHIND_AFTER_MS)
    await rm(folder, { recursive: true, force: true });
}
