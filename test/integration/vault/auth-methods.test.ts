import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { generateKeyPair } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { readConfig } from '../../../lib/host/config.ts';
import { identityOf } from '../../../lib/host/identities.ts';
import { startTokenReview } from '../../../lib/host/local/token-review.ts';
import {
  type AuthMethod,
  appRoleAuth,
  awsWebIdentityAuth,
  certAuth,
  jwtAuth,
  kubernetesAuth,
  Secret,
  SecretsManager,
  tokenAuth,
  tokenFileAuth,
} from '../../../lib/index.ts';
import { ParentTokens } from '../../../lib/secrets-manager/parent-tokens.ts';
import { readCredentialFile } from '../../../lib/vault/auth/credential-file.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { readClientCertificate } from '../../../lib/vault/client-certificate.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { issue } from '../../rotation/probes/certificates.ts';
import { admin } from '../../support/admin.ts';
import { startSts } from '../../support/sts-server.ts';
import { startTlsServer, type TlsServer } from '../../support/tls-server.ts';
import { saidBy } from '../../vault/auth/asked-login.ts';
import {
  type AuthGround,
  account,
  aws,
  fileWith,
  isAlive,
  newSession,
  newToken,
  prepareAuthGround,
  prepareKubernetes,
  revoke,
  sessionClock,
  signJwt,
  team,
} from './auth-ground.ts';

const { address } = admin(inject);
const client = new VaultClient({ transport: createTransport({ address }) });
let ground: AuthGround;
beforeAll(async () => {
  ground = await prepareAuthGround();
});
afterAll(async () => {
  await client.close();
  await ground[Symbol.asyncDispose]();
});
afterEach(() => vi.unstubAllEnvs());

const web = {
  role: 'app',
  mount: 'aws',
  audience: 'vault',
  region: 'eu-central-1',
  authNamespace: team,
  credentials: async () => aws,
};

