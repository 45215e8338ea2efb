import pLimit from 'p-limit';
import { codeOf } from '../errors.ts';
import type { ManagedSecrets } from '../rotation/managed-secrets.ts';
import { type ListedSecret, listedOf } from './managed-summary.ts';

/** A document that was written by a later version, or by hand. */
export interface UnreadableSecret {
  readonly name: string;
  readonly unreadable: true;
  readonly removed?: undefined;
}

const PARALLEL_READS = 8;

/** Reads these secrets, one request each. One that cannot be read is listed as such: the others can be. Throws VaultError. */
export async function readListed(
  secrets: ManagedSecrets,
  names: readonly string[],
): Promise<readonly (ListedSecret | UnreadableSecret)[]> {
  const reading = pLimit(PARALLEL_READS);
  const read = await Promise.all(names.map((name) => reading(() => readOne(secrets, name))));
  return read.filter((one) => one !== undefined);
}

async function readOne(
  secrets: ManagedSecrets,
  name: string,
): Promise<ListedSecret | UnreadableSecret | undefined> {
  try {
    const secret = await secrets.read(name);
    return secret === undefined ? undefined : listedOf(secret);
  } catch (error) {
    if (codeOf(error) !== 'managed_secret_unreadable') throw error;
    return { name, unreadable: true };
  }
}
