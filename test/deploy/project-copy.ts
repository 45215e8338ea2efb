import { cp, mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { type CommandResult, runCommand } from '../../lib/host/local/run-command.ts';

const root = path.resolve(import.meta.dirname, '../..');
/** All that `serverless deploy` reads. What it writes then lands beside it, and no other test meets it. */
const PARTS = [
  'serverless.yml',
  'aws',
  'scripts',
  'functions',
  'lib',
  'docs',
  'package.json',
  'tsconfig.json',
];

/** The project in a folder of its own, with the packages that are installed here. */
export async function copyProject(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const part of PARTS) await cp(path.join(root, part), path.join(folder, part), { recursive: true });
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
}

/** Runs `serverless <args>` there, in an environment that has what is given and nothing else. */
export function serverless(
  folder: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  const cli = path.join(folder, 'node_modules/serverless/bin/serverless.js');
  const env = { PATH: process.env.PATH, HOME: folder, TMPDIR: folder, ...environment };
  return runCommand(process.execPath, [cli, ...args], { cwd: folder, env, timeoutMs: 240_000 });
}
