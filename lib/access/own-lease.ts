import * as z from 'zod';
import type { Book } from '../agenda/book.ts';
import type { CareEntry, LeaseEntry } from '../leases/entry.ts';
import { joinPath, within } from '../vault/addressing.ts';
import type { Caller } from './callers.ts';
import { RequestError } from './problem.ts';

/** Vault's own are far shorter: a path and 24 characters. */
export const leaseIdSchema = z
  .string()
  .regex(/^[\x21-\x7e]{1,1024}$/, 'expected a lease id as it was answered, without spaces')
  .meta({ examples: ['lotabots/database/creds/api-gateway/cVlpyXtBFP7qKQIhJ0Sk0yKP'] });

export interface OwnLeaseDependencies {
  readonly book: Book<CareEntry>;
  readonly namespace: string;
}

/**
 * A lease under care that the caller has: of the same service when a login says who it is, of the same token otherwise. Undefined for any
 * other; whose that may be is not told. What a managed secret has is rotated, and nobody's.
 */
export async function ownLease(
  { book }: Pick<OwnLeaseDependencies, 'book'>,
  caller: Caller,
  leaseId: string,
): Promise<LeaseEntry | undefined> {
  const entry = await book.find(leaseId);
  if (entry?.kind !== 'lease' || entry.managed !== undefined || entry.consumer !== caller.name)
    return undefined;
  return (await isBoundTo(entry, caller)) ? entry : undefined;
}

/** A role is one service at one mount. What Vault calls the holder of a token (`approle`, `token`) many share. */
async function isBoundTo({ mount, parent }: LeaseEntry, caller: Caller): Promise<boolean> {
  if (caller.mount !== undefined) return mount === caller.mount;
  const { accessor } = await caller.vault.held();
  // A batch token has no accessor, so nothing tells it from another.
  return accessor !== '' && parent === accessor;
}

/** Whether a lease was issued from a path after VAULT_NAMESPACE. */
export function isFrom({ path }: LeaseEntry, { namespace }: OwnLeaseDependencies, asked: string): boolean {
  return path === joinPath(namespace, asked);
}

/** The path of a lease as its caller knows it. */
export function callersPath({ path }: LeaseEntry, { namespace }: OwnLeaseDependencies): string {
  return within(namespace, path);
}

export function unknownLease(): RequestError {
  return new RequestError(
    404,
    'lease_not_under_care',
    'No lease of that id is under care for this caller.',
    'It may have ended, be somebody else’s, or have been answered with "kept": false: then it ends by itself.',
  );
}