describe('logging in to OpenBao', () => {
  /** The environment of a service that logs in so. */
  const ways: Record<string, () => Promise<Record<string, string>>> = {
    jwt: async () => ({ VAULT_JWT_FILE: await fileWith(await signJwt()) }),
    approle: async () => ({
      VAULT_ROLE_ID: ground.appRole.roleId,
      VAULT_SECRET_ID_FILE: await fileWith(`${ground.appRole.secretId}\n`),
    }),
    token: async () => ({ VAULT_TOKEN: (await newToken()).token }),
    'token-file': async () => ({ VAULT_TOKEN_FILE: await fileWith((await newToken()).token) }),
    'aws-web-identity': async () => ({
      VAULT_AUTH_MOUNT: 'aws',
      VAULT_JWT_AUDIENCE: 'vault',
      AWS_REGION: 'eu-central-1',
      AWS_ENDPOINT_URL_STS: ground.sts.url,
    }),
    kubernetes: async () => ({}),
  };

  it.each(Object.keys(ways))(
    'a service by %s, chosen by its variables, in one namespace, reads in another',
    async (method) => {
      vi.stubEnv('AWS_ACCESS_KEY_ID', aws.accessKeyId);
      vi.stubEnv('AWS_SECRET_ACCESS_KEY', aws.secretAccessKey);
      vi.stubEnv('AWS_SESSION_TOKEN', aws.sessionToken);
      const env = {
        VAULT_ADDR: address,
        VAULT_NAMESPACE: `${team}/app`,
        VAULT_AUTH_NAMESPACE: team,
        VAULT_AUTH_METHOD: method,
        VAULT_ROLE: 'app',
        ...(await ways[method]?.()),
      };
      const serviceAccountTokenFile = await fileWith((await ground.reviews.sign(account)).expose());
      await using manager = new SecretsManager({ env, serviceAccountTokenFile });
      expect((await manager.getSecret('kv/key', { field: 'value' })).expose()).toBe('canary-value');
      await using astray = new SecretsManager({
        env: { ...env, VAULT_AUTH_NAMESPACE: `${team}/none` },
        serviceAccountTokenFile,
      });
      await expect(astray.init()).rejects.toMatchObject({
        code: expect.stringMatching(/^vault_(denied|not_found)$/),
      });
    },
  );

  it.each(['RS256', 'ES384'] as const)(
    'by a web identity of AWS, signed with %s',
    async (signingAlgorithm) => {
      const method = awsWebIdentityAuth({ ...web, endpoint: ground.sts.url, signingAlgorithm });
      const issued = await method.login(client);
      expect(issued).toMatchObject({ renewable: true, holder: { role: 'app' } });
    },
  );

  it('refuses a web identity of AWS for another role, another audience or of another identity', async () => {
    const login = (changes: object) =>
      awsWebIdentityAuth({ ...web, endpoint: ground.sts.url, ...changes }).login(client);
    const refused = { code: 'vault_bad_request' };
    await expect(login({ role: 'other' })).rejects.toMatchObject(refused);
    await expect(login({ audience: 'elsewhere' })).rejects.toMatchObject(refused);
    await using impostor = await startSts('eu-central-1', [aws]);
    await expect(login({ endpoint: impostor.url })).rejects.toMatchObject(refused);
  });

  it.each([
    ['jwt', { LEASEKEEPER_AUTH: 'jwt' }],
    ['aws-web-identity', { LEASEKEEPER_AUTH: 'aws-web-identity', LEASEKEEPER_AUTH_MOUNT: 'aws' }],
  ])('a function by %s, each as its own role', async (_, auth) => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', aws.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', aws.secretAccessKey);
    vi.stubEnv('AWS_SESSION_TOKEN', aws.sessionToken);
    const config = readConfig({
      VAULT_ADDR: address,
      VAULT_AUTH_NAMESPACE: team,
      LEASEKEEPER_JWT_FILE: await fileWith(await signJwt()),
      LEASEKEEPER_JWT_AUDIENCE: 'vault',
      AWS_REGION: 'eu-central-1',
      AWS_ENDPOINT_URL_STS: ground.sts.url,
      ...auth,
    });
    const { holder } = await identityOf(config, 'scan').login(client);
    expect(holder.role).toBe('leasekeeper-scan');
    await expect(identityOf(config, 'renew').login(client)).rejects.toMatchObject({
      code: 'vault_bad_request',
    });
  });

  it('takes the JWT that is in the file at each login', async () => {
    const file = await fileWith(await signJwt('-10 min'));
    const jwt = async () => (await readCredentialFile(file, 'JWT')).expose();
    const method = jwtAuth({ role: 'app', jwt, authNamespace: team });
    await expect(method.login(client)).rejects.toMatchObject({ code: 'vault_bad_request' });
    await writeFile(file, await signJwt());
    expect(await method.login(client)).toMatchObject({ holder: { role: 'app' } });
  });

  const canary = 'hunter2hunter2hunter2';
  const base64 = (text: string) => Buffer.from(text).toString('base64url');
  const byJwt = (jwt: string) => jwtAuth({ role: 'app', jwt: async () => jwt, authNamespace: team });
  const refusals: Record<string, () => Promise<readonly [AuthMethod, secret: string]>> = {
    'a JWT of somebody else': async () => {
      const jwt = await signJwt('5 min', (await generateKeyPair('ES256')).privateKey);
      return [byJwt(jwt), jwt];
    },
    'a JWT that is none': async () => [byJwt(canary), canary],
    'a JWT of three parts that is none': async () => [byJwt(`${canary}.${canary}.${canary}`), canary],
    'a JWT of JSON that is none': async () => {
      const head = base64(JSON.stringify({ alg: 'ES256' }));
      return [byJwt(`${head}.${base64(`{"sub":"${canary}"`)}.${canary}`), canary];
    },
    'a service account token that is none': async () => [
      kubernetesAuth({ role: 'app', jwt: async () => canary, authNamespace: team }),
      canary,
    ],
    'a wrong secret id': async () => [
      appRoleAuth({ roleId: ground.appRole.roleId, secretId: new Secret(canary), authNamespace: team }),
      canary,
    ],
    'a wrong token': async () => [tokenAuth(new Secret(canary), team), canary],
    'a wrong token in a file': async () => [
      tokenFileAuth({ file: await fileWith(canary), authNamespace: team }),
      canary,
    ],
  };
  it.each(Object.entries(refusals))('is refused with %s, of which nothing is told', async (_, make) => {
    const [method, secret] = await make();
    const error: unknown = await method.login(client).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: expect.stringMatching(/^vault_(denied|bad_request|unavailable)$/) });
    for (const part of [...secret.split('.'), base64(secret)]) expect(saidBy(error)).not.toContain(part);
  });
});

