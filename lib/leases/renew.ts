import pLimit from 'p-limit';
import { ulid } from 'ulid';
import type { Book, VisitedShard } from '../agenda/book.ts';
import type { ShardState } from '../agenda/shard.ts';
import type { ShardDelta } from '../agenda/shard-delta.ts';
import type { Bus } from '../bus/bus.ts';
import type { EventData } from '../bus/events.ts';
import { codeOf } from '../errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Vault } from '../vault/client.ts';
import { isVaultError, type VaultError } from '../vault/errors.ts';
import { Leases } from '../vault/leases.ts';
import { lookupSelf, Tokens } from '../vault/tokens.ts';
import {
  afterPublishing,
  afterRenewal,
  asFinal,
  claimEnd,
  decide,
  isTaken,
  isToEnd,
  type LeasePolicy,
  type RenewalOutcome,
  withNotice,
  withoutClaim,
} from './decide.ts';
import type { CareEntry, LeaseEntry } from './entry.ts';
import { leaseEvents } from './lease-events.ts';
import { VaultSilence } from './vault-silence.ts';

export interface RenewDependencies {
  readonly vault: Vault;
  readonly book: Book<CareEntry>;
  readonly bus: Bus;
  readonly metrics: Metrics;
  readonly policy: LeasePolicy;
  /** Where callers log in, and so where wrapping tokens live. */
  readonly authNamespace: string;
  readonly now: () => number;
  readonly random: () => number;
  /** Told of each renewed lease, for people who watch. */
  readonly onRenewed?: (entry: LeaseEntry) => void;
}

/** What one visit came to. */
export interface RenewReport {
  readonly renewed: readonly LeaseEntry[];
  readonly failed: number;
  readonly lost: number;
  readonly told: number;
  /** Entries that were due and are left for another visit, because Vault does not answer or there were too many. */
  readonly left: number;
}

const PARALLEL_RENEWALS = 8;
const MOST_IN_ONE_VISIT = 1_000;

/** What to do with one claimed entry once it was worked on: a new state, or `undefined` to let it go. */
interface Settled {
  readonly entry: CareEntry | undefined;
  readonly outcome: RenewalOutcome['kind'] | 'other';
  /** Vault did not answer in time: it may be this lease's engine, or Vault itself. */
  readonly unanswered?: boolean;
}

/**
 * Works on one shard: claims what is due by check-and-set, so that ten workers renew it once; renews, soonest to expire first; writes
 * the results; publishes what consumers must know, and only then clears it.
 */
export async function renewShard(
  deps: RenewDependencies,
  command: EventData<'leases.due'>,
): Promise<RenewReport> {
  const nonce = ulid();
  const claimed = await deps.book.visit(command.shard, (state) => claim(deps, state, command, nonce));
  const mine = [...claimed.state.entries.values()]
    .filter((entry) => entry.claim === nonce)
    .sort((a, b) => a.expire - b.expire);
  const results = await workOn(deps, mine);
  const written = await writeResults(deps, command.shard, nonce, results, claimed);
  const told = await publishNotices(deps, command.shard, [...written.state.entries.values()]);
  const report = reportOf(mine, results, told);
  for (const entry of report.renewed) deps.onRenewed?.(entry);
  return report;
}

function claim(
  deps: RenewDependencies,
  state: ShardState<CareEntry>,
  command: EventData<'leases.due'>,
  nonce: string,
): ShardDelta<CareEntry> {
  const now = deps.now();
  const set: CareEntry[] = [];
  const forget: string[] = [];
  const entries = [...state.entries.values()].map((entry) => endedByParent(entry, command, deps.policy));
  for (const entry of entries.sort((a, b) => a.expire - b.expire)) {
    if (isIdleParent(entry, command)) forget.push(entry.id);
    else if (!isTaken(entry, now, deps.policy) || entry.claim === nonce) keepIfChanged(state, entry, set);
    else if (decide(entry, now, deps.policy).kind === 'forget') forget.push(entry.id);
    else if (decide(entry, now, deps.policy).kind === 'wait') keepIfChanged(state, entry, set);
    else if (set.length < MOST_IN_ONE_VISIT) set.push({ ...entry, claim: nonce, due: claimEnd(entry, now) });
  }
  return { set, forget };
}

function keepIfChanged(state: ShardState<CareEntry>, entry: CareEntry, set: CareEntry[]): void {
  if (state.entries.get(entry.id) !== entry) set.push(entry);
}

/** A token on which the scan saw no lease, and which was given none since. */
function isIdleParent(entry: CareEntry, command: EventData<'leases.due'>): boolean {
  return (
    entry.kind === 'token' &&
    command.idle_parents.includes(entry.accessor) &&
    entry.used < command.scanned_at - IDLE_AFTER_MS
  );
}

/** A lease is posted right after its token; until this has passed its message may still be on the way. */
const IDLE_AFTER_MS = 300_000;

