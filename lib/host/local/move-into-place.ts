import { rename, rm } from 'node:fs/promises';

/**
 * Moves a finished folder to where it is looked for. If another process was faster and what it put there is usable, that
 * stays and ours is left to the caller; something unusable is replaced.
 */
export async function moveIntoPlace(
  from: string,
  to: string,
  isUsable: () => Promise<boolean>,
): Promise<void> {
  const moved = await rename(from, to).then(
    () => true,
    () => false,
  );
  if (moved || (await isUsable())) return;
  await rm(to, { recursive: true, force: true });
  await rename(from, to);
}
