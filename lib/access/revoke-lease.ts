import * as z from 'zod';
import type { LeaseEntry } from '../leases/entry.ts';
import type { Vault } from '../vault/client.ts';
import { Leases } from '../vault/leases.ts';
import { leaseIdSchema, type OwnLeaseDependencies } from './own-lease.ts';

export const revokeRequestSchema = z.strictObject({ lease_id: leaseIdSchema });

export interface RevokeLeaseDependencies extends OwnLeaseDependencies {
  /** Acting as `fetch`: that the lease is the caller's own was proven before, and few services may revoke by themselves. */
  readonly vault: Vault;
  readonly now: () => number;
}

/**
 * Revokes a lease that is known as its caller's own. First the agenda is told that it is to end: whatever comes then, a worker revokes it
 * and tries again for as long as the engine cannot, and nobody hears of a lost lease. Throws VaultError `vault_revoke_failed` when the
 * credential works still.
 */
export async function revokeLease(
  { book, vault, now }: RevokeLeaseDependencies,
  entry: LeaseEntry,
): Promise<void> {
  const at = now();
  await book.add({ ...entry, retire_at: at, due: at });
  await new Leases(vault, entry.ns).revoke(entry.id);
  // Left there, the next visit would revoke it once more, which does no harm.
  await book.remove(entry.id).catch(() => {});
}