/** A lease dies with its parent token, whatever Vault granted for the lease itself. */
function endedByParent(entry: CareEntry, command: EventData<'leases.due'>, policy: LeasePolicy): CareEntry {
  if (entry.kind !== 'lease' || entry.parent === undefined) return entry;
  const end = command.ending_parents[entry.parent];
  if (end === undefined || (entry.final && entry.expire <= end)) return entry;
  return asFinal(entry, Math.min(entry.expire, end), policy);
}

/** Entries left out of the result were not worked on: their claims run out and the next scan finds them. */
async function workOn(
  deps: RenewDependencies,
  mine: readonly CareEntry[],
): Promise<ReadonlyMap<string, Settled>> {
  const limit = pLimit(PARALLEL_RENEWALS);
  const results = new Map<string, Settled>();
  const silence = new VaultSilence(() => answers(deps));
  let vaultIsAway = false;
  const workOnOne = async (entry: CareEntry): Promise<void> => {
    if (vaultIsAway) return;
    const settled = await settle(deps, entry);
    if (settled === undefined) vaultIsAway = true;
    else if (settled.unanswered && (await silence.unheard())) vaultIsAway = true;
    else results.set(entry.id, settled);
    if (settled?.unanswered === false) silence.heard();
  };
  await Promise.all(mine.map((entry) => limit(() => workOnOne(entry))));
  if (!vaultIsAway) return results;
  // What was not answered before it was known that Vault answers nobody.
  return new Map([...results].filter(([, { unanswered }]) => unanswered !== true));
}

/** Whether Vault answers at all: its own token needs no engine. */
async function answers({ vault, authNamespace }: RenewDependencies): Promise<boolean> {
  try {
    await lookupSelf(vault, authNamespace);
    return true;
  } catch (error) {
    return !(isVaultItself(error) || isVaultError(error, 'vault_timeout'));
  }
}

async function settle(deps: RenewDependencies, entry: CareEntry): Promise<Settled | undefined> {
  const decision = decide(entry, deps.now(), deps.policy);
  switch (decision.kind) {
    case 'renew':
      return renewOne(deps, entry);
    case 'announce':
      if (entry.kind !== 'lease') return { entry: withoutClaim(entry), outcome: 'other' };
      return { entry: withNotice(withoutClaim(entry), decision.notice, deps.now()), outcome: 'other' };
    case 'look-for-opening':
      return entry.kind === 'lease' ? lookForOpening(deps, entry) : { entry, outcome: 'other' };
    case 'retire':
      return retireOne(deps, entry);
    case 'forget':
      return { entry: undefined, outcome: 'other' };
    default:
      return { entry: withoutClaim(entry), outcome: 'other' };
  }
}

/** Replaced, and its grace is over. While the engine cannot revoke, it is tried again like a renewal. */
async function retireOne(deps: RenewDependencies, entry: CareEntry): Promise<Settled | undefined> {
  try {
    await new Leases(deps.vault, entry.ns).revoke(entry.id);
    return { entry: undefined, outcome: 'other' };
  } catch (error) {
    if (isVaultItself(error)) return undefined;
    if (!isVaultError(error)) throw error;
    return failed(deps, entry, error);
  }
}

async function renewOne(deps: RenewDependencies, entry: CareEntry): Promise<Settled | undefined> {
  const outcome = await renewalOf(deps, entry);
  if (outcome === undefined) return undefined;
  deps.metrics.increment('leasekeeper_lease_renewals_total', { outcome: outcome.kind });
  const { unanswered } = outcome;
  const after = afterRenewal(entry, outcome, deps.now(), deps.policy, deps.random);
  return { entry: after, outcome: outcome.kind, unanswered };
}

/** What came of the renewal; undefined when it is Vault itself that does not answer, which says nothing about the lease. */
async function renewalOf(
  deps: RenewDependencies,
  entry: CareEntry,
): Promise<(RenewalOutcome & { readonly unanswered: boolean }) | undefined> {
  try {
    return { ...(await granted(deps, entry)), unanswered: false };
  } catch (error) {
    if (isVaultItself(error)) return undefined;
    deps.metrics.increment('vault_lease_renewal_errors_total', { reason: codeOf(error) });
    if (isVaultError(error, 'vault_lease_not_found', 'vault_unknown_accessor', 'vault_lease_irrevocable')) {
      return { kind: 'lost', unanswered: false };
    }
    if (isVaultError(error, 'vault_lease_not_renewable')) return { kind: 'not-renewable', unanswered: false };
    if (isVaultError(error)) return { kind: 'failed', unanswered: isVaultError(error, 'vault_timeout') };
    throw error;
  }
}

async function granted(deps: RenewDependencies, entry: CareEntry): Promise<RenewalOutcome> {
  if (entry.kind === 'token') {
    const renewed = await new Tokens(deps.vault, entry.ns).renewAccessor(entry.accessor, entry.ttl);
    return { kind: 'granted', ...renewed };
  }
  const renewed = await new Leases(deps.vault, entry.ns).renew(entry.id, entry.ttl);
  return { kind: 'granted', ttlSeconds: renewed.leaseDurationSeconds, renewable: renewed.renewable };
}

