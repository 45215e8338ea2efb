import { Book, type BookKind } from '../../lib/agenda/book.ts';
import { DELIVERIES, type Hint, ROTATIONS } from '../../lib/agenda/hint.ts';
import type { AgendaEntry } from '../../lib/agenda/shard.ts';
import type { Bus } from '../../lib/bus/bus.ts';
import type { LeasekeeperEvent } from '../../lib/bus/events.ts';
import type { LeasePolicy } from '../../lib/leases/decide.ts';
import { type CareEntry, LEASES } from '../../lib/leases/entry.ts';
import { gatherEvidence } from '../../lib/rotation/evidence/evidence.ts';
import { ManagedSecrets } from '../../lib/rotation/managed-secrets.ts';
import { type RunProbe, runProbe } from '../../lib/rotation/probes/probe.ts';
import type { RotateDependencies } from '../../lib/rotation/rotate.ts';
import { createHttpSender, type HttpSender } from '../../lib/rotation/rotators/http/send-request.ts';
import type { RotatorDependencies } from '../../lib/rotation/rotators/kind.ts';
import { openRotators } from '../../lib/rotation/rotators/kinds.ts';
import { noMetrics } from '../../lib/telemetry/no-metrics.ts';
import { Secret } from '../../lib/telemetry/secret.ts';
import { actingWith } from '../../lib/vault/acting-with.ts';
import { type Vault, VaultClient, type VaultExchange } from '../../lib/vault/client.ts';
import { KvStore } from '../../lib/vault/kv-store.ts';
import { Mounts } from '../../lib/vault/mounts.ts';
import { createTransport, type Transport } from '../../lib/vault/transport.ts';

/** What another process needs to work in the same world. */
export interface WorldDescription {
  readonly address: string;
  readonly rootToken: string;
  readonly namespace: string;
  readonly stateMount: string;
  /** Every PostgreSQL role made here begins so. */
  readonly rolePrefix: string;
  readonly postgres: { readonly host: string; readonly port: number; readonly database: string };
}

export interface OpenOptions {
  readonly now?: () => number;
  readonly random?: () => number;
  readonly transport?: (real: Transport) => Transport;
  readonly bus?: Bus;
  readonly policy?: LeasePolicy;
  readonly http?: (real: HttpSender) => HttpSender;
  readonly runProbe?: RunProbe;
  /** Default: a fault that does not stop the work stops the test. */
  readonly onError?: (error: unknown) => void;
}

/** Everything the rooms need, as root and without a host: what the tests of the rooms work with. */
export interface World extends WorldDescription {
  readonly client: VaultClient;
  readonly vault: Vault;
  readonly store: KvStore;
  readonly mounts: Mounts;
  readonly leases: Book<CareEntry>;
  readonly rotations: Book<Hint>;
  readonly deliveries: Book<Hint>;
  readonly secrets: ManagedSecrets;
  readonly published: LeasekeeperEvent[];
  readonly exchanges: VaultExchange[];
  readonly rotate: RotateDependencies;
  readonly rotators: RotatorDependencies;
  readonly policy: LeasePolicy;
  readonly now: () => number;
  readonly close: () => Promise<void>;
}

export const TEST_POLICY: LeasePolicy = { scanIntervalMs: 5_000, lookAheadMs: 7_000 };

export function openWorld(world: WorldDescription, options: OpenOptions = {}): World {
  const exchanges: VaultExchange[] = [];
  const real = createTransport({ address: world.address, answerTimeoutMs: 10_000 });
  const client = new VaultClient({
    transport: options.transport?.(real) ?? real,
    onExchange: (exchange) => exchanges.push(exchange),
  });
  const vault = actingWith(client, new Secret(world.rootToken));
  const store = new KvStore(vault, world.stateMount);
  const now = options.now ?? (() => vault.now());
  const random = options.random ?? Math.random;
  const policy = options.policy ?? TEST_POLICY;
  const bookOf = <E extends AgendaEntry>(kind: BookKind<E>) => new Book<E>({ kind, store, now, random });
  const leases = bookOf(LEASES);
  const rotations = bookOf(ROTATIONS);
  const deliveries = bookOf(DELIVERIES);
  const secrets = new ManagedSecrets({ store, book: rotations, now });
  const mounts = new Mounts(vault);
  const sender = createHttpSender({ now });
  const published: LeasekeeperEvent[] = [];
  const bus: Bus = options.bus ?? {
    publish: async (events) => {
      published.push(...events);
      return new Set(events.map(({ id }) => id));
    },
  };
  const rotators: RotatorDependencies = {
    client,
    vault,
    mounts,
    store,
    leases,
    policy,
    http: options.http?.(sender) ?? sender,
    namespace: world.namespace,
    authNamespace: '',
    now,
    random,
  };
  const rotate: RotateDependencies = {
    secrets,
    store,
    vault,
    mounts,
    namespace: world.namespace,
    runProbe: options.runProbe ?? runProbe,
    gatherEvidence,
    rotatorOf: openRotators(rotators),
    bus,
    metrics: noMetrics,
    now,
    random,
    book: rotations,
    onError:
      options.onError ??
      ((error) => {
        throw error;
      }),
  };
  return {
    ...world,
    client,
    vault,
    store,
    mounts,
    leases,
    rotations,
    deliveries,
    secrets,
    published,
    exchanges,
    rotate,
    rotators,
    policy,
    now,
    close: async () => {
      await sender.close();
      await client.close();
    },
  };
}
