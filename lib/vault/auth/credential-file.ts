import { readFile } from 'node:fs/promises';
import { codeOf, LeasekeeperError } from '../../errors.ts';
import { Secret } from '../../telemetry/secret.ts';

/** What a token, a JWT or a secret id may consist of; all three go where anything else would break out or be refused. */
const ONE_WORD = /^[\x21-\x7e]+$/;

/**
 * Reads a file that holds one credential and nothing else but white space around it. Read anew at each login, because such files are
 * replaced under a running process. `what` says what should be in it: `JWT`, `secret id`, `token`. Throws `credential_file_unreadable`,
 * which names the file and nothing of what is in it.
 */
export async function readCredentialFile(file: string, what: string): Promise<Secret> {
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw unreadable(file, what, codeOf(error));
  }
  if (text === '') throw unreadable(file, what, 'it is empty');
  if (!ONE_WORD.test(text)) throw unreadable(file, what, 'it holds more than one word, or other characters');
  if (text.startsWith('{')) throw unreadable(file, what, 'it holds JSON');
  return new Secret(text);
}

/** Gives the JWT in a file, as jwt and kubernetes ask for it at each login. Throws as `readCredentialFile`. */
export function jwtInFile(file: string): () => Promise<string> {
  return async () => (await readCredentialFile(file, 'JWT')).expose();
}

function unreadable(file: string, what: string, why: string): LeasekeeperError {
  return new LeasekeeperError('credential_file_unreadable', `No ${what} can be read from ${file} (${why}).`, {
    hint: `Check that the file is there, that this process may read it, and that it holds the ${what} alone.`,
  });
}
