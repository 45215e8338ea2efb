import * as z from 'zod';

/** What OpenBao's `X-Vault-Index` holds, in base64: how far a node had got, as a raft index. */
const position = z.object({ cluster: z.string(), value: z.string().regex(/^\d+$/) });

/**
 * The later of the index that is known and one just seen, so that answers arriving out of order never take us back. Where it is opaque
 * (HashiCorp Vault signs it), that of the last write counts.
 */
export function laterIndex(known: string | undefined, seen: string, wrote: boolean): string | undefined {
  const before = known === undefined ? undefined : positionIn(known);
  const after = positionIn(seen);
  if (after === undefined) return wrote ? seen : known;
  // Another cluster, restored or failed over to: its numbers are its own.
  if (before === undefined || before.cluster !== after.cluster) return seen;
  return BigInt(after.value) >= BigInt(before.value) ? seen : known;
}

function positionIn(index: string): z.infer<typeof position> | undefined {
  try {
    return position.parse(JSON.parse(Buffer.from(index, 'base64').toString()));
  } catch {
    return undefined;
  }
}
