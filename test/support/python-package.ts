import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder, type Environment } from '../../lib/host/local/cache-folder.ts';
import { moveIntoPlace } from '../../lib/host/local/move-into-place.ts';
import { findOnPath, lastLines, runCommand } from '../../lib/host/local/run-command.ts';
import { stagingFolder } from '../../lib/host/local/staging-folder.ts';

/** A package of one wheel that is pure Python and needs no other. */
export interface PythonPackage {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the wheel, in hexadecimal. pip refuses any other file. */
  readonly sha256: string;
  /** What is imported. */
  readonly module: string;
}

/** Runs a program with the package at hand. Throws if it does not end with 0; gives what it printed. */
export type PythonRunner = (program: string, ...args: readonly string[]) => Promise<string>;

/** Why a package cannot be had on this machine at all; whoever needs it must say that it was skipped. */
export interface PythonMissing {
  readonly missing: string;
}

/**
 * The package from the cache folder, where it is downloaded to first if need be. A download that fails is an error, and so is a wheel that
 * is not the pinned one: only a machine without Python or without pip cannot be expected to have it.
 */
export async function pythonWith(
  wanted: PythonPackage,
  env: Environment,
): Promise<PythonRunner | PythonMissing> {
  const python = await findOnPath('python3', env);
  if (python === undefined) return { missing: 'python3 is not on PATH' };
  const folder = path.join(cacheFolder(env), `${wanted.name}-${wanted.version}`);
  const runner = runnerOf(python, folder, env);
  const isUsable = () =>
    runner(`import ${wanted.module}`).then(
      () => true,
      () => false,
    );
  if (await isUsable()) return runner;
  const pip = await runCommand(python, ['-m', 'pip', '--version'], { env });
  if (pip.code !== 0) return { missing: `python3 is without pip: ${lastLines(pip.stderr, 1)}` };
  await download(wanted, python, folder, env, isUsable);
  // Throws what is wrong with it, if anything is.
  await runner(`import ${wanted.module}`);
  return runner;
}

/** Nothing but the package and Python's own library can be imported; what is in the shell's environment stays there. */
function runnerOf(python: string, folder: string, env: Environment): PythonRunner {
  return async (program, ...args) => {
    const { code, stdout, stderr } = await runCommand(python, ['-S', '-c', program, ...args], {
      env: { PATH: env.PATH, PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1', PYTHONUTF8: '1' },
      timeoutMs: 30_000,
    });
    if (code !== 0) throw new Error(`Python ended with ${code}: ${lastLines(stderr)}`);
    return stdout;
  };
}

/** Unpacks beside the place and moves there by one rename: a run that is broken off leaves no half package. */
async function download(
  { name, version, sha256 }: PythonPackage,
  python: string,
  folder: string,
  env: Environment,
  isUsable: () => Promise<boolean>,
): Promise<void> {
  const staging = await stagingFolder(path.dirname(folder), '.python-');
  const run = async (...args: string[]) => {
    const { code, stderr } = await runCommand(python, ['-m', ...args], { env, cwd: staging });
    if (code !== 0) throw new Error(`${args[0]} failed for ${name} ${version}: ${lastLines(stderr)}`);
  };
  try {
    // Hashes are read from a requirements file only.
    await writeFile(path.join(staging, 'requirements.txt'), `${name}==${version} --hash=sha256:${sha256}\n`);
    const quietly = ['--quiet', '--disable-pip-version-check'];
    const pinned = ['--no-deps', '--only-binary=:all:', '--require-hashes', '-r', 'requirements.txt'];
    await run('pip', 'download', ...quietly, ...pinned, '-d', '.');
    await run('zipfile', '-e', `${name}-${version}-py3-none-any.whl`, 'unpacked');
    await moveIntoPlace(path.join(staging, 'unpacked'), folder, isUsable);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
