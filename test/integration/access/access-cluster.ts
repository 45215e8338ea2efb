import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject } from 'vitest';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';
import { admin, uniqueName } from '../../support/admin.ts';

/** A cluster whose service accounts log in to Vault, at one mount of the kubernetes method. */
export interface AccessCluster {
  readonly mount: string;
  readonly server: TokenReviewServer;
  /** Makes a Vault role for one service account, or changes it. */
  role(name: string, account: string, policies: readonly string[], mount?: string): Promise<void>;
  /** A further mount where the same service accounts log in. */
  addMount(): Promise<string>;
  /** A token of a service account; each call gives another one. */
  jwt(account: string, expiresInSeconds?: number): Promise<string>;
  close(): Promise<void>;
}

export async function createAccessCluster(): Promise<AccessCluster> {
  const { request } = admin(inject);
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-access-'));
  const server = await startTokenReview({ dataDir: folder });
  const addMount = async () => {
    const mount = uniqueName('kubernetes');
    await request('POST', `sys/auth/${mount}`, { type: 'kubernetes' });
    await request('POST', `auth/${mount}/config`, {
      kubernetes_host: server.url,
      disable_local_ca_jwt: true,
      kubernetes_ca_cert: 'none',
    });
    return mount;
  };
  const first = await addMount();
  let issued = 0;
  return {
    mount: first,
    server,
    addMount,
    role: async (name, account, policies, mount = first) => {
      await request('POST', `auth/${mount}/role/${name}`, {
        bound_service_account_names: [account],
        bound_service_account_namespaces: ['apps'],
        audience: 'vault',
        token_policies: policies,
      });
    },
    jwt: async (name, expiresInSeconds = 3_600) => {
      issued += 1;
      const account = { namespace: 'apps', name, expiresInSeconds: expiresInSeconds + issued };
      return (await server.sign(account)).expose();
    },
    close: async () => {
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}

/** The headers of a service account that asks. */
export function shown(bearer: string, role: string, mount?: string) {
  const at = mount === undefined ? {} : { 'x-vault-auth-mount': mount };
  return { headers: { authorization: `Bearer ${bearer}`, 'x-vault-role': role, ...at } };
}
