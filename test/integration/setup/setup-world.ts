import { inject } from 'vitest';
import type { Layout, ManagedAccess, SetupOptions } from '../../../lib/host/setup/options.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { type Vault, VaultClient, type VaultMethod } from '../../../lib/vault/client.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { type Admin, admin, uniqueName } from '../../support/admin.ts';

export const LAYOUTS = ['prefix', 'namespace'] as const;

/** A namespace of OpenBao's that stands for a whole Vault: its own mounts, policies and tokens. */
export interface SetupWorld {
  readonly admin: Admin;
  readonly client: VaultClient;
  readonly vault: Vault;
  readonly rootToken: Secret;
  /** What stands for the root namespace. */
  readonly root: string;
  readonly options: SetupOptions;
  readonly managed: ManagedAccess;
  /** Requests that were not GET or LIST since the last call. */
  takeWrites(): readonly string[];
  close(): Promise<void>;
}

/** Mounts as the sample has them, nothing of Leasekeeper yet. */
export async function createSetupWorld(layout: Layout): Promise<SetupWorld> {
  const root = uniqueName('root');
  const namespace = `${root}/lotabots`;
  const administrator = admin(inject);
  const { request, address, rootToken } = administrator;
  await request('POST', `sys/namespaces/${root}`, {});
  if (layout === 'namespace') await request('POST', `${root}/sys/namespaces/lotabots`, {});
  const mountAt = (name: string) =>
    layout === 'namespace' ? `${namespace}/sys/mounts/${name}` : `${root}/sys/mounts/lotabots/${name}`;
  await request('POST', mountAt('app'), { type: 'kv', options: { version: '2' } });
  await request('POST', mountAt('database'), { type: 'database' });
  const writes: string[] = [];
  const isRead = (method: VaultMethod) => method === 'GET' || method === 'LIST';
  const client = new VaultClient({
    transport: createTransport({ address }),
    onExchange: ({ method, path }) => {
      if (!isRead(method)) writes.push(`${method} ${path}`);
    },
  });
  const token = new Secret(rootToken);
  const managed: ManagedAccess = {
    name: 'app-database',
    publish: { mount: `${namespace}/app`, path: 'database' },
    consumers: ['app'],
    rights: [],
    attempt: {
      tokenRole: 'leasekeeper-app-database',
      rights: [{ under: 'namespace', path: 'database/creds/app', capabilities: ['read'] }],
    },
  };
  return {
    admin: administrator,
    client,
    vault: actingWith(client, token),
    rootToken: token,
    root,
    managed,
    options: {
      namespace,
      authNamespace: root,
      layout,
      state: `${root}/leasekeeper`,
      maxVersions: 4,
      shards: { leases: 4, rotations: 1, deliveries: 1 },
      tokenTtlSeconds: 3_600,
      appRole: { mount: 'approle', secretIdTtlSeconds: 3_600 },
      managed: [managed],
      templates: await readPolicyTemplates(),
    },
    takeWrites: () => writes.splice(0),
    close: () => client.close(),
  };
}