/** Not this lease but Vault, or the way to it. */
function isVaultItself(error: unknown): boolean {
  return isVaultError(error, 'vault_unreachable', 'vault_sealed', 'vault_standby', 'vault_rate_limited');
}

/**
 * A wrapped lease that is never opened must not be renewed for ever. The wrapping token outlives the time its owner asked for by a few
 * scans: gone before that means opened, still there after it means never opened, and the lease ends by itself.
 */
async function lookForOpening(deps: RenewDependencies, entry: LeaseEntry): Promise<Settled | undefined> {
  if (entry.wrap === undefined) return { entry, outcome: 'other' };
  try {
    const { ttlSeconds } = await new Tokens(deps.vault, deps.authNamespace).lookupAccessor(
      entry.wrap.accessor,
    );
    // Without life it was opened a moment ago, and Vault is about to drop it.
    if (ttlSeconds > 0) {
      const due = entry.wrap.expire;
      return { entry: due <= deps.now() ? undefined : { ...withoutClaim(entry), due }, outcome: 'other' };
    }
  } catch (error) {
    if (!isVaultError(error)) throw error;
    if (isVaultItself(error)) return undefined;
    // One accessor that we may not look up must not keep the other entries of its shard from being worked on.
    if (error.code !== 'vault_unknown_accessor') return failed(deps, entry, error);
  }
  const opened = { ...entry, wrap: undefined };
  if (!entry.final) return renewOne(deps, opened);
  return { entry: asFinal(opened, entry.expire, deps.policy), outcome: 'other' };
}

function failed(deps: RenewDependencies, entry: CareEntry, error: VaultError): Settled {
  return {
    entry: afterRenewal(entry, { kind: 'failed' }, deps.now(), deps.policy, deps.random),
    outcome: 'failed',
    unanswered: error.code === 'vault_timeout',
  };
}

async function writeResults(
  deps: RenewDependencies,
  shard: number,
  nonce: string,
  results: ReadonlyMap<string, Settled>,
  claimed: VisitedShard<CareEntry>,
): Promise<VisitedShard<CareEntry>> {
  if (results.size === 0) return claimed;
  const apply = (state: ShardState<CareEntry>): ShardDelta<CareEntry> => {
    const set: CareEntry[] = [];
    const forget: string[] = [];
    for (const [id, { entry, outcome }] of results) {
      const current = state.entries.get(id);
      if (current?.claim !== nonce) continue;
      if (entry === undefined || (outcome === 'lost' && isToEnd(current, deps.now()))) forget.push(id);
      // A message merged meanwhile (the lease is to be retired, the token was used) must not be undone.
      else set.push(deps.book.kind.merge(entry, current));
    }
    return { set, forget };
  };
  // A lost lease may have been removed on purpose meanwhile: then, and only then, the inbox is looked at once more.
  const someLost = [...results.values()].some(({ outcome }) => outcome === 'lost');
  return deps.book.visit(shard, apply, someLost ? undefined : claimed);
}

/** Publishes what the entries have to tell, then clears the flags: a crash between the two tells it again, under the same id. */
async function publishNotices(
  deps: RenewDependencies,
  shard: number,
  entries: readonly CareEntry[],
): Promise<number> {
  const telling = entries.filter(
    (entry): entry is LeaseEntry => entry.kind === 'lease' && (entry.unpublished?.length ?? 0) > 0,
  );
  if (telling.length === 0) return 0;
  const events = telling.flatMap((entry) => leaseEvents(entry, deps.now()));
  const taken = await deps.bus.publish(events.map(({ event }) => event));
  const published = events.filter(({ event }) => taken.has(event.id));
  await deps.book.visit(shard, (state) => {
    const set: CareEntry[] = [];
    const remove: string[] = [];
    for (const id of new Set(published.map(({ entry }) => entry.id))) {
      const entry = state.entries.get(id);
      if (entry?.kind !== 'lease') continue;
      const notices = published.filter((one) => one.entry.id === id).map(({ notice }) => notice);
      const after = afterPublishing(entry, notices, deps.policy);
      if (after === undefined) remove.push(id);
      else set.push(after);
    }
    return { set, remove };
  });
  return published.length;
}

function reportOf(
  mine: readonly CareEntry[],
  results: ReadonlyMap<string, Settled>,
  told: number,
): RenewReport {
  const settled = mine.flatMap(({ id }) => results.get(id) ?? []);
  const count = (kind: Settled['outcome']) => settled.filter(({ outcome }) => outcome === kind).length;
  return {
    renewed: settled.flatMap(({ entry, outcome }) =>
      outcome === 'granted' && entry?.kind === 'lease' ? [entry] : [],
    ),
    failed: count('failed') + count('not-renewable'),
    lost: count('lost'),
    told,
    left: mine.length - results.size,
  };
}
