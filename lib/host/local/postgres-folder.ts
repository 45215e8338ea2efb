import path from 'node:path';
import { isExecutable, runCommand } from './run-command.ts';

/** Where a usable PostgreSQL is. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  /** The major version, 13 or newer. */
  readonly major: number;
}

/** What a `bin` folder holds, or undefined if it has no PostgreSQL server that runs here. */
export async function inspectFolder(folder: string): Promise<PostgresBinaries | undefined> {
  const [initdb, postgres] = [path.join(folder, 'initdb'), path.join(folder, 'postgres')];
  if (!(await isExecutable(initdb)) || !(await isExecutable(postgres))) return undefined;
  const { stdout } = await runCommand(postgres, ['--version'], { env: {}, timeoutMs: 20_000 });
  const major = /\(PostgreSQL\) (\d+)/.exec(stdout)?.[1];
  return major === undefined ? undefined : { initdb, postgres, major: Number(major) };
}
