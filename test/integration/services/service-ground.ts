import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject } from 'vitest';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';
import { readPolicyFile } from '../../../lib/host/setup/policy-files.ts';
import { renderPolicy } from '../../../lib/host/setup/render-policy.ts';
import {
  type AuditLine,
  createAudit,
  SecretsManager,
  type SecretsManagerOptions,
} from '../../../lib/index.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { adminOf } from '../../support/admin.ts';
import { type OwnServer, startOwnServer } from '../../support/own-server.ts';

/**
 * A Vault as the documents of `inference-service` and `api-gateway` take it for granted, by their own words: the namespace `lotabots`, the
 * policies byte for byte, service accounts. `namespace`: it is a real one; `prefix`: only the beginning of the names of mounts.
 */
export type Layout = 'prefix' | 'namespace';
export type ServiceName = 'inference-service' | 'api-gateway';

export const NVIDIA_KEY = 'nvapi-canary-5b0e';
export const API_KEY = 'gateway-canary-77aa';
export const MODEL_KEY = 'model-canary-91cd';

export interface ServiceGround {
  readonly layout: Layout;
  readonly kvVersion: 1 | 2;
  readonly audited: AuditLine[];
  /** Paths of requests to Vault, in order. */
  readonly requests: string[];
  /** A manager as the service makes it. */
  manager(service: ServiceName, options?: SecretsManagerOptions): SecretsManager;
  /** Where the kubelet would have mounted the service account's token. */
  tokenFile(service: ServiceName): string;
  put(place: string, data: Readonly<Record<string, unknown>>): Promise<void>;
  /** Ends the managers that were made. */
  cleanUp(): Promise<void>;
  close(): Promise<void>;
}

export interface ServiceServer {
  readonly server: OwnServer;
  readonly reviews: TokenReviewServer;
  lay(layout: Layout, kvVersion: 1 | 2): Promise<ServiceGround>;
  stop(): Promise<void>;
}

/** A server of its own: `lotabots` is meant literally. */
export async function startServiceServer(): Promise<ServiceServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-services-'));
  const [server, reviews] = await Promise.all([
    startOwnServer(inject('binaries').openbao),
    startTokenReview({ dataDir: path.join(folder, 'reviews') }),
  ]);
  return {
    server,
    reviews,
    lay: async (layout, kvVersion) => layGround({ server, reviews, folder, layout, kvVersion }),
    stop: async () => {
      await reviews.stop();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

interface Laying {
  readonly server: OwnServer;
  readonly reviews: TokenReviewServer;
  readonly folder: string;
  readonly layout: Layout;
  readonly kvVersion: 1 | 2;
}

async function layGround({ server, reviews, folder, layout, kvVersion }: Laying): Promise<ServiceGround> {
  const { request } = adminOf(server.current());
  const { address } = server.current();
  if (layout === 'namespace') await request('POST', 'sys/namespaces/lotabots', {});
  const mountAt = layout === 'namespace' ? 'lotabots/sys/mounts/' : 'sys/mounts/lotabots/';
  const mounts: Record<string, object> = {
    'inference-service': { type: 'kv', options: { version: '2' } },
    'api-gateway': { type: 'kv', options: { version: String(kvVersion) } },
    nvidia: { type: 'kv', options: { version: String(kvVersion) } },
    shared: { type: 'kv', options: { version: String(kvVersion) } },
    database: { type: 'database' },
  };
  for (const [name, body] of Object.entries(mounts)) await request('POST', `${mountAt}${name}`, body);
  const put: ServiceGround['put'] = async (place, data) => {
    const [mount = '', ...rest] = place.split('/');
    const isSecond = mount === 'inference-service' || kvVersion === 2;
    await request(
      'PUT',
      `lotabots/${mount}/${isSecond ? 'data/' : ''}${rest.join('/')}`,
      isSecond ? { data } : data,
    );
  };
  await put('nvidia/api-key', { api_key: NVIDIA_KEY });
  await put('api-gateway/api-key', { api_key: API_KEY });
  await put('inference-service/model-credentials', { api_key: MODEL_KEY });
  await put('shared/telemetry', { endpoint: 'https://telemetry.example' });
  await layDatabase(server);
  await layLogins(server, reviews);
  const tokenFile = (service: ServiceName) => path.join(folder, `${service}.jwt`);
  for (const name of ['inference-service', 'api-gateway'] as const) {
    await writeFile(tokenFile(name), (await reviews.sign({ namespace: 'lotabots', name })).expose());
  }
  let managers: SecretsManager[] = [];
  const cleanUp = async () => {
    await Promise.all(managers.map((manager) => manager.cleanup()));
    managers = [];
  };
  const audited: AuditLine[] = [];
  const requests: string[] = [];
  return {
    layout,
    kvVersion,
    audited,
    requests,
    put,
    tokenFile,
    manager: (service, options = {}) => {
      const real = createTransport({ address });
      const manager = new SecretsManager({
        env: { VAULT_ADDR: address },
        service,
        serviceAccountTokenFile: tokenFile(service),
        audit: createAudit({ write: (line) => audited.push(line) }),
        transport: {
          exchange: (exchange) => {
            requests.push(exchange.path);
            return real.exchange(exchange);
          },
          close: () => real.close(),
        },
        ...options,
      });
      managers.push(manager);
      return manager;
    },
    cleanUp,
    close: async () => {
      await cleanUp();
      if (layout === 'namespace') await request('DELETE', 'sys/namespaces/lotabots');
      else for (const name of Object.keys(mounts)) await request('DELETE', `${mountAt}${name}`);
      await request('DELETE', 'sys/auth/kubernetes');
    },
  };
}

async function layDatabase(server: OwnServer): Promise<void> {
  const { request } = adminOf(server.current());
  const { host, port, database, user, password } = inject('postgres');
  await request('POST', 'lotabots/database/config/gateway', {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}?sslmode=disable`,
    username: user,
    password,
  });
  await request('POST', 'lotabots/database/roles/api-gateway', {
    db_name: 'gateway',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
    revocation_statements: 'DROP ROLE IF EXISTS "{{name}}"',
    default_ttl: '6s',
    max_ttl: '11s',
  });
}

/** The policies as the services' documents have them, and one more for what api-gateway's document does and its policy does not allow. */
async function layLogins(server: OwnServer, reviews: TokenReviewServer): Promise<void> {
  const { request } = adminOf(server.current());
  await request('PUT', 'sys/policies/acl/inference-service', {
    policy: await readPolicyFile('inference-service'),
  });
  await request('PUT', 'sys/policies/acl/api-gateway', { policy: await readPolicyFile('api-gateway') });
  await request('PUT', 'sys/policies/acl/api-gateway-database', {
    policy: renderPolicy(await readPolicyFile('api-gateway-database'), { namespace: 'lotabots' }),
  });
  await request('POST', 'sys/auth/kubernetes', { type: 'kubernetes' });
  await request('POST', 'auth/kubernetes/config', {
    kubernetes_host: reviews.url,
    kubernetes_ca_cert: 'none',
    disable_local_ca_jwt: true,
  });
  const role = (name: ServiceName, policies: readonly string[]) =>
    request('POST', `auth/kubernetes/role/${name}`, {
      bound_service_account_names: [name],
      bound_service_account_namespaces: ['lotabots'],
      audience: 'vault',
      token_policies: policies,
      token_ttl: '1h',
    });
  await role('inference-service', ['inference-service']);
  await role('api-gateway', ['api-gateway', 'api-gateway-database']);
}
