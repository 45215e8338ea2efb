import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { inject } from 'vitest';
import * as z from 'zod';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';
import type { AuthMethod } from '../../../lib/vault/auth/login.ts';
import { VaultClient, type VaultExchange } from '../../../lib/vault/client.ts';
import { VaultSession } from '../../../lib/vault/session.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { STS_ISSUER, type StsServer, startSts } from '../../support/sts-server.ts';

const { request, read, address } = admin(inject);
/** The namespace of the logins. That of the secrets is within it. */
export const team = uniqueName('team');
export const aws = {
  accessKeyId: 'ASIAEXAMPLE',
  secretAccessKey: 'secret/canary+key',
  sessionToken: 'session/canary+token',
  arn: 'arn:aws:iam::123456789012:role/app',
};
export const account = { namespace: 'lotabots', name: 'app' };
const tokenAnswer = z.object({ auth: z.object({ client_token: z.string(), accessor: z.string() }) });
const roleIdAnswer = z.object({ data: z.object({ role_id: z.string() }) });
const secretIdAnswer = z.object({ data: z.object({ secret_id: z.string() }) });

const signing = await generateKeyPair('ES256');
const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-methods-'));

/** What the logins are checked against, beside OpenBao. */
export interface AuthGround extends AsyncDisposable {
  readonly folder: string;
  readonly sts: StsServer;
  readonly reviews: TokenReviewServer;
  readonly appRole: { readonly roleId: string; readonly secretId: string };
}

/** A namespace with every auth method that OpenBao has, each with a role `app`, and a secret that the role may read. */
export async function prepareAuthGround(): Promise<AuthGround> {
  const sts = await startSts('eu-central-1', [aws]);
  const reviews = await startTokenReview({ dataDir: path.join(folder, 'reviews') });
  await request('POST', `sys/namespaces/${team}`, {});
  await request('POST', `${team}/sys/mounts/app/kv`, { type: 'kv', options: { version: '2' } });
  await request('POST', `${team}/app/kv/data/key`, { data: { value: 'canary-value' } });
  await request('PUT', `${team}/sys/policies/acl/app`, {
    policy: 'path "app/kv/*" { capabilities = ["read"] }',
  });
  await prepareJwt(sts);
  await prepareKubernetes('kubernetes', reviews);
  return {
    folder,
    sts,
    reviews,
    appRole: await prepareAppRole(),
    [Symbol.asyncDispose]: async () => {
      await reviews.stop();
      await sts[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function prepareJwt(sts: StsServer): Promise<void> {
  const role = { role_type: 'jwt', user_claim: 'sub', bound_audiences: ['vault'], token_policies: ['app'] };
  await request('POST', `${team}/sys/auth/jwt`, { type: 'jwt' });
  await request('POST', `${team}/auth/jwt/config`, {
    jwt_validation_pubkeys: [await exportSPKI(signing.publicKey)],
  });
  await request('POST', `${team}/auth/jwt/role/app`, role);
  await request('POST', `${team}/auth/jwt/role/leasekeeper-scan`, role);
  await request('POST', `${team}/sys/auth/aws`, { type: 'jwt' });
  await request('POST', `${team}/auth/aws/config`, {
    jwt_validation_pubkeys: sts.publicKeys,
    jwt_supported_algs: ['RS256', 'ES384'],
    bound_issuer: STS_ISSUER,
  });
  await request('POST', `${team}/auth/aws/role/app`, { ...role, bound_subject: aws.arn });
  await request('POST', `${team}/auth/aws/role/leasekeeper-scan`, { ...role, bound_subject: aws.arn });
  await request('POST', `${team}/auth/aws/role/other`, { ...role, bound_subject: `${aws.arn}0` });
}

/** The kubernetes method at a mount, with the tokens of one cluster. */
export async function prepareKubernetes(mount: string, cluster: TokenReviewServer): Promise<void> {
  await request('POST', `${team}/sys/auth/${mount}`, { type: 'kubernetes' });
  await request('POST', `${team}/auth/${mount}/config`, {
    kubernetes_host: cluster.url,
    kubernetes_ca_cert: 'none',
    disable_local_ca_jwt: true,
  });
  await request('POST', `${team}/auth/${mount}/role/app`, {
    bound_service_account_names: [account.name],
    bound_service_account_namespaces: [account.namespace],
    audience: 'vault',
    token_policies: ['app'],
    token_ttl: '1h',
  });
}

async function prepareAppRole() {
  await request('POST', `${team}/sys/auth/approle`, { type: 'approle' });
  await request('POST', `${team}/auth/approle/role/app`, { token_policies: ['app'] });
  const role = await read(roleIdAnswer, 'GET', `${team}/auth/approle/role/app/role-id`);
  const secret = await read(secretIdAnswer, 'POST', `${team}/auth/approle/role/app/secret-id`, {});
  return { roleId: role.data.role_id, secretId: secret.data.secret_id };
}

/** A JWT for the role `app` of the jwt method. */
export const signJwt = (expires = '5 min', by = signing.privateKey) =>
  new SignJWT({})
    .setProtectedHeader({ alg: 'ES256' })
    .setSubject('app')
    .setAudience('vault')
    .setIssuedAt()
    .setExpirationTime(expires)
    .sign(by);

/** A token of the team, as somebody else would make it. */
export async function newToken(options: Record<string, unknown> = {}) {
  const { auth } = await read(tokenAnswer, 'POST', `${team}/auth/token/create`, {
    policies: ['app'],
    ttl: '1h',
    ...options,
  });
  return { token: auth.client_token, accessor: auth.accessor };
}

export const revoke = (accessor: string) =>
  request('POST', `${team}/auth/token/revoke-accessor`, { accessor });
export const isAlive = (accessor: string) =>
  request('POST', `${team}/auth/token/lookup-accessor`, { accessor }).then(
    () => true,
    () => false,
  );

/** A new file with a credential. */
export async function fileWith(text: string): Promise<string> {
  const file = path.join(await mkdtemp(path.join(folder, 'file-')), 'credential');
  await writeFile(file, text);
  return file;
}

/** The time that sessions are told. */
export const sessionClock = { now: 0 };

/** A session whose clock is moved by hand: without Vault's `Date` there is only the clock it is given. */
export function newSession(method: AuthMethod, real = createTransport({ address }), authNamespace = team) {
  const exchanges: VaultExchange[] = [];
  sessionClock.now = Date.now();
  const own = new VaultClient({
    now: () => sessionClock.now,
    onExchange: (exchange) => exchanges.push(exchange),
    transport: {
      exchange: async (asked) => {
        const answer = await real.exchange(asked);
        return { ...answer, headers: { ...answer.headers, date: undefined } };
      },
      close: () => real.close(),
    },
  });
  const session = new VaultSession({ client: own, method, authNamespace });
  const count = (end: string) => exchanges.filter(({ path: asked }) => asked.endsWith(end)).length;
  const look = () => session.request({ method: 'GET', path: `${team}/app/kv/data/key`, repeatable: true });
  return { client: own, session, count, look, logins: () => count('/login') };
}
