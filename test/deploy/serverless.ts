import path from 'node:path';
import { type CommandResult, runCommand } from '../../lib/host/local/run-command.ts';

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
