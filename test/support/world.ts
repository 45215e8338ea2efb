import { inject } from 'vitest';
import { Book, type BookKind } from '../../lib/agenda/book.ts';
import { DELIVERIES, type Hint, ROTATIONS } from '../../lib/agenda/hint.ts';
import type { AgendaEntry } from '../../lib/agenda/shard.ts';
import type { Bus } from '../../lib/bus/bus.ts';
import type { LeasekeeperEvent } from '../../lib/bus/events.ts';
import type { LeasePolicy } from '../../lib/leases/decide.ts';
import { type CareEntry, LEASES } from '../../lib/leases/entry.ts';
import { ManagedSecrets } from '../../lib/rotation/managed-secrets.ts';
import { runProbe } from '../../lib/rotation/probes/probe.ts';
import type { RotateDependencies } from '../../lib/rotation/rotate.ts';
import { leaseRotator } from '../../lib/rotation/rotators/lease.ts';
import type { SpecificationInput } from '../../lib/rotation/specification.ts';
import { noMetrics } from '../../lib/telemetry/no-metrics.ts';
import { Secret } from '../../lib/telemetry/secret.ts';
import { actingWith } from '../../lib/vault/acting-with.ts';
import { type Vault, VaultClient, type VaultExchange } from '../../lib/vault/client.ts';
import { KvStore } from '../../lib/vault/kv-store.ts';
import { Mounts } from '../../lib/vault/mounts.ts';
import { createTransport, type Transport } from '../../lib/vault/transport.ts';
import { admin, uniqueName } from './admin.ts';
import { withPostgres } from './postgres.ts';

export interface WorldOptions {
  /** `prefix`: mounts named `<namespace>/database`; `namespace`: a real namespace. */
  readonly layout?: 'prefix' | 'namespace';
  readonly leaseTtl?: string;
  readonly leaseMaxTtl?: string;
  readonly shards?: number;
}

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

/** Mounts, roles and books of one test file, on the shared servers. */
export async function createWorld(options: WorldOptions = {}): Promise<WorldDescription> {
  const { request, address, rootToken } = admin(inject);
  const postgres = inject('postgres');
  const namespace = uniqueName('ns');
  const stateMount = uniqueName('state');
  const rolePrefix = uniqueName('v');
  const real = options.layout === 'namespace';
  if (real) await request('POST', `sys/namespaces/${namespace}`, {});
  const within = real ? `${namespace}/` : '';
  const mountAt = (name: string) =>
    real ? `${namespace}/sys/mounts/${name}` : `sys/mounts/${namespace}/${name}`;
  await request('POST', mountAt('app'), { type: 'kv', options: { version: '2' } });
  await request('POST', mountAt('database'), { type: 'database' });
  await request('POST', `sys/mounts/${stateMount}`, { type: 'kv', options: { version: '2' } });
  await request('POST', `${stateMount}/config`, { cas_required: true, max_versions: 2 });
  await request('POST', `${namespace}/database/config/pg`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${postgres.host}:${postgres.port}/${postgres.database}`,
    username: postgres.user,
    password: postgres.password,
    username_template: `${rolePrefix}-{{random 16}}`,
    max_open_connections: 4,
  });
  await request('POST', `${namespace}/database/roles/app`, {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
    revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
    default_ttl: options.leaseTtl ?? '1h',
    max_ttl: options.leaseMaxTtl ?? '24h',
  });
  const attemptPolicy = uniqueName('attempt');
  await request('PUT', `${within}sys/policies/acl/${attemptPolicy}`, {
    policy: `path "${real ? '' : `${namespace}/`}database/creds/app" { capabilities = ["read"] }`,
  });
  await request('POST', `${within}auth/token/roles/leasekeeper-${namespace}`, {
    orphan: true,
    allowed_policies: [attemptPolicy],
    token_no_default_policy: true,
    renewable: true,
  });
  const world = {
    address,
    rootToken,
    namespace,
    stateMount,
    rolePrefix,
    postgres: { host: postgres.host, port: postgres.port, database: postgres.database },
  };
  const opened = openWorld(world);
  await opened.leases.create(options.shards ?? 2);
  await opened.rotations.create(1);
  await opened.deliveries.create(1);
  await opened.close();
  return world;
}

export interface OpenOptions {
  readonly now?: () => number;
  readonly random?: () => number;
  readonly transport?: (real: Transport) => Transport;
  readonly bus?: Bus;
  readonly policy?: LeasePolicy;
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
  readonly policy: LeasePolicy;
  readonly now: () => number;
  readonly close: () => Promise<void>;
}

export const TEST_POLICY: LeasePolicy = { scanIntervalMs: 5_000, lookAheadMs: 7_000 };

export function openWorld(world: WorldDescription, options: OpenOptions = {}): World {
  const exchanges: VaultExchange[] = [];
  const real = createTransport({ address: world.address });
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
  const published: LeasekeeperEvent[] = [];
  const bus: Bus = options.bus ?? {
    publish: async (events) => {
      published.push(...events);
      return new Set(events.map(({ id }) => id));
    },
  };
  const rotator = leaseRotator({
    client,
    vault,
    leases,
    policy,
    namespace: world.namespace,
    authNamespace: '',
    runProbe,
    now,
  });
  const rotate: RotateDependencies = {
    secrets,
    store,
    vault,
    mounts,
    namespace: world.namespace,
    rotatorOf: () => rotator,
    bus,
    metrics: noMetrics,
    now,
    random,
    book: rotations,
    onError: (error) => {
      throw error;
    },
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
    policy,
    now,
    close: () => client.close(),
  };
}

/** A specification of kind `lease` that works in a world. */
export function leaseSpecification(
  world: WorldDescription,
  changes: Partial<SpecificationInput> = {},
): SpecificationInput {
  return {
    kind: 'lease',
    name: 'app-database',
    source: 'database/creds/app',
    publish: 'app/database',
    token_role: `leasekeeper-${world.namespace}`,
    grace: '10s',
    deadline: '60s',
    test: { kind: 'postgres', ...world.postgres, tls: false },
    ...changes,
  };
}

/** The PostgreSQL roles that Vault made in this world and that are still there. */
export async function liveRoles(world: WorldDescription): Promise<readonly string[]> {
  return withPostgres(inject, async (client) => {
    const { rows } = await client.query<{ rolname: string }>(
      'SELECT rolname FROM pg_roles WHERE rolname LIKE $1',
      [`${world.rolePrefix}-%`],
    );
    return rows.map(({ rolname }) => rolname).sort();
  });
}
