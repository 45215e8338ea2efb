import type { Environment } from './environment.ts';

/** What a command may touch besides Vault. */
export interface CliIo {
  readonly environment: Environment;
  /** One line, or several, without the last line feed. */
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

/** 0 is success. */
export const EXIT = {
  failed: 1,
  usage: 2,
  /** `setup` found something that differs and left it. */
  different: 3,
} as const;

export const processIo: CliIo = {
  environment: process.env,
  out: (text) => process.stdout.write(`${text}\n`),
  error: (text) => process.stderr.write(`${text}\n`),
};