describe('a service account token that the kubelet replaces', () => {
  it('is read anew: the next login takes the new one, when the old has expired', async () => {
    // The clock of the cluster: the old token is good until it is moved.
    const clock = { now: Date.now() - 7_200_000 };
    const cluster = await startTokenReview({
      dataDir: path.join(ground.folder, 'cluster'),
      now: () => clock.now,
    });
    try {
      await prepareKubernetes('cluster', cluster);
      const volume = await mkdtemp(path.join(ground.folder, 'volume-'));
      const publish = async (generation: string) => {
        const token = await cluster.sign({ ...account, expiresInSeconds: 10_000 });
        await mkdir(path.join(volume, generation));
        await writeFile(path.join(volume, generation, 'token'), token.expose());
        await symlink(generation, path.join(volume, '..data_tmp'));
        await rename(path.join(volume, '..data_tmp'), path.join(volume, '..data'));
        return token.expose();
      };
      const old = await publish('..2026_1');
      await symlink('..data/token', path.join(volume, 'token'));
      const jwt = async () => (await readCredentialFile(path.join(volume, 'token'), 'token')).expose();
      const at = { role: 'app', mount: 'cluster', authNamespace: team };
      const { session, logins } = newSession(kubernetesAuth({ ...at, jwt }));
      const first = await session.held();
      clock.now += 7_200_000;
      await publish('..2026_2');
      clock.now += 3_600_000;
      await expect(kubernetesAuth({ ...at, jwt: async () => old }).login(client)).rejects.toMatchObject({
        code: 'vault_denied',
      });
      await revoke(first.accessor);
      sessionClock.now += 31_000;
      await session.request({ method: 'GET', path: `${team}/auth/token/lookup-self`, repeatable: true });
      expect((await session.held()).accessor).not.toBe(first.accessor);
      expect(logins()).toBe(2);
    } finally {
      await cluster.stop();
    }
  });
});

const fifty = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 50 }, work));

