import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { authMethodOf } from '../../lib/secrets-manager/auth-configuration.ts';
import { caCertificateOf, configurationOf } from '../../lib/secrets-manager/configuration.ts';
import { SecretsManager } from '../../lib/secrets-manager/secrets-manager.ts';
import { VaultClient } from '../../lib/vault/client.ts';
import type { TransportRequest } from '../../lib/vault/transport.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-configuration-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('configurationOf', () => {
  test('the defaults that the services’ documents name', () => {
    expect(configurationOf({}, {})).toMatchObject({
      address: 'http://vault.lotabots.svc:8200',
      role: 'inference-service',
      namespace: 'lotabots',
      authNamespace: '',
      authMount: 'kubernetes',
      serviceAccountTokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
      cacheTtlMs: 300_000,
      staleMs: 300_000,
      maxEntries: 1_000,
    });
  });

  test('a service that says its name logs in to its own role, unless VAULT_ROLE names another', () => {
    const role = (env: Record<string, string>) => configurationOf({ service: 'api-gateway' }, env).role;
    expect(role({})).toBe('api-gateway');
    expect(role({ VAULT_ROLE: 'gateway-canary' })).toBe('gateway-canary');
  });

  test('options come before the environment, which comes before the defaults', () => {
    const env = {
      VAULT_ADDR: 'https://vault.example:8200',
      VAULT_ROLE: 'api-gateway',
      VAULT_NAMESPACE: '/team/a/',
      VAULT_AUTH_NAMESPACE: 'root',
      VAULT_CACERT: '/ca.pem',
      VAULT_TOKEN: '',
    };
    const configuration = configurationOf({ role: 'other', maxEntries: 5 }, env);
    expect(configuration).toMatchObject({
      address: 'https://vault.example:8200',
      role: 'other',
      namespace: 'team/a',
      authNamespace: '',
      caCertFile: '/ca.pem',
      maxEntries: 5,
    });
    expect(configuration.token).toBeUndefined();
    expect(configurationOf({ namespace: 'root' }, env).namespace).toBe('');
  });

  test('what is wrong is named, with its variable and without its value', () => {
    const wrong = () => configurationOf({ maxEntries: 0 }, { VAULT_ADDR: 'ftp://user:pw-canary@vault' });
    expect(wrong).toThrow(
      expect.objectContaining({
        code: 'secrets_manager_configuration_invalid',
        message: expect.stringMatching(/address \(VAULT_ADDR\): .*; maxEntries: /),
      }),
    );
    expect(wrong).not.toThrow(/pw-canary/);
    const misspelt = { maxEntries: 1, cacheTTL: 5 };
    expect(() => configurationOf(misspelt, {})).toThrow(/cacheTTL/);
  });

  test('acknowledging is off, or as one consumer', () => {
    expect(configurationOf({}, {}).acknowledge).toBeUndefined();
    expect(configurationOf({ acknowledge: { as: 'api-gateway' } }, {}).acknowledge).toEqual({
      as: 'api-gateway',
      stateMount: 'leasekeeper',
    });
    const within = { as: 'api-gateway', stateMount: '/team/leasekeeper/' };
    expect(configurationOf({ acknowledge: within }, {}).acknowledge?.stateMount).toBe('team/leasekeeper');
    expect(() => configurationOf({ acknowledge: { as: '../other' } }, {})).toThrow(
      /acknowledge: expected lower-case/,
    );
  });

  test('a token is kept as a secret', () => {
    const { token } = configurationOf({}, { VAULT_TOKEN: 's.canary' });
    expect(token?.expose()).toBe('s.canary');
    expect(JSON.stringify(token)).toBe('"[secret]"');
  });
});

test('VAULT_CACERT is read; a file that is not there is said', async () => {
  const file = path.join(folder, 'ca.pem');
  await writeFile(file, 'a certificate');
  expect(caCertificateOf(configurationOf({ caCertFile: file }, {}))).toBe('a certificate');
  expect(() => new SecretsManager({ caCertFile: `${file}.none`, env: {} })).toThrow(
    expect.objectContaining({ code: 'secrets_manager_configuration_invalid' }),
  );
});

describe('authMethodOf', () => {
  /** What a login sends, with an answer that nobody reads. */
  async function sentBy(settings: Parameters<typeof configurationOf>[0], times = 1) {
    const requests: TransportRequest[] = [];
    const client = new VaultClient({
      transport: {
        exchange: async (request) => {
          requests.push(request);
          return { status: 403, headers: {}, body: '{"errors":["permission denied"]}' };
        },
        close: async () => {},
      },
    });
    const method = authMethodOf(configurationOf(settings, {}));
    for (let i = 0; i < times; i += 1) await method.login(client).catch(() => undefined);
    return { name: method.name, requests, method, client };
  }

  test('Kubernetes, with the service account’s token read anew at each login', async () => {
    const file = path.join(folder, 'token');
    await writeFile(file, 'first\n');
    const { requests, method, client } = await sentBy({
      serviceAccountTokenFile: file,
      role: 'api-gateway',
      authNamespace: 'team',
    });
    await writeFile(file, 'second');
    await method.login(client).catch(() => undefined);
    expect(requests.map(({ path, body }) => [path, body])).toEqual([
      ['/v1/team/auth/kubernetes/login', '{"role":"api-gateway","jwt":"first"}'],
      ['/v1/team/auth/kubernetes/login', '{"role":"api-gateway","jwt":"second"}'],
    ]);
  });

  test('no token mounted is said plainly, with what to check', async () => {
    const { method, client } = await sentBy({ serviceAccountTokenFile: path.join(folder, 'none') }, 0);
    await expect(method.login(client)).rejects.toMatchObject({
      code: 'service_account_token_unreadable',
      hint: expect.stringContaining('mounted'),
    });
  });

  test('a token in place of a login', async () => {
    const { name, requests } = await sentBy({ token: 's.x' });
    expect(name).toBe('token');
    expect(requests.map(({ path }) => path)).toEqual(['/v1/auth/token/lookup-self']);
  });
});

test('a path is checked before anything is sent', async () => {
  const manager = new SecretsManager({
    env: {},
    transport: {
      exchange: () => Promise.reject(new Error('nothing may be sent')),
      close: async () => {},
    },
  });
  for (const path of ['', '/nvidia/api-key', 'a//b', '../x', 'a/../b', 'a?b', 'a%2fb', 'x'.repeat(513)]) {
    await expect(manager.getSecret(path)).rejects.toMatchObject({ code: 'secret_path_invalid' });
    await expect(manager.getDynamicSecret(path)).rejects.toMatchObject({ code: 'secret_path_invalid' });
  }
  const signal = AbortSignal.abort(new Error('enough'));
  await expect(manager.getSecret('a/b', { signal })).rejects.toThrow('enough');
  await manager.cleanup();
});
