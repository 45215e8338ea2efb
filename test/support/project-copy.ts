import { cp, mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { root } from '../serverless/deployment.ts';

/** Parts of the project in a folder of its own, with the packages that are installed here. */
export async function copyProject(folder: string, parts: readonly string[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const part of parts) await cp(path.join(root, part), path.join(folder, part), { recursive: true });
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
}