describe('a session by a token in a file', () => {
  async function given(options: Record<string, unknown> = {}) {
    const first = await newToken(options);
    const file = await fileWith(`${first.token}\n`);
    const opened = newSession(tokenFileAuth({ file, authNamespace: team }));
    return { first, file, ...opened, taken: () => opened.count('lookup-self') };
  }

  it('takes the new token when the old is refused, at once and once for 50 requests', async () => {
    const { first, file, session, look, taken } = await given();
    await look();
    expect((await session.held()).accessor).toBe(first.accessor);
    const second = await newToken();
    await writeFile(file, second.token);
    await revoke(first.accessor);
    await fifty(look);
    expect((await session.held()).accessor).toBe(second.accessor);
    expect(taken()).toBe(2);
  });

  it('shows the refusal while the file has no other token, and asks nothing more for it', async () => {
    const { first, session, look, taken } = await given();
    await look();
    const denied = () => session.request({ method: 'GET', path: `${team}/sys/mounts`, repeatable: true });
    sessionClock.now += 31_000;
    await fifty(() => expect(denied()).rejects.toMatchObject({ code: 'vault_denied' }));
    expect(taken()).toBe(1);
    await revoke(first.accessor);
    await expect(look()).rejects.toMatchObject({ code: 'vault_denied' });
    expect(taken()).toBe(1);
  });

  it('finds a new token in the file while the old one works, once for 50 requests', async () => {
    const { first, file, session, look, taken } = await given();
    await look();
    const second = await newToken();
    await writeFile(file, second.token);
    await look();
    expect((await session.held()).accessor).toBe(first.accessor);
    sessionClock.now += 11_000;
    await fifty(look);
    expect((await session.held()).accessor).toBe(second.accessor);
    expect(taken()).toBe(2);
  });

  it('goes on with the token it has while the file is gone, malformed, or holds one that is not good', async () => {
    const { first, file, session, look } = await given();
    await look();
    for (const change of [
      () => rm(file),
      () => writeFile(file, ''),
      () => writeFile(file, 'two words'),
      () => writeFile(file, 's.notgoodnotgoodnotgoodno'),
    ]) {
      await change();
      sessionClock.now += 11_000;
      await look();
      expect((await session.held()).accessor).toBe(first.accessor);
    }
  });

  it('reads it again late in the life of its token, and never renews it itself', async () => {
    const { first, session, look, count, taken } = await given();
    await look();
    sessionClock.now += 2_600_000;
    await look();
    expect([taken(), count('renew-self')]).toEqual([1, 0]);
    // Whoever keeps the file has renewed it meanwhile; Vault, whose clock stands still here, says so.
    sessionClock.now += 400_000;
    await fifty(look);
    expect([taken(), count('renew-self')]).toEqual([2, 0]);
    const held = await session.held();
    expect(held.accessor).toBe(first.accessor);
    expect(held.expiresAt - sessionClock.now).toBeGreaterThan(3_500_000);
  });

  it('never ends a token, in use or replaced', async () => {
    const { first, file, session, client: own, look } = await given();
    const parents = new ParentTokens({
      client: own,
      session,
      authNamespace: team,
      ownTokens: tokenFileAuth({ file }).given === undefined,
      now: () => sessionClock.now,
      onSuperseded: () => {},
      onFault: () => {},
    });
    const parent = await parents.current();
    const second = await newToken();
    await writeFile(file, second.token);
    sessionClock.now += 11_000;
    await look();
    await parents.revoke(parent);
    await session.close();
    expect([await isAlive(first.accessor), await isAlive(second.accessor)]).toEqual([true, true]);
  });

  it('is left alone by a manager that cleans up', async () => {
    const first = await newToken();
    const second = await newToken();
    const file = await fileWith(first.token);
    const settings = { address, namespace: `${team}/app`, authNamespace: team, env: {} };
    const manager = new SecretsManager({ ...settings, authMethod: 'token-file', tokenFile: file });
    await manager.getSecret('kv/key');
    await writeFile(file, second.token);
    await revoke(first.accessor);
    manager.invalidate('kv/key');
    await manager.getSecret('kv/key');
    await manager.cleanup();
    expect(await isAlive(second.accessor)).toBe(true);
  });
});

