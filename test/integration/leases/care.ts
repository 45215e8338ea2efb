import * as z from 'zod';
import type { LeasekeeperEvent } from '../../../lib/bus/events.ts';
import { leaseEntryOf, tokenEntryOf } from '../../../lib/leases/adopt.ts';
import type { LeasePolicy } from '../../../lib/leases/decide.ts';
import { type CareEntry, type LeaseEntry, type TokenEntry, tokenEntryId } from '../../../lib/leases/entry.ts';
import { type RenewReport, renewShard } from '../../../lib/leases/renew.ts';
import { type ScanReport, scanBooks } from '../../../lib/leases/scan.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import type { Vault } from '../../../lib/vault/client.ts';
import { issueDynamic } from '../../../lib/vault/secrets.ts';
import { adminOf } from '../../support/admin.ts';
import { type OpenOptions, openWorld, type World, type WorldDescription } from '../../support/world.ts';

const authSchema = z.object({ auth: z.object({ client_token: z.string(), accessor: z.string() }) });

export interface CareOptions {
  readonly policy?: LeasePolicy;
  readonly clock?: { now: number };
  readonly transport?: OpenOptions['transport'];
}

/** One worker on the book `leases` of a world, with a clock that is set by hand and a bus that keeps what it is given. */
export function openCare(described: WorldDescription, options: CareOptions = {}) {
  const clock = options.clock ?? { now: Date.now() };
  const world = openWorld(described, {
    now: () => clock.now,
    random: () => 0.5,
    ...(options.policy && { policy: options.policy }),
    ...(options.transport && { transport: options.transport }),
  });
  return new Care(world, clock);
}

export class Care {
  readonly world: World;
  readonly clock: { now: number };

  constructor(world: World, clock: { now: number }) {
    this.world = world;
    this.clock = clock;
  }

  /** A lease as Vault grants it, its entry due at once. It is put under care unless told otherwise. */
  async issue(role = 'app', changes: Partial<LeaseEntry> = {}): Promise<LeaseEntry> {
    const path = `${this.world.namespace}/database/creds/${role}`;
    const issued = await issueDynamic(this.world.vault, path);
    const entry = leaseEntryOf(
      {
        leaseId: issued.leaseId,
        namespace: '',
        path,
        consumer: 'api-gateway',
        ttlSeconds: issued.leaseDurationSeconds,
        renewable: issued.renewable,
      },
      this.clock.now,
      this.world.policy,
    );
    const changed = { ...entry, due: this.clock.now, ...changes };
    await this.world.leases.add(changed);
    return changed;
  }

  /** A parent token under care, its entry due at once. */
  async token(changes: Partial<TokenEntry> = {}, body: object = { ttl: '1h' }): Promise<TokenEntry> {
    const { auth } = await adminOf(this.world).read(authSchema, 'POST', 'auth/token/create-orphan', body);
    const parent = { accessor: auth.accessor, namespace: '', ttlSeconds: 3_600, renewable: true };
    const expiresAt = this.clock.now + 3_600_000;
    const entry = tokenEntryOf({ ...parent, expiresAt }, this.clock.now, this.world.policy);
    const changed = { ...entry, due: this.clock.now, ...changes };
    await this.world.leases.add(changed);
    return changed;
  }

  /** What `renew` does with one shard. */
  visit(
    shard: number,
    with_: { readonly vault?: Vault; readonly command?: object } = {},
  ): Promise<RenewReport> {
    const { vault, leases: book, policy } = this.world;
    return renewShard(
      {
        vault: with_.vault ?? vault,
        book,
        policy,
        authNamespace: '',
        bus: { publish: (events) => this.publish(events) },
        metrics: noMetrics,
        now: () => this.clock.now,
        random: () => 0.5,
      },
      { shard, idle_parents: [], ending_parents: {}, scanned_at: this.clock.now, ...with_.command },
    );
  }

  async publish(events: readonly LeasekeeperEvent[]): Promise<ReadonlySet<string>> {
    this.world.published.push(...events);
    return new Set(events.map(({ id }) => id));
  }

  /** What `scan` does, and then `renew` with each shard it names. */
  async scanAndVisit(): Promise<{ readonly scan: ScanReport; readonly visits: readonly RenewReport[] }> {
    const commands: LeasekeeperEvent[] = [];
    const scan = await this.scan(commands);
    const visits: RenewReport[] = [];
    for (const command of commands) {
      if (command.type === 'leases.due')
        visits.push(await this.visit(command.data.shard, { command: command.data }));
    }
    return { scan, visits };
  }

  scan(commands: LeasekeeperEvent[], mostShards?: number): Promise<ScanReport> {
    const { leases, rotations, deliveries, policy } = this.world;
    return scanBooks({
      leases,
      rotations,
      deliveries,
      policy,
      metrics: noMetrics,
      now: () => this.clock.now,
      ...(mostShards === undefined ? {} : { mostShards }),
      bus: {
        publish: async (events) => {
          commands.push(...events);
          return new Set(events.map(({ id }) => id));
        },
      },
    });
  }

  async entry(id: string): Promise<CareEntry | undefined> {
    const shards = await this.world.leases.scan();
    return shards.flatMap(({ entries }) => entries).find((entry) => entry.id === id);
  }

  lease(id: string): Promise<LeaseEntry | undefined> {
    return this.entry(id).then((entry) => (entry?.kind === 'lease' ? entry : undefined));
  }

  tokenOf(accessor: string): Promise<CareEntry | undefined> {
    return this.entry(tokenEntryId(accessor));
  }

  /** Types of the outcomes published so far, oldest first. */
  told(): readonly string[] {
    return this.world.published.map(({ type }) => type);
  }

  /** How many requests of one kind reached Vault. */
  count(end: string): number {
    return this.world.exchanges.filter(({ path }) => path.endsWith(end)).length;
  }
}
