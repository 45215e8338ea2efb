import { cp, mkdir, rm, stat, symlink } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { lastLines, runCommand } from '../../../lib/host/local/run-command.ts';
import { CONTAINERFILE, type Copy, copiesIn, root } from '../../deploy-files/files.ts';
import { readProjectFile } from '../../docs/documents.ts';

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      dev: z.boolean().optional(),
      optional: z.boolean().optional(),
      devOptional: z.boolean().optional(),
    }),
  ),
});

/**
 * Makes what an image of the Containerfile holds, by its own COPY lines, as far as that is possible without an engine: what is built is
 * built from what is copied into the first stage, and packages are those that the lock file has for production. They are links: run it with
 * `--preserve-symlinks`, or a package would find all that is installed here. Returns its folder.
 */
export async function makeImage(folder: string): Promise<string> {
  const [build, image] = [path.join(folder, 'build'), path.join(folder, 'image')];
  const copies = copiesIn(readProjectFile(CONTAINERFILE));
  for (const copy of copies.filter(({ stage }) => stage === 'build')) await copyAll(copy, root, build);
  await compile(build);
  await linkPackages(build);
  for (const copy of copies.filter(({ stage }) => stage === 'final')) {
    await copyAll(copy, copy.from === undefined ? root : build, image);
  }
  return image;
}

/** As COPY does: of a folder its content, of files each into the target. Paths of a stage begin with its name. */
async function copyAll({ from, sources, target }: Copy, source: string, place: string): Promise<void> {
  for (const one of sources) {
    const given = path.join(source, from === undefined ? one : path.relative(`/${from}`, one));
    const isFolder = (await stat(given)).isDirectory();
    const to = path.join(place, target, isFolder ? '' : path.basename(given));
    await mkdir(path.dirname(to), { recursive: true });
    await cp(given, to, { recursive: true });
  }
}

/** `npm run build`, without the check of types, which is a step of its own. */
async function compile(folder: string): Promise<void> {
  const modules = path.join(folder, 'node_modules');
  await symlink(path.join(root, 'node_modules'), modules);
  const options = ['-p', 'tsconfig.build.json', '--noCheck', '--declaration', 'false'];
  const tsc = path.join(modules, 'typescript/bin/tsc');
  const { code, stdout } = await runCommand(process.execPath, [tsc, ...options], { cwd: folder });
  if (code !== 0) throw new Error(`tsc ended with ${code}: ${lastLines(stdout)}`);
  await rm(modules);
}

/** What `npm prune --omit=dev --omit=optional` leaves. */
async function linkPackages(folder: string): Promise<void> {
  const { packages } = lockSchema.parse(JSON.parse(readProjectFile('package-lock.json')));
  const kept = Object.entries(packages).filter(
    ([name, { dev, optional, devOptional }]) => name !== '' && !(dev || optional || devOptional),
  );
  for (const [name] of kept) {
    await mkdir(path.join(folder, path.dirname(name)), { recursive: true });
    await symlink(path.join(root, name), path.join(folder, name));
  }
}
