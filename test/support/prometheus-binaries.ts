import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder, type Environment } from '../../lib/host/local/cache-folder.ts';
import { moveIntoPlace } from '../../lib/host/local/move-into-place.ts';
import { findOnPath, isExecutable, lastLines, runCommand } from '../../lib/host/local/run-command.ts';
import { stagingFolder } from '../../lib/host/local/staging-folder.ts';

/** The executables of a Prometheus. */
export interface PrometheusBinaries {
  readonly prometheus: string;
  readonly promtool: string;
}

/** Why there is none on this machine; whoever needs it must say that it was skipped. */
export interface PrometheusMissing {
  readonly missing: string;
}

/**
 * A Prometheus: from PATH, else from the cache folder, where Debian's package is unpacked to first if need be. That needs no root and
 * installs nothing; apt checks the signature.
 */
export async function findPrometheus(env: Environment): Promise<PrometheusBinaries | PrometheusMissing> {
  const [prometheus, promtool] = await Promise.all([
    findOnPath('prometheus', env, isUsable),
    findOnPath('promtool', env, isUsable),
  ]);
  if (prometheus !== undefined && promtool !== undefined) return { prometheus, promtool };
  const folder = path.join(cacheFolder(env), `prometheus-debian-${process.arch}`);
  const cached = { prometheus: path.join(folder, 'prometheus'), promtool: path.join(folder, 'promtool') };
  const areUsable = async () => (await isUsable(cached.prometheus)) && isUsable(cached.promtool);
  if (await areUsable()) return cached;
  const fault = await download(folder, env, areUsable);
  if (fault === undefined && (await areUsable())) return cached;
  return { missing: fault ?? "Debian's Prometheus does not run on this machine" };
}

async function isUsable(file: string): Promise<boolean> {
  if (!(await isExecutable(file))) return false;
  return (await runCommand(file, ['--version'], { env: {}, timeoutMs: 20_000 })).code === 0;
}

/** Unpacks beside the place and moves there by one rename: a run that is broken off leaves no half package. Gives what went wrong. */
async function download(
  folder: string,
  env: Environment,
  areUsable: () => Promise<boolean>,
): Promise<string | undefined> {
  const [apt, dpkg] = [await findOnPath('apt-get', env), await findOnPath('dpkg-deb', env)];
  if (apt === undefined || dpkg === undefined) return 'neither Prometheus nor apt-get is on PATH';
  const staging = await stagingFolder(path.dirname(folder), '.prometheus-');
  const run = async (command: string, ...args: string[]) => {
    const { code, stderr } = await runCommand(command, args, { env, cwd: staging, timeoutMs: 120_000 });
    return code === 0 ? undefined : `${path.basename(command)} ${args.at(-1)}: ${lastLines(stderr, 1)}`;
  };
  try {
    await mkdir(path.join(staging, 'lists/partial'), { recursive: true });
    await mkdir(path.join(staging, 'cache/archives/partial'), { recursive: true });
    // The machine's own package lists, if it has any; else lists of our own, for those are root's.
    const own = [
      ...['-o', `Dir::State::lists=${staging}/lists`, '-o', `Dir::Cache=${staging}/cache`],
      ...['-o', 'Debug::NoLocking=1', '-q'],
    ];
    const fault =
      (await run(apt, '-q', 'download', 'prometheus')) &&
      ((await run(apt, ...own, 'update')) ?? (await run(apt, ...own, 'download', 'prometheus')));
    if (fault !== undefined) return fault;
    const unpacked =
      (await run('/bin/sh', '-c', `"${dpkg}" -x prometheus_*.deb unpacked`)) ??
      (await run('/bin/sh', '-c', 'mv unpacked/usr/bin bin'));
    if (unpacked === undefined) await moveIntoPlace(path.join(staging, 'bin'), folder, areUsable);
    return unpacked;
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
