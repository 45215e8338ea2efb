import fc from 'fast-check';
import { expect } from 'vitest';
import { Book } from '../../../lib/agenda/book.ts';
import type { LeasekeeperEvent } from '../../../lib/bus/events.ts';
import { leaseEntryOf } from '../../../lib/leases/adopt.ts';
import type { LeasePolicy } from '../../../lib/leases/decide.ts';
import { type CareEntry, LEASES } from '../../../lib/leases/entry.ts';
import { renewShard } from '../../../lib/leases/renew.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { isVaultError } from '../../../lib/vault/errors.ts';
import { Leases } from '../../../lib/vault/leases.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { uniqueName } from '../../support/admin.ts';
import { type Choice, Conductor } from '../../support/conductor.ts';
import { FolderStore } from '../../support/folder-store.ts';
import type { World } from '../../support/world.ts';
import { turns } from './turns.ts';

/** The look-ahead is longer than a claim, as it is for leases of a few minutes under a schedule of one. */
const POLICY: LeasePolicy = { scanIntervalMs: 180_000, lookAheadMs: 240_000 };
const TTL_SECONDS = 3_600;
const TOMBSTONE_MS = 3_600_000;

export interface LeaseScenario {
  readonly shards: 1 | 2;
  /** Whether the second lease's request reached us twice. */
  readonly duplicate: boolean;
  /** What its consumer does with the second lease. */
  readonly release: 'keep' | 'remove' | 'remove and revoke' | 'replace';
  readonly workers: number;
  readonly choices: readonly Choice[];
}

/** Faults are few: a schedule in which everybody dies shows nothing. `clock`: whether time may leap beyond every tombstone. */
export function leaseScenarios(clock: boolean): fc.Arbitrary<LeaseScenario> {
  const leap = fc.oneof(
    { weight: 25, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constantFrom(150_000, TOMBSTONE_MS + 1_000) },
  );
  const choice = clock ? fc.tuple(turns(11), leap).map(([turn, by]) => ({ ...turn, clock: by })) : turns(11);
  return fc
    .record({
      shards: fc.constantFrom(1 as const, 2 as const),
      duplicate: fc.boolean(),
      release: fc.constantFrom('keep', 'remove', 'remove and revoke', 'replace'),
      workers: fc.integer({ min: 2, max: 3 }),
      choices: fc.array(choice, { minLength: 10, maxLength: 40, size: 'max' }),
    })
    .filter(
      // After an hour only Vault tells whether a repeated request still counts: one for a living lease is believed.
      ({ duplicate, release }) => !(clock && duplicate && release === 'remove'),
    );
}

/** Plays one schedule of givers, a releaser and workers on a book of its own, lets a last worker tidy up, and checks what must hold. */
export async function playLeases(
  world: World,
  real: Transport,
  lease: () => Promise<string>,
  scenario: LeaseScenario,
): Promise<readonly string[]> {
  const run = new LeaseRun(world, real, scenario, [await lease(), await lease()]);
  await run.play();
  return run.reusable();
}

class LeaseRun {
  readonly #world: World;
  readonly #scenario: LeaseScenario;
  readonly #ids: readonly string[];
  readonly #folder = uniqueName('run');
  readonly #conductor: Conductor;
  readonly #start = Date.now();
  readonly #added = new Set<string>();
  readonly #removing = new Set<string>();
  readonly #removed = new Set<string>();
  readonly #replaced = new Set<string>();
  readonly #renewals: { readonly id: string; readonly visit: string }[] = [];
  readonly #events: LeasekeeperEvent[] = [];
  #revoking = false;
  #leapt = 0;

