import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { authMethodOf, clientCertificateOf } from '../../lib/secrets-manager/auth-configuration.ts';
import { configurationOf, type Environment } from '../../lib/secrets-manager/configuration.ts';
import { SecretsManager } from '../../lib/secrets-manager/secrets-manager.ts';
import { issue } from '../rotation/probes/certificates.ts';
import { askedBy, saidBy } from '../vault/auth/asked-login.ts';

let folder = '';
const files = { jwt: '', token: '', secretId: '', cert: '', key: '' };
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-auth-'));
  const { certificate, key } = issue();
  const contents = {
    jwt: 'head.body.sig\n',
    token: 's.in-file',
    secretId: 'from-file',
    cert: certificate,
    key,
  };
  for (const name of ['jwt', 'token', 'secretId', 'cert', 'key'] as const) {
    files[name] = path.join(folder, name);
    await writeFile(files[name], contents[name]);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Settings = Parameters<typeof configurationOf>[0];
const methodOf = (settings: Settings, env: Environment = {}) => authMethodOf(configurationOf(settings, env));
/** AWS's chain takes these from the process; here they are given by the environment of the test. */
const aws = { AWS_REGION: 'eu-central-1' };

describe('the choice of a login', () => {
  test.each<[string, () => Environment, string, Record<string, unknown>]>([
    ['kubernetes', () => ({}), 'auth/kubernetes/login', { role: 'inference-service', jwt: 'head.body.sig' }],
    [
      'kubernetes',
      () => ({ VAULT_AUTH_METHOD: 'kubernetes', VAULT_TOKEN: 's.given', VAULT_ROLE: 'app' }),
      'auth/kubernetes/login',
      { role: 'app', jwt: 'head.body.sig' },
    ],
    ['token', () => ({ VAULT_TOKEN: 's.given' }), 'auth/token/lookup-self', {}],
    ['token', () => ({ VAULT_AUTH_METHOD: 'token', VAULT_TOKEN: 's.given' }), 'auth/token/lookup-self', {}],
    [
      'token-file',
      () => ({ VAULT_AUTH_METHOD: 'token-file', VAULT_TOKEN_FILE: files.token }),
      'auth/token/lookup-self',
      {},
    ],
    [
      'jwt',
      () => ({ VAULT_AUTH_METHOD: 'jwt', VAULT_JWT_FILE: files.jwt, VAULT_ROLE: 'app' }),
      'auth/jwt/login',
      { role: 'app', jwt: 'head.body.sig' },
    ],
    [
      'approle',
      () => ({ VAULT_AUTH_METHOD: 'approle', VAULT_ROLE_ID: 'id', VAULT_SECRET_ID: 'given' }),
      'auth/approle/login',
      { role_id: 'id', secret_id: 'given' },
    ],
    [
      'approle',
      () => ({ VAULT_AUTH_METHOD: 'approle', VAULT_ROLE_ID: 'id', VAULT_SECRET_ID_FILE: files.secretId }),
      'auth/approle/login',
      { role_id: 'id', secret_id: 'from-file' },
    ],
    [
      'cert',
      () => ({
        VAULT_AUTH_METHOD: 'cert',
        VAULT_ADDR: 'https://vault.example.com',
        VAULT_CLIENT_CERT: files.cert,
        VAULT_CLIENT_KEY: files.key,
      }),
      'auth/cert/login',
      {},
    ],
    [
      'cert',
      () => ({
        VAULT_AUTH_METHOD: 'cert',
        VAULT_ADDR: 'https://vault.example.com',
        VAULT_CLIENT_CERT: files.cert,
        VAULT_CLIENT_KEY: files.key,
        VAULT_ROLE: 'web',
      }),
      'auth/cert/login',
      { name: 'web' },
    ],
  ])('%s from variables %#', async (name, env, asked, body) => {
    const settings = { serviceAccountTokenFile: files.jwt };
    const method = methodOf(settings, env());
    expect(method.name).toBe(name);
    expect(await askedBy(method)).toEqual({ path: `/v1/${asked}`, body });
    const elsewhere = { VAULT_AUTH_NAMESPACE: 'team/a', VAULT_NAMESPACE: 'team/b', VAULT_AUTH_MOUNT: 'mine' };
    expect((await askedBy(methodOf(settings, { ...env(), ...elsewhere }))).path).toBe(
      `/v1/team/a/${asked.startsWith('auth/token') ? asked : 'auth/mine/login'}`,
    );
  });

  test.each([
    ['aws-iam', { ...aws }, 'aws-iam'],
    ['aws-iam', {}, 'aws-iam'],
    ['aws-web-identity', { ...aws, VAULT_JWT_AUDIENCE: 'vault' }, 'aws-web-identity'],
    [
      'aws-web-identity',
      { AWS_DEFAULT_REGION: 'eu-west-1', VAULT_JWT_AUDIENCE: 'vault', VAULT_JWT_ALGORITHM: 'ES384' },
      'aws-web-identity',
    ],
  ])('%s from variables %j', (method, env, name) => {
    expect(methodOf({}, { VAULT_AUTH_METHOD: method, ...env }).name).toBe(name);
  });

  test('options come before variables, and AWS_REGION before AWS_DEFAULT_REGION', () => {
    const env = { VAULT_AUTH_METHOD: 'jwt', VAULT_JWT_FILE: '/env', ...aws, AWS_DEFAULT_REGION: 'eu-west-1' };
    expect(configurationOf({ authMethod: 'approle', jwtFile: '/option' }, env)).toMatchObject({
      authMethod: 'approle',
      authMount: 'approle',
      jwtFile: '/option',
      awsRegion: 'eu-central-1',
    });
    expect(configurationOf({}, { VAULT_AUTH_METHOD: 'aws-iam' }).authMount).toBe('aws');
    expect(configurationOf({}, { VAULT_AUTH_METHOD: 'aws-web-identity' }).authMount).toBe('jwt');
  });

  test.each<[string, Environment, string]>([
    ['jwt', {}, 'jwtFile (VAULT_JWT_FILE): needed by jwt'],
    ['approle', {}, 'roleId (VAULT_ROLE_ID): needed by approle'],
    ['approle', { VAULT_ROLE_ID: 'id' }, 'secretIdFile (VAULT_SECRET_ID_FILE): needed by approle'],
    ['token', {}, 'token (VAULT_TOKEN): needed by token'],
    ['token-file', {}, 'tokenFile (VAULT_TOKEN_FILE): needed by token-file'],
    ['cert', {}, 'address (VAULT_ADDR): expected https'],
    ['cert', { VAULT_ADDR: 'https://vault' }, 'clientCertFile (VAULT_CLIENT_CERT): needed by cert'],
    ['aws-web-identity', aws, 'jwtAudience (VAULT_JWT_AUDIENCE): needed by aws-web-identity'],
    ['aws-web-identity', { VAULT_JWT_AUDIENCE: 'v' }, 'awsRegion (AWS_REGION): needed by aws-web-identity'],
    [
      'aws-iam',
      { AWS_REGION: 'hunter2.example.com' },
      'awsRegion (AWS_REGION): expected the name of a region',
    ],
    ['aws-iam', { AWS_ENDPOINT_URL_STS: 'hunter2' }, 'stsEndpoint (AWS_ENDPOINT_URL_STS): Invalid URL'],
    ['hunter2', {}, 'authMethod (VAULT_AUTH_METHOD): Invalid option'],
    ['aws-web-identity', { ...aws, VAULT_JWT_ALGORITHM: 'hunter2' }, 'jwtAlgorithm (VAULT_JWT_ALGORITHM)'],
    [
      'aws-iam',
      { ...aws, VAULT_AWS_IAM_SERVER_ID: 'a\r\nhunter2: b' },
      'iamServerId (VAULT_AWS_IAM_SERVER_ID)',
    ],
  ])('%s with %j is refused by name, and without what was in it', (authMethod, env, message) => {
    let fault: unknown;
    try {
      new SecretsManager({ env: { VAULT_AUTH_METHOD: authMethod, ...env } });
    } catch (error) {
      fault = error;
    }
    expect(fault).toMatchObject({
      code: 'secrets_manager_configuration_invalid',
      message: expect.stringContaining(message),
    });
    expect(saidBy(fault)).not.toContain('hunter2');
  });

  test('what AWS’s variables hold does not matter to other methods', () => {
    const env = { AWS_REGION: 'not a region', AWS_ENDPOINT_URL_STS: 'no address', VAULT_TOKEN: 's.x' };
    expect(methodOf({}, env).name).toBe('token');
  });

  test('a method that is given is taken, whatever the settings say', async () => {
    const asked: string[] = [];
    const manager = new SecretsManager({
      env: { VAULT_AUTH_METHOD: 'jwt' },
      auth: {
        name: 'own',
        login: async () => {
          asked.push('own');
          throw new Error('enough');
        },
      },
    });
    await expect(manager.init()).rejects.toThrow('enough');
    expect(asked).toEqual(['own']);
    await manager.cleanup();
  });

  test('secrets in settings print as secrets', () => {
    const { secretId } = configurationOf({}, { VAULT_SECRET_ID: 'canary' });
    expect(secretId?.expose()).toBe('canary');
    expect(JSON.stringify(configurationOf({ secretId: 'canary', token: 'canary' }, {}))).not.toContain(
      'canary',
    );
  });
});

describe('the client certificate', () => {
  test('is read anew each time', async () => {
    const { certificate, key } = issue();
    const [clientCertFile, clientKeyFile] = [path.join(folder, 'own.pem'), path.join(folder, 'own.key')];
    await writeFile(clientCertFile, certificate);
    await writeFile(clientKeyFile, key);
    const read = clientCertificateOf(configurationOf({ clientCertFile, clientKeyFile }, {}));
    expect(read?.()).toEqual({ cert: certificate, key });
    const next = issue();
    await writeFile(clientCertFile, next.certificate);
    await writeFile(clientKeyFile, next.key);
    expect(read?.()).toEqual({ cert: next.certificate, key: next.key });
  });

  test('is looked at when the manager is made', () => {
    const env = { VAULT_CLIENT_CERT: files.cert, VAULT_CLIENT_KEY: files.jwt };
    expect(() => new SecretsManager({ env })).toThrow(
      expect.objectContaining({ code: 'client_certificate_unreadable' }),
    );
  });

  test('needs both files', () => {
    expect(clientCertificateOf(configurationOf({}, {}))).toBeUndefined();
    expect(() => new SecretsManager({ env: { VAULT_CLIENT_CERT: files.cert } })).toThrow(
      /clientKeyFile \(VAULT_CLIENT_KEY\): needed by clientCertFile/,
    );
    expect(() => new SecretsManager({ env: { VAULT_CLIENT_KEY: files.key } })).toThrow(
      /clientCertFile \(VAULT_CLIENT_CERT\): needed by clientKeyFile/,
    );
  });
});
