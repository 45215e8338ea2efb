import { Book } from '../../agenda/book.ts';
import { ROTATIONS } from '../../agenda/hint.ts';
import { acknowledgementPath } from '../../vault/acknowledgements.ts';
import { joinPath, within } from '../../vault/addressing.ts';
import { capabilitiesOf } from '../../vault/capabilities.ts';
import type { Vault } from '../../vault/client.ts';
import { KvStore } from '../../vault/kv-store.ts';
import type { Access } from './access.ts';
import { judgeAcknowledgement, judgeLeasekeeper } from './leasekeeper.ts';
import type { Tell } from './request.ts';
import { unlessDenied } from './unless-denied.ts';

const BOOKS = ['leases', 'rotations', 'deliveries'] as const;

/** Leasekeeper's own state, with whoever's rights reach it, and what a consumer may write there. */
export async function examineLeasekeeper(access: Access, tell: Tell): Promise<void> {
  const { request, identity, operator } = access;
  const { state, scanIntervalMs } = request;
  const views = [identity.vault, ...(operator === undefined ? [] : [operator])];
  const books: Record<string, boolean | undefined> = {};
  for (const name of BOOKS) books[name] = await seenByAny(views, state, name);
  const overdueMs = books.rotations === true ? await overdue(views, state) : undefined;
  const needed = request.consumer !== undefined;
  tell(judgeLeasekeeper({ state, books, overdueMs, scanIntervalMs, needed }));
  if (request.consumer !== undefined) await examineAcknowledgement(access, request.consumer, tell);
}

async function seenByAny(views: readonly Vault[], state: string, book: string): Promise<boolean | undefined> {
  for (const vault of views) {
    const read = await unlessDenied(() => new KvStore(vault, state).version(`agenda/${book}/about`));
    const there = read ?? (await unlessDenied(() => versionByData(vault, state, book)));
    if (there !== undefined) return there > 0;
  }
  return undefined;
}

/** Operators may read the document, and not its metadata. It says how many shards there are. */
async function versionByData(vault: Vault, state: string, book: string): Promise<number> {
  return (await new KvStore(vault, state).read(`agenda/${book}/about`)).version;
}

/** How long the rotation that has been due longest has been so; undefined when nobody may read the shards. */
async function overdue(views: readonly Vault[], state: string): Promise<number | undefined> {
  for (const vault of views) {
    const now = () => vault.now();
    const book = new Book({ kind: ROTATIONS, store: new KvStore(vault, state), now, random: () => 0.5 });
    const shards = await unlessDenied(() => book.scan());
    if (shards === undefined) continue;
    const due = shards.flatMap(({ entries }) => entries.map((entry) => entry.due));
    return Math.max(0, ...due.map((at) => now() - at));
  }
  return undefined;
}

async function examineAcknowledgement(access: Access, consumer: string, tell: Tell): Promise<void> {
  const { request, identity } = access;
  const { authNamespace } = request.configuration;
  const at = (name: string) => joinPath(request.state, 'data', acknowledgementPath(name, consumer));
  // No managed secret may have this name, so that nobody's own rule is meant.
  const probe = at('leasekeeper-doctor');
  const capabilities = await unlessDenied(() => capabilitiesOf(identity.vault, authNamespace, [probe]));
  tell(
    judgeAcknowledgement({
      consumer,
      authNamespace,
      policy: identity.policy,
      rule: { path: within(authNamespace, at('+')), capabilities: ['create', 'read', 'update'] },
      capabilities: capabilities?.get(probe),
    }),
  );
}
