import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { codeOf } from '../../errors.ts';
import type { Environment } from './cache-folder.ts';

/** The account a process runs as; only root can choose one. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** How a command ended. `code` is its exit code; 127 when it could not be started, 1 when a signal ended it. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Settings of one command. */
export interface CommandOptions {
  readonly env?: Environment;
  readonly cwd?: string;
  readonly account?: Account | undefined;
  /** Milliseconds after which the command is ended; none by default. */
  readonly timeoutMs?: number;
}

/** Runs a command to its end and never throws: a command that cannot start answers like a shell, with 127. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { promise, resolve } = Promise.withResolvers<CommandResult>();
  const settings = {
    maxBuffer: 16 * 1024 * 1024,
    timeout: options.timeoutMs ?? 0,
    ...(options.env && { env: { ...options.env } }),
    ...(options.cwd && { cwd: options.cwd }),
    ...options.account,
  };
  execFile(command, [...args], settings, (error, stdout, stderr) => {
    resolve({ code: exitCodeOf(error), stdout, stderr: stderr || (error?.message ?? '') });
  });
  return promise;
}

function exitCodeOf(error: Error | null): number {
  if (!error) return 0;
  if ('code' in error && typeof error.code === 'number') return error.code;
  return codeOf(error) === 'unknown' ? 1 : 127;
}

/** The absolute path of the first executable `name` on PATH that `accept` agrees to. */
export async function findOnPath(
  name: string,
  env: Environment,
  accept: (file: string) => Promise<boolean> = async () => true,
): Promise<string | undefined> {
  for (const folder of (env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, name);
    if (path.isAbsolute(folder) && (await isExecutable(file)) && (await accept(file))) return file;
  }
  return undefined;
}

/** Whether this process may execute the file. */
export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * The last lines a failed command printed, for an error message: at most `lines` of them, without the user name and
 * password a package index's address may hold.
 */
export function lastLines(output: string, lines = 3): string {
  const text = output.trim().split('\n').slice(-lines).join('\n');
  return text.replaceAll(/\/\/[^/@\s]+@/g, '//').slice(-600);
}
