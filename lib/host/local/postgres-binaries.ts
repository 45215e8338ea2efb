import { glob } from 'node:fs/promises';
import path from 'node:path';
import type { Environment } from './cache-folder.ts';
import { installEmbeddedPostgres } from './embedded-postgres.ts';
import { inspectFolder, type PostgresBinaries } from './postgres-folder.ts';
import type { Report } from './report.ts';
import { findOnPath } from './run-command.ts';

const OLDEST_MAJOR = 13;
/** Where packages put PostgreSQL without adding it to PATH: Debian, Homebrew on Apple silicon and on Intel, Red Hat. */
const PLACES = [
  '/usr/lib/postgresql/*/bin',
  '/opt/homebrew/opt/postgresql*/bin',
  '/usr/local/opt/postgresql*/bin',
  '/usr/pgsql-*/bin',
];

/**
 * A PostgreSQL to run: on PATH, else the newest in the usual places, else the platform package of embedded-postgres,
 * installed into the cache folder. LEASEKEEPER_POSTGRES=embedded takes the last one whatever the system has.
 * Throws `postgres_unavailable`.
 */
export async function findPostgres(env: Environment, report: Report = () => {}): Promise<PostgresBinaries> {
  const system = env.LEASEKEEPER_POSTGRES === 'embedded' ? undefined : await findSystemPostgres(env);
  if (system) return system;
  return installEmbeddedPostgres(env, report);
}

async function findSystemPostgres(env: Environment): Promise<PostgresBinaries | undefined> {
  const onPath = await findOnPath('postgres', env, async (file) =>
    isUsable(await inspectFolder(path.dirname(file))),
  );
  if (onPath) return inspectFolder(path.dirname(onPath));
  const found = [];
  for await (const folder of glob(PLACES)) found.push(await inspectFolder(folder));
  return found.filter(isUsable).sort((a, b) => b.major - a.major)[0];
}

function isUsable(binaries: PostgresBinaries | undefined): binaries is PostgresBinaries {
  return binaries !== undefined && binaries.major >= OLDEST_MAJOR;
}
