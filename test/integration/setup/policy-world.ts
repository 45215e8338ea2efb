import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject } from 'vitest';
import { readConfig } from '../../../lib/host/config.ts';
import type { FunctionName } from '../../../lib/host/identities.ts';
import { startOpenBao } from '../../../lib/host/local/openbao.ts';
import { applyPlan } from '../../../lib/host/setup/apply-plan.ts';
import { issueFunctionCredentials } from '../../../lib/host/setup/function-credentials.ts';
import type { Layout } from '../../../lib/host/setup/options.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { resolveManaged } from '../../../lib/host/setup/resolve.ts';
import type { Parts } from '../../../lib/host/wire.ts';
import { type SpecificationInput, specificationSchema } from '../../../lib/rotation/specification.ts';
import { createLogger } from '../../../lib/telemetry/log.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { joinPath } from '../../../lib/vault/addressing.ts';
import { appRoleAuth } from '../../../lib/vault/auth/approle.ts';
import { type Vault, VaultClient } from '../../../lib/vault/client.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { Mounts } from '../../../lib/vault/mounts.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { type Admin, adminOf } from '../../support/admin.ts';
import { Recorder } from './policy-probe.ts';

/** A Vault that `leasekeeper setup` has prepared, with a database and one managed secret. */
export interface PolicyWorld {
  readonly admin: Admin;
  /** Acting as root. */
  readonly vault: Vault;
  readonly store: KvStore;
  readonly authNamespace: string;
  readonly namespace: string;
  readonly specification: SpecificationInput;
  readonly client: VaultClient;
  /** The parts of a host that logs in as its functions, over a recording transport. */
  parts(): Promise<Parts & { readonly recorder: Recorder }>;
  close(): Promise<void>;
}

/** One whose values people supply. */
export const MANUAL = {
  kind: 'manual',
  name: 'app-manual',
  publish: 'app/manual',
  grace: '1s',
  deadline: '1s',
} as const satisfies SpecificationInput;

/** A server of its own: the functions' names, and those of their policies, are the same in every Vault. */
export async function createPolicyWorld(layout: Layout): Promise<PolicyWorld> {
  const server = await ownServer();
  const { address, rootToken } = server.openbao;
  const admin = adminOf({ address, rootToken });
  const authNamespace = '';
  const namespace = 'lotabots';
  const state = 'leasekeeper';
  if (layout === 'namespace') await admin.request('POST', `sys/namespaces/${namespace}`, {});
  await mountEngines(admin, layout, namespace);
  const client = new VaultClient({ transport: createTransport({ address }) });
  const vault = actingWith(client, new Secret(rootToken));
  const specification = specificationIn();
  const mounts = new Mounts(vault, layout === 'namespace' ? namespace : authNamespace);
  const plan = planSetup({
    namespace,
    authNamespace,
    layout,
    state,
    maxVersions: 4,
    shards: { leases: 1, rotations: 1, deliveries: 1 },
    tokenTtlSeconds: 3_600,
    appRole: { mount: 'approle', secretIdTtlSeconds: 3_600 },
    managed: await Promise.all(
      [specification, MANUAL].map((input) =>
        resolveManaged(mounts, namespace, specificationSchema.parse(input)),
      ),
    ),
    consumers: ['other'],
    templates: await readPolicyTemplates(),
  });
  await applyPlan(vault, plan, { update: false });
  const config = readConfig({
    VAULT_ADDR: address,
    VAULT_NAMESPACE: namespace,
    VAULT_AUTH_NAMESPACE: authNamespace,
    LEASEKEEPER_STATE_MOUNT: state,
    LEASEKEEPER_ROLE_ID: 'not used',
    LEASEKEEPER_SECRET_ID: 'not used',
    LEASEKEEPER_SCAN_INTERVAL: '1',
    LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1',
  });
  return {
    admin,
    vault,
    store: new KvStore(vault, state),
    authNamespace,
    namespace,
    client,
    specification,
    parts: async () => {
      const recorder = new Recorder(createTransport({ address }));
      const identities = new Map<FunctionName, ReturnType<typeof appRoleAuth>>();
      for (const name of ['scan', 'renew', 'rotate', 'notify', 'fetch', 'manage'] as const) {
        const options = { authNamespace, mount: 'approle', name };
        identities.set(
          name,
          appRoleAuth({ ...(await issueFunctionCredentials(vault, options)), authNamespace }),
        );
      }
      return {
        recorder,
        config,
        client: new VaultClient({ transport: recorder }),
        bus: { publish: async (events) => new Set(events.map(({ id }) => id)) },
        metrics: noMetrics,
        logger: createLogger({ level: 'silent', name: 'test' }),
        audit: () => {},
        random: Math.random,
        identityOf: (name) => {
          const identity = identities.get(name);
          if (identity === undefined) throw new Error(name);
          return identity;
        },
      };
    },
    close: async () => {
      await client.close();
      await server.stop();
    },
  };
}

/** Its consumer acknowledges; it is looked at again a second later. */
function specificationIn(): SpecificationInput {
  const { host, port, database } = inject('postgres');
  return {
    kind: 'lease',
    name: 'app-database',
    source: 'database/creds/app',
    publish: 'app/database',
    token_role: 'leasekeeper-app-database',
    grace: '1s',
    deadline: '1h',
    consumers: ['app'],
    verify_every: '1s',
    test: { kind: 'postgres', host, port, database, tls: false },
  };
}

async function ownServer() {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-policies-'));
  const openbao = await startOpenBao({ binary: inject('binaries').openbao, dataDir: folder });
  const stop = async () => {
    await openbao.stop();
    await rm(folder, { recursive: true });
  };
  return { openbao, stop };
}

async function mountEngines({ request }: Admin, layout: Layout, namespace: string): Promise<void> {
  const at = (mount: string) =>
    layout === 'namespace'
      ? joinPath(namespace, 'sys/mounts', mount)
      : joinPath('sys/mounts', namespace, mount);
  await request('POST', at('app'), { type: 'kv', options: { version: '2' } });
  await request('POST', at('database'), { type: 'database' });
  const { host, port, user, password, database } = inject('postgres');
  await request('POST', `${namespace}/database/config/postgres`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: ['app'],
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}?sslmode=disable`,
    username: user,
    password,
  });
  await request('POST', `${namespace}/database/roles/app`, {
    db_name: 'postgres',
    creation_statements: [
      `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
    ],
    default_ttl: 120,
    max_ttl: 600,
  });
}
