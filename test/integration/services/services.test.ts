import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import type { SecretsManager } from '../../../lib/index.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import { adminOf } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { consume } from '../secrets-manager/consumer.ts';
import { listening } from '../secrets-manager/listening.ts';
import {
  API_KEY,
  type Layout,
  MODEL_KEY,
  NVIDIA_KEY,
  type ServiceGround,
  type ServiceServer,
  startServiceServer,
} from './service-ground.ts';

/** What the documents of `inference-service` and `api-gateway` say, sentence by sentence: docs/services.md names the tests. */
const CREDS = 'database/creds/api-gateway';
const grounds: readonly [Layout, 1 | 2][] = [
  ['prefix', 2],
  ['namespace', 1],
];

let services: ServiceServer;
beforeAll(async () => {
  services = await startServiceServer();
}, 60_000);
afterAll(() => services.stop());

describe.each(grounds)('lotabots as a %s, KV version %i', (layout, kvVersion) => {
  let ground: ServiceGround;
  beforeAll(async () => {
    ground = await services.lay(layout, kvVersion);
  });
  afterEach(() => ground.cleanUp());
  afterAll(() => ground.close());

  describe('inference-service', () => {
    it('usage example', async () => {
      const secretsManager = ground.manager('inference-service');
      await secretsManager.init();
      try {
        const nvidiaKey = await secretsManager.getSecret('nvidia/api-key');
        const modelCredentials = await secretsManager.getDynamicSecret('inference-service/model-credentials');
        expect(nvidiaKey.data.get('api_key')).toBe(NVIDIA_KEY);
        expect(modelCredentials.data.get('api_key')).toBe(MODEL_KEY);
      } finally {
        await secretsManager.cleanup();
      }
    });

    it('secret paths: its own, the shared ones, and NVIDIA keys; none of another service', async () => {
      const manager = ground.manager('inference-service');
      await expect(manager.getSecret('inference-service/model-credentials')).resolves.toBeDefined();
      await expect(manager.getSecret('shared/telemetry')).resolves.toBeDefined();
      await expect(manager.getSecret('nvidia/api-key')).resolves.toBeDefined();
      await expect(manager.getSecret('api-gateway/api-key')).rejects.toMatchObject({ code: 'vault_denied' });
      await expect(manager.getDynamicSecret(CREDS)).rejects.toMatchObject({ code: 'vault_denied' });
    });

    it('secret caching: one request within the TTL, however often it is asked for', async () => {
      const manager = ground.manager('inference-service');
      await manager.init();
      ground.requests.length = 0;
      for (let turn = 0; turn < 10; turn += 1) await manager.getSecret('nvidia/api-key');
      expect(ground.requests.filter((path) => path.startsWith('/v1/lotabots/'))).toHaveLength(1);
    });

    it('async support: many secrets at once, each asked for once', async () => {
      const manager = ground.manager('inference-service');
      ground.requests.length = 0;
      const paths = ['nvidia/api-key', 'shared/telemetry', 'inference-service/model-credentials'];
      await Promise.all([...paths, ...paths, ...paths].map((path) => manager.getSecret(path)));
      // One login, a look at each of three mounts, a read of each path.
      expect(ground.requests).toHaveLength(7);
    });

    it('metrics: all four names, in the form that Prometheus reads', async () => {
      const manager = ground.manager('inference-service', { retry: { attempts: 1 } });
      await manager.getSecret('nvidia/api-key');
      await manager.getSecret('nvidia/api-key');
      const text = await manager.metrics();
      expect(text).toMatch(/^vault_secret_requests_total\{[^}]*path="nvidia\/api-key"[^}]*\} 2$/m);
      expect(text).toMatch(/^vault_secret_cache_hits_total\{[^}]*path="nvidia\/api-key"[^}]*\} 1$/m);
      expect(text).toContain('# TYPE vault_lease_renewal_errors_total counter');
      expect(text).toContain('# TYPE vault_auth_failures_total counter');
      const nobody = ground.manager('inference-service', { role: 'of-nobody', retry: { attempts: 1 } });
      await expect(nobody.init()).rejects.toBeInstanceOf(VaultError);
      expect(await nobody.metrics()).toMatch(
        /^vault_auth_failures_total\{[^}]*method="kubernetes"[^}]*\} 1$/m,
      );
    });

    it('error handling: an error that says what and what to do, and the service goes on', async () => {
      const manager = ground.manager('inference-service');
      let told: unknown;
      try {
        await manager.getSecret('nvidia/none');
      } catch (error) {
        told = error;
      }
      expect(told).toMatchObject({ code: 'vault_not_found', hint: expect.any(String) });
      expect((await manager.getSecret('nvidia/api-key')).data.get('api_key')).toBe(NVIDIA_KEY);
    });

    it('resource cleanup: its token no longer works, and it may be cleaned up before it was ever used', async () => {
      const manager = ground.manager('inference-service');
      await manager.init();
      await manager.cleanup();
      await expect(manager.getSecret('nvidia/api-key')).rejects.toMatchObject({
        code: 'secrets_manager_closed',
      });
      expect(ground.requests.at(-1)).toBe('/v1/auth/token/revoke-self');
      await expect(ground.manager('inference-service').cleanup()).resolves.toBeUndefined();
    });
  });

  describe('api-gateway', () => {
    it('usage example', async () => {
      await using secretsManager: SecretsManager = ground.manager('api-gateway');
      const apiKey = await secretsManager.getSecret('api-gateway/api-key');
      const dbCreds = await secretsManager.getDynamicSecret(CREDS);
      expect(apiKey.data.get('api_key')).toBe(API_KEY);
      const login = { user: dbCreds.data.get('username'), password: dbCreds.data.get('password') };
      await withPostgres(inject, (client) => client.query('SELECT 1'), login);
    });

    it('secret paths: its own, the shared ones, and the database; none of another service', async () => {
      const manager = ground.manager('api-gateway');
      await expect(manager.getSecret('api-gateway/api-key')).resolves.toBeDefined();
      await expect(manager.getSecret('shared/telemetry')).resolves.toBeDefined();
      await expect(manager.getDynamicSecret(CREDS)).resolves.toBeDefined();
      for (const path of ['nvidia/api-key', 'inference-service/model-credentials'])
        await expect(manager.getSecret(path)).rejects.toMatchObject({ code: 'vault_denied' });
    });

    it('lease management and rotation: leases are renewed, and replaced at their max TTL, under a consumer that never fails', async () => {
      const manager = ground.manager('api-gateway', { overlapMs: 500 });
      const told = listening(manager);
      const consumer = consume(manager, CREDS);
      await until(() => told.rotated.length >= 1 && told.renewed.length >= 1, 40_000);
      await consumer.stop();
      expect(consumer.failures).toEqual([]);
      expect(told.lost).toEqual([]);
      expect(told.fault).toEqual([]);
      // To be monitored: an end that is fixed is told before it comes.
      expect(told.expiring.length).toBeGreaterThanOrEqual(1);
    });

    it('metrics: a lease that cannot be renewed is counted, and told to the service', async () => {
      const manager = ground.manager('api-gateway', { retry: { attempts: 1 } });
      const told = listening(manager);
      const { leaseId } = await manager.getDynamicSecret(CREDS);
      const leases = layout === 'prefix' ? 'sys/leases' : 'lotabots/sys/leases';
      const { request } = adminOf(services.server.current());
      await request('PUT', `${leases}/revoke`, { lease_id: leaseId, sync: true });
      await until(() => told.lost.length === 1, 20_000);
      expect(await manager.metrics()).toMatch(
        /^vault_lease_renewal_errors_total\{[^}]*reason="vault_lease_not_found"[^}]*\} 1$/m,
      );
    });

    it('audit logging: every access, by whom, and no value', async () => {
      const manager = ground.manager('api-gateway');
      ground.audited.length = 0;
      await manager.getSecret('api-gateway/api-key');
      await manager.getDynamicSecret(CREDS);
      await expect(manager.getSecret('nvidia/api-key')).rejects.toBeDefined();
      const lines = ground.audited.map(({ action, path, outcome }) => `${action} ${path} ${outcome}`);
      expect(lines).toEqual([
        'read api-gateway/api-key ok',
        `issue ${CREDS} ok`,
        `read ${CREDS} ok`,
        'read nvidia/api-key denied',
      ]);
      for (const { who } of ground.audited)
        expect(who).toMatchObject({
          role: 'api-gateway',
          service_account: 'lotabots/api-gateway',
          entity: expect.any(String),
        });
      expect(JSON.stringify(ground.audited)).not.toContain(API_KEY);
    });
  });

  it('Kubernetes authentication: a service account cannot log in to the role of another', async () => {
    const manager = ground.manager('api-gateway', {
      role: 'inference-service',
      retry: { attempts: 1 },
    });
    await expect(manager.init()).rejects.toMatchObject({ code: 'vault_denied' });
  });
});

it.each(['inference-service', 'api-gateway'])('the policy of %s is given word for word', async (service) => {
  const file = fileURLToPath(new URL(`../../../vault/policies/${service}.hcl`, import.meta.url));
  const rules = [
    ...(await readFile(file, 'utf8')).matchAll(/^path "([^"]+)" \{\n {2}capabilities = \["(\w+)"\]\n\}$/gm),
  ];
  const own =
    service === 'inference-service'
      ? ['lotabots/inference-service/*', 'lotabots/nvidia/*']
      : ['lotabots/api-gateway/*'];
  expect(Object.fromEntries(rules.map(([, path, capability]) => [path, capability]))).toEqual({
    ...Object.fromEntries(own.map((path) => [path, 'read'])),
    'lotabots/shared/*': 'read',
    'auth/token/renew-self': 'update',
    'sys/leases/renew': 'update',
    'sys/renew/*': 'update',
  });
});
