import { createHash } from 'node:crypto';
import { chmod, chown, cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { moveIntoPlace } from './move-into-place.ts';
import type { PostgresBinaries } from './postgres-folder.ts';
import { exists, readIfPresent, writePrivateFile } from './private-file.ts';
import { type Account, runCommand } from './run-command.ts';
import { LocalServerError } from './server-error.ts';

/**
 * PostgreSQL refuses to run as root. Started by root it runs as another user, who must be able to reach its data and
 * its programs; this room finds the user and, where a closed parent folder is in the way, a place that is reachable.
 */
const REACHABLE_BASE = '/var/lib/leasekeeper';

/** The account PostgreSQL is to run as: our own (undefined), or if we are root `postgres`, else `nobody`. */
export async function postgresAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = [await idOf('-u', name), await idOf('-g', name)];
    if (uid && gid) return { uid, gid };
  }
  throw new LocalServerError(
    'server_start_failed',
    'PostgreSQL does not run as root, and there is no other user.',
    {
      hint: 'Add a system user named postgres, or start Leasekeeper as an ordinary user.',
    },
  );
}

async function idOf(flag: '-u' | '-g', user: string): Promise<number | undefined> {
  const { code, stdout } = await runCommand('id', [flag, user]);
  return code === 0 ? Number.parseInt(stdout, 10) : undefined;
}

/** Gives a file or folder to the account, if there is one. */
export async function giveTo(account: Account | undefined, file: string): Promise<void> {
  if (account) await chown(file, account.uid, account.gid);
}

/**
 * The folder for the database files: `dataDir/cluster`, or if the account cannot get there, a folder of ours under
 * /var/lib that is noted in `dataDir/location`, so that it is found again when the data folder has moved. What an earlier,
 * since removed data folder of this name has left there is deleted.
 */
export async function placeForCluster(dataDir: string, account: Account | undefined): Promise<string> {
  const noted = await readIfPresent(path.join(dataDir, 'location'));
  if (noted !== undefined) return remadeIfGone(noted.trim(), account);
  const inside = path.join(dataDir, 'cluster');
  if (!account || (await exists(inside)) || (await canReach(account, dataDir))) return inside;
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 16);
  const outside = path.join(await reachableFolder(), `postgres-${hash}`);
  await rm(outside, { recursive: true, force: true });
  await mkdir(outside, { mode: 0o700 });
  await giveTo(account, outside);
  const cluster = path.join(outside, 'cluster');
  await writePrivateFile(path.join(dataDir, 'location'), `${cluster}\n`);
  return cluster;
}

/** A noted place stays the place, also if someone has removed the folder itself. */
async function remadeIfGone(cluster: string, account: Account | undefined): Promise<string> {
  const folder = path.dirname(cluster);
  if (!(await exists(folder))) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await giveTo(account, folder);
  }
  return cluster;
}

/** The same binaries at a place the account can reach: where they are, or a copy that root owns, made once. */
export async function reachableBinaries(
  binaries: PostgresBinaries,
  account: Account | undefined,
): Promise<PostgresBinaries> {
  if (!account || (await canReach(account, binaries.postgres))) return binaries;
  const installation = path.dirname(path.dirname(binaries.postgres));
  const copy = path.join(await reachableFolder(), path.basename(installation));
  const bin = path.join(copy, 'bin');
  const there = { ...binaries, initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') };
  if (await canReach(account, there.postgres)) return there;
  const temporary = await mkdtemp(`${copy}-`);
  await cp(installation, temporary, { recursive: true, verbatimSymlinks: true });
  await chmod(temporary, 0o755);
  await moveIntoPlace(temporary, copy, () => canReach(account, there.postgres));
  await rm(temporary, { recursive: true, force: true });
  return there;
}

/** Asked of the kernel as that very user: modes, groups and access control lists all count. */
async function canReach(account: Account, file: string): Promise<boolean> {
  const { code } = await runCommand('/bin/sh', ['-c', 'test -x "$1"', 'sh', file], { account, cwd: '/' });
  return code === 0;
}

async function reachableFolder(): Promise<string> {
  try {
    await mkdir(REACHABLE_BASE, { recursive: true });
    await chmod(REACHABLE_BASE, 0o711);
    return REACHABLE_BASE;
  } catch (cause) {
    const message = `PostgreSQL cannot run as root, and its user can neither enter the data folder nor ${REACHABLE_BASE}.`;
    const hint = 'Start Leasekeeper as an ordinary user, or in a folder that every user may enter.';
    throw new LocalServerError('server_start_failed', message, { hint, cause });
  }
}
