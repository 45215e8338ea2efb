import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Environment } from './environment.ts';

/** What a command may touch besides Vault. */
export interface CliIo {
  readonly environment: Environment;
  /** One line, or several, without the last line feed. */
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  /** All of standard input. Left out: it is empty. */
  readonly input?: () => Promise<string>;
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
  out: (line) => process.stdout.write(`${line}\n`),
  error: (line) => process.stderr.write(`${line}\n`),
  input: () => {
    if (process.stdin.isTTY) process.stderr.write('Reading standard input; Ctrl-D ends it.\n');
    return text(process.stdin);
  },
};

/** What a file holds, or standard input for `-`. Throws Node's own error. */
export function sourceOf(
  io: CliIo,
  file: string,
): { readonly name: string; readonly text: () => Promise<string> } {
  if (file === '-') return { name: 'standard input', text: async () => (await io.input?.()) ?? '' };
  return { name: file, text: () => readFile(file, 'utf8') };
}
