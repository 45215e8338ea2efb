import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { decodeJwt, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';
import { kubernetesAuth } from '../../../lib/vault/auth/kubernetes.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';

describe("logging in by OpenBao's own kubernetes method", () => {
  const root = uniqueName('root');
  const account = { namespace: 'lotabots', name: 'api-gateway' };
  let client: VaultClient;
  let dataDir: string;
  let reviews: TokenReviewServer;

  beforeAll(async () => {
    const { request, address } = admin(inject);
    dataDir = await mkdtemp(path.join(tmpdir(), 'leasekeeper-reviews-'));
    reviews = await startTokenReview({ dataDir });
    client = new VaultClient({ transport: createTransport({ address }) });
    await request('POST', `sys/namespaces/${root}`, {});
    await request('POST', `${root}/sys/auth/kubernetes`, { type: 'kubernetes' });
    await request('POST', `${root}/auth/kubernetes/config`, {
      kubernetes_host: reviews.url,
      kubernetes_ca_cert: 'none',
      disable_local_ca_jwt: true,
    });
    await request('POST', `${root}/auth/kubernetes/role/api-gateway`, {
      bound_service_account_names: ['api-gateway'],
      bound_service_account_namespaces: ['lotabots'],
      audience: 'vault',
      token_policies: ['api-gateway'],
    });
  });
  afterAll(async () => {
    await reviews.stop();
    await client.close();
    await rm(dataDir, { recursive: true });
  });

  const login = (jwt: string) =>
    kubernetesAuth({ role: 'api-gateway', jwt: async () => jwt, authNamespace: root }).login(client);
  const refused = { code: 'vault_denied' };

  /** Signs the claims of a good token with other claims, or with another key. */
  async function resigned(claims: Record<string, unknown>): Promise<string> {
    const good = decodeJwt((await reviews.sign(account)).expose());
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    return new SignJWT({ ...good, ...claims }).setProtectedHeader({ alg: 'RS256' }).sign(privateKey);
  }

  it('lets a service account in', async () => {
    expect(await login((await reviews.sign(account)).expose())).toMatchObject({ renewable: true });
  });

  it('refuses a token that somebody else signed', async () => {
    await expect(login(await resigned({}))).rejects.toMatchObject(refused);
  });

  it('refuses a token whose claims were changed', async () => {
    const good = (await reviews.sign({ ...account, name: 'other' })).expose().split('.');
    const forged = (await resigned({})).split('.');
    await expect(login([good[0], forged[1], good[2]].join('.'))).rejects.toMatchObject(refused);
  });

  it('refuses an expired token', async () => {
    const expired = await reviews.sign({ ...account, expiresInSeconds: -60 });
    await expect(login(expired.expose())).rejects.toMatchObject(refused);
  });

  it('refuses a token for another audience', async () => {
    const elsewhere = await reviews.sign({ ...account, audience: 'elsewhere' });
    await expect(login(elsewhere.expose())).rejects.toMatchObject(refused);
  });

  it('refuses another service account', async () => {
    const other = await reviews.sign({ ...account, name: 'other' });
    await expect(login(other.expose())).rejects.toMatchObject(refused);
  });

  it('accepts after a restart what was signed before, at the same address', async () => {
    const before = await reviews.sign(account);
    const { url } = reviews;
    await reviews.stop();
    await expect(login(before.expose())).rejects.toBeDefined();
    reviews = await startTokenReview({ dataDir });
    expect(reviews.url).toBe(url);
    expect(await login(before.expose())).toMatchObject({ renewable: true });
    expect((await stat(path.join(dataDir, 'service-account-key.pem'))).mode & 0o777).toBe(0o600);
  });
});
