import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder, type Environment } from '../../lib/host/local/cache-folder.ts';
import { moveIntoPlace } from '../../lib/host/local/move-into-place.ts';
import { type CommandResult, findOnPath, lastLines, runCommand } from '../../lib/host/local/run-command.ts';
import { stagingFolder } from '../../lib/host/local/staging-folder.ts';
import type { PythonMissing } from './python-package.ts';

/** Packages with all that they need, each pinned by the hashes of its files. */
export interface PythonRequirements {
  /** A requirements file beside this one. */
  readonly file: string;
  readonly oldestPython: readonly [major: number, minor: number];
  /** What is imported. */
  readonly modules: readonly string[];
}

/** Runs a program with the packages at hand, and gives how it ended. */
export type PythonProgram = (
  program: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly cwd?: string },
) => Promise<CommandResult>;

/** A program with the packages at hand that is not run to its end here. */
export interface PythonCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** What it needs of the environment; the rest is the caller's. */
  readonly env: Environment;
}

/**
 * The packages from the cache folder, where they are downloaded to first if need be: nothing that is not pinned, and nothing that would
 * have to be compiled. A download that fails is an error; only a machine without Python, or with an older one, cannot be expected to have them.
 */
export async function pythonEnvironment(
  requirements: PythonRequirements,
  env: Environment,
): Promise<PythonProgram | PythonMissing> {
  const found = await installed(requirements, env);
  return 'missing' in found ? found : programIn(found.python, found.folder, env);
}

/** As `pythonEnvironment`, for a module that is a server: how to start it. */
export async function pythonServer(
  requirements: PythonRequirements,
  module: string,
  env: Environment,
): Promise<PythonCommand | PythonMissing> {
  const found = await installed(requirements, env);
  if ('missing' in found) return found;
  const { python, folder } = found;
  return { command: python, args: ['-S', '-m', module], env: { PYTHONPATH: folder, PYTHONUTF8: '1' } };
}

async function installed(
  { file, oldestPython, modules }: PythonRequirements,
  env: Environment,
): Promise<{ readonly python: string; readonly folder: string } | PythonMissing> {
  const python = await findOnPath('python3', env);
  if (python === undefined) return { missing: 'python3 is not on PATH' };
  const version = await runCommand(python, ['-c', 'import sys; print(*sys.version_info[:2])'], { env });
  const [major = 0, minor = 0] = version.stdout.split(' ').map(Number);
  const [oldestMajor, oldestMinor] = oldestPython;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor))
    return { missing: `python3 is ${major}.${minor}, and not ${oldestPython.join('.')} or newer` };
  const requirements = path.join(import.meta.dirname, file);
  const pins = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12);
  const name = `python-${major}.${minor}-${pins}-${process.platform}-${process.arch}`;
  const folder = path.join(cacheFolder(env), name);
  const program = programIn(python, folder, env);
  const load = () => program(`import ${modules.join(', ')}`, [], { timeoutMs: 60_000 });
  if ((await load()).code === 0) return { python, folder };
  const pip = await runCommand(python, ['-m', 'pip', '--version'], { env });
  if (pip.code !== 0) return { missing: `python3 is without pip: ${lastLines(pip.stderr, 1)}` };
  await install(python, requirements, folder, env, async () => (await load()).code === 0);
  const { code, stderr } = await load();
  if (code !== 0) throw new Error(`What ${file} names cannot be used: ${lastLines(stderr)}`);
  return { python, folder };
}

/** Nothing but the packages and Python's own library can be imported; what is in the shell's environment stays there. */
function programIn(python: string, folder: string, env: Environment): PythonProgram {
  return (program, args, { timeoutMs, cwd }) =>
    runCommand(python, ['-S', '-c', program, ...args], {
      env: { PATH: env.PATH, HOME: cwd ?? folder, PYTHONPATH: folder, PYTHONUTF8: '1' },
      timeoutMs,
      ...(cwd === undefined ? {} : { cwd }),
    });
}

/** Beside the place, and there by one rename: a run that is broken off leaves no half environment. */
async function install(
  python: string,
  requirements: string,
  folder: string,
  env: Environment,
  isUsable: () => Promise<boolean>,
): Promise<void> {
  const staging = await stagingFolder(path.dirname(folder), '.python-');
  try {
    const quietly = ['--quiet', '--disable-pip-version-check'];
    const pinned = ['--no-deps', '--only-binary=:all:', '--require-hashes', '-r', requirements];
    const { code, stderr } = await runCommand(
      python,
      ['-m', 'pip', 'install', ...quietly, ...pinned, '--target', path.join(staging, 'installed')],
      { env, cwd: staging },
    );
    if (code !== 0) throw new Error(`pip failed for ${path.basename(requirements)}: ${lastLines(stderr)}`);
    await moveIntoPlace(path.join(staging, 'installed'), folder, isUsable);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}