  constructor(world: World, real: Transport, scenario: LeaseScenario, ids: readonly string[]) {
    this.#world = world;
    this.#scenario = scenario;
    this.#ids = ids;
    this.#conductor = new Conductor({
      real,
      onClock: (milliseconds) => {
        this.#leapt += milliseconds;
      },
      // A renewal whose answer was lost is repeated by the client at once, which is not what is counted here.
      temper: ({ path }, fate) =>
        path.endsWith('sys/leases/renew') && fate.startsWith('lose') ? 'go' : fate,
      onExchange: (actor, { path, body }) => {
        if (!path.endsWith('sys/leases/renew')) return;
        const id = this.#ids.find((one) => body?.includes(one));
        if (id !== undefined) this.#renewals.push({ id, visit: actor });
      },
    });
  }

  /** Leases that another run may use. */
  reusable(): readonly string[] {
    return this.#revoking ? this.#ids.slice(0, 1) : this.#ids;
  }

  async play(): Promise<void> {
    await this.#book(new FolderStore(this.#world.vault, this.#world.stateMount, this.#folder)).create(
      this.#scenario.shards,
    );
    const [kept = '', released = ''] = this.#ids;
    this.#conductor.start('giver', () => this.#add('giver', kept));
    this.#conductor.start('user', () => this.#use(released));
    if (this.#scenario.duplicate) this.#conductor.start('again', () => this.#add('again', released));
    for (let n = 1; n <= this.#scenario.workers; n += 1) {
      this.#conductor.start(`worker-${n}`, () => this.#work(`worker-${n}`));
    }
    await this.#conductor.play(this.#scenario.choices);
    this.#checkRenewedOnce();
    await this.#checkAfterwards();
  }

  readonly #now = () => this.#start + this.#leapt;

  #vaultOf(actor: string) {
    const transport = this.#conductor.transportOf(actor);
    const client = new VaultClient({ transport, random: () => 0 });
    return actingWith(client, new Secret(this.#world.rootToken));
  }

  #storeOf(actor: string) {
    return new FolderStore(this.#vaultOf(actor), this.#world.stateMount, this.#folder);
  }

  #book(store: FolderStore, actor = 'check') {
    const leases = new Leases(this.#vaultOf(actor), '');
    return new Book<CareEntry>({
      kind: LEASES,
      store,
      now: this.#now,
      random: () => 0,
      isAlive: ({ id }) =>
        leases.lookup(id).then(
          () => true,
          (error: unknown) => !isVaultError(error, 'vault_lease_not_found'),
        ),
    });
  }

  #entry(id: string): CareEntry {
    const issued = { leaseId: id, namespace: '', path: 'database/creds/app', consumer: 'tests' };
    const entry = leaseEntryOf({ ...issued, ttlSeconds: TTL_SECONDS, renewable: true }, this.#start, POLICY);
    return { ...entry, due: this.#start };
  }

  async #add(actor: string, id: string): Promise<void> {
    await this.#book(this.#storeOf(actor), actor).add(this.#entry(id));
    this.#added.add(id);
  }

  async #use(id: string): Promise<void> {
    await this.#add('user', id);
    if (this.#scenario.release === 'keep') return;
    if (this.#scenario.release === 'replace') return this.#replace(id);
    this.#removing.add(id);
    await this.#book(this.#storeOf('user'), 'user').remove(id);
    this.#removed.add(id);
    if (this.#scenario.release === 'remove') return;
    this.#revoking = true;
    await new Leases(this.#vaultOf('user'), '').revoke(id);
  }

  /** Another lease takes its place: this one is to be retired after a grace. */
  async #replace(id: string): Promise<void> {
    this.#revoking = true;
    const retireAt = this.#start + 500_000;
    const message = { ...this.#entry(id), due: retireAt, retire_at: retireAt };
    this.#removing.add(id);
    await this.#book(this.#storeOf('user'), 'user').add(message);
    this.#replaced.add(id);
  }

  /** What `scan` and `renew` do; one of the workers does it twice. */
  async #work(actor: string): Promise<void> {
    await this.#visitDue(actor, 1);
    if (actor === 'worker-1') await this.#visitDue(actor, 2);
  }

  async #visitDue(actor: string, round: number): Promise<void> {
    const book = this.#book(this.#storeOf(actor), actor);
    const before = [...this.#added];
    const scanned = await book.scan();
    const fresh = new Set(scanned.filter((one) => one.fresh).map(({ shard }) => shard));
    for (const id of before.filter((one) => !this.#removing.has(one))) {
      const seen = scanned.some(({ entries }) => entries.some((entry) => entry.id === id));
      const overlooked = !seen && !fresh.has(await book.shardOf(id));
      expect(overlooked, `a scan overlooked ${id}`).toBe(false);
    }
    const due = scanned.filter(
      (one) => one.fresh || one.entries.some((entry) => entry.due <= this.#now() + POLICY.lookAheadMs),
    );
    for (const { shard } of due) await this.#visit(actor, shard, round, book);
  }

  async #visit(actor: string, shard: number, round: number, book: Book<CareEntry>): Promise<void> {
    const gone = new Set(this.#removed);
    const before = this.#renewals.length;
    await renewShard(
      {
        vault: this.#vaultOf(actor),
        book,
        policy: POLICY,
        authNamespace: '',
        now: this.#now,
        random: () => 0.5,
        metrics: noMetrics,
        bus: {
          publish: async (events) => {
            this.#events.push(...events);
            return new Set(events.map(({ id }) => id));
          },
        },
      },
      { shard, idle_parents: [], ending_parents: {}, scanned_at: this.#now() },
    );
    const own = this.#renewals.slice(before).filter((one) => one.visit === actor);
    const ids = own.map(({ id }) => id);
    expect(new Set(ids).size, `${actor} renewed twice in round ${round}`).toBe(ids.length);
    expect(
      ids.filter((id) => gone.has(id)),
      'renewed after it was removed',
    ).toEqual([]);
  }

  /** While the clock stands still no claim runs out, so nobody may renew what another has claimed or renewed. */
  #checkRenewedOnce(): void {
    if (this.#leapt > 0) return;
    const ids = this.#renewals.map(({ id }) => id);
    expect(new Set(ids).size, 'a lease was renewed twice').toBe(ids.length);
  }

  async #checkAfterwards(): Promise<void> {
    // Past every claim.
    this.#leapt += 1_000_000;
    const last = 'last worker';
    this.#conductor.start(last, () => this.#work(last));
    await this.#conductor.play();
    const store = new FolderStore(this.#world.vault, this.#world.stateMount, this.#folder);
    const scanned = await this.#book(store).scan();
    expect(scanned.filter(({ fresh }) => fresh)).toEqual([]);
    const entries = scanned.flatMap((one) => one.entries);
    const ids = entries.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of this.#added) {
      if (this.#removing.has(id)) continue;
      expect(ids, 'an entry was lost').toContain(id);
      expect(entries.find((one) => one.id === id)?.due).toBeGreaterThan(this.#now());
      expect(this.#renewals.map((one) => one.id)).toContain(id);
    }
    for (const id of this.#removed) expect(ids, 'an entry was brought back').not.toContain(id);
    for (const id of this.#replaced) expect(ids, 'a replaced lease was not retired').not.toContain(id);
    expect(this.#events.map(({ type }) => type)).toEqual([]);
  }
}