describe('a login by certificate', () => {
  const authority = issue({ authority: true, subject: '/CN=clients' });
  const clientOf = (name: string) =>
    issue({ signedBy: authority, subject: `/CN=${name}`, use: 'clientAuth' });
  let server: TlsServer;

  beforeAll(async () => {
    server = await startTlsServer(inject('binaries').openbao);
    await server.request('POST', 'sys/namespaces/team', {});
    await server.request('POST', 'team/sys/mounts/app/kv', { type: 'kv', options: { version: '1' } });
    await server.request('POST', 'team/app/kv/key', { value: 'canary-value' });
    await server.request('PUT', 'team/sys/policies/acl/app', {
      policy: 'path "app/kv/*" { capabilities = ["read"] }',
    });
    await server.request('POST', 'team/sys/auth/cert', { type: 'cert' });
    for (const role of ['app', 'other']) {
      await server.request('POST', `team/auth/cert/certs/${role}`, {
        certificate: authority.certificate,
        allowed_common_names: role === 'app' ? ['one'] : ['two'],
        token_policies: ['app'],
        token_ttl: '1h',
      });
    }
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function filesWith(pair: { certificate: string; key: string }) {
    const [cert, keyFile] = [await fileWith(pair.certificate), await fileWith(pair.key)];
    const replace = async (next: typeof pair) => {
      await writeFile(cert, next.certificate);
      await writeFile(keyFile, next.key);
    };
    return { cert, key: keyFile, replace };
  }

  async function clientWith(pair: { certificate: string; key: string }, connectionLifeMs = 60_000) {
    const files = await filesWith(pair);
    const transport = createTransport({
      address: server.address,
      ca: server.ca,
      connectionLifeMs,
      clientCertificate: () => readClientCertificate(files.cert, files.key),
    });
    return { ...files, transport, client: new VaultClient({ transport, retry: { attempts: 1 } }) };
  }
  const at = { authNamespace: 'team' };

  it('takes the certificate of the connection', async () => {
    const { client: own } = await clientWith(clientOf('one'));
    expect(await certAuth(at).login(own)).toMatchObject({ renewable: true, holder: { role: 'app' } });
    expect(await certAuth({ ...at, role: 'app' }).login(own)).toMatchObject({ holder: { role: 'app' } });
    await own.close();
  });

  it.each([
    ['for another role', () => clientOf('one'), 'other'],
    ['with another name', () => clientOf('four'), undefined],
    ['of another authority', () => issue({ subject: '/CN=one' }), undefined],
  ])('refuses a certificate %s', async (_, make, role) => {
    const { client: own, ...files } = await clientWith(make());
    const error: unknown = await certAuth(role === undefined ? at : { ...at, role })
      .login(own)
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: expect.stringMatching(/^vault_(bad_request|denied)$/) });
    expect(saidBy(error)).not.toContain(readClientCertificate(files.cert, files.key).key.split('\n')[1]);
    await own.close();
  });

  it('refuses who shows none', async () => {
    const bare = new VaultClient({ transport: createTransport({ address: server.address, ca: server.ca }) });
    await expect(certAuth(at).login(bare)).rejects.toMatchObject({
      code: expect.stringMatching(/^vault_(bad_request|denied)$/),
    });
    await bare.close();
  });

  it('takes a certificate that was replaced, with the next connection', async () => {
    const { client: own, replace } = await clientWith(clientOf('one'), 1);
    const role = async () => (await certAuth(at).login(own)).holder.role;
    expect(await role()).toBe('app');
    await replace(clientOf('two'));
    await vi.waitFor(async () => expect(await role()).toBe('other'));
    await replace({ certificate: 'hunter2', key: 'hunter2' });
    await vi.waitFor(async () => {
      const error: unknown = await role().catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'vault_unreachable',
        message: expect.stringContaining('client_certificate_unreadable'),
        processed: 'no',
      });
      expect(saidBy(error)).not.toContain('hunter2');
    });
    await own.close();
  });

  it('renews its token with the certificate that it was issued for', async () => {
    const { client: own } = await clientWith(clientOf('one'));
    const { token } = await certAuth(at).login(own);
    const renewal = {
      method: 'POST',
      path: 'team/auth/token/renew-self',
      body: {},
      repeatable: true,
    } as const;
    expect((await own.requestWith(token, renewal)).status).toBe(200);
    const bare = new VaultClient({ transport: createTransport({ address: server.address, ca: server.ca }) });
    const { client: another } = await clientWith(clientOf('one'));
    for (const one of [bare, another]) {
      await expect(one.requestWith(token, renewal)).rejects.toMatchObject({ name: 'VaultError' });
      await one.close();
    }
    expect((await own.requestWith(token, renewal)).status).toBe(200);
    await own.close();
  });

  it('keeps the token of a certificate that was replaced until it is time for a login, and tries to renew it now and then', async () => {
    const { transport, replace } = await clientWith(clientOf('one'), 1);
    const { session, logins, count } = newSession(certAuth(at), transport, 'team');
    const { accessor } = await session.held();
    await replace(clientOf('two'));
    sessionClock.now += 2_500_000;
    for (let i = 0; i < 10; i += 1) expect((await session.held()).accessor).toBe(accessor);
    expect([logins(), count('renew-self')]).toEqual([1, 1]);
    sessionClock.now += 6_000;
    await session.held();
    expect([logins(), count('renew-self')]).toEqual([1, 2]);
    sessionClock.now += 400_000;
    expect((await session.held()).accessor).not.toBe(accessor);
    expect((await session.held()).holder.role).toBe('other');
    await transport.close();
  });

  it('a service logs in so, chosen by its variables, in one namespace, and reads in another', async () => {
    const files = await filesWith(clientOf('one'));
    await using manager = new SecretsManager({
      env: {
        VAULT_ADDR: server.address,
        VAULT_CACERT: server.caFile,
        VAULT_AUTH_METHOD: 'cert',
        VAULT_AUTH_NAMESPACE: 'team',
        VAULT_NAMESPACE: 'team/app',
        VAULT_CLIENT_CERT: files.cert,
        VAULT_CLIENT_KEY: files.key,
      },
    });
    expect((await manager.getSecret('kv/key', { field: 'value' })).expose()).toBe('canary-value');
  });
});
