import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { startTokenReview, type TokenReviewServer } from '../../../lib/host/local/token-review.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import {
  type AccessWorld,
  createAccessWorld,
  createToken,
  type Functions,
  openFunctions,
  problem,
} from './access-world.ts';

const mount = uniqueName('kubernetes');
const MINUTE = 60_000;

let world: AccessWorld;
let folder: string;
let cluster: TokenReviewServer;
let functions: Functions;

beforeAll(async () => {
  world = await createAccessWorld();
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-access-'));
  cluster = await startTokenReview({ dataDir: folder });
  const { request } = admin(inject);
  await request('POST', `${world.namespace}/app/data/static`, { data: { word: 'plain' } });
  await request('POST', `sys/auth/${mount}`, { type: 'kubernetes' });
  await request('POST', `auth/${mount}/config`, {
    kubernetes_host: cluster.url,
    disable_local_ca_jwt: true,
    kubernetes_ca_cert: 'none',
  });
  await role('reader', 'reader');
});
afterAll(async () => {
  await cluster.stop();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  functions = openFunctions(world, { callerMount: mount });
});

const role = (name: string, account: string, policies: readonly string[] = [world.appPolicy]) =>
  admin(inject).request('POST', `auth/${mount}/role/${name}`, {
    bound_service_account_names: [account],
    bound_service_account_namespaces: ['apps'],
    audience: 'vault',
    token_policies: policies,
  });

/** A token of a service account; each call gives another one. */
let issuedTokens = 0;
async function jwt(name: string, expiresInSeconds = 3_600): Promise<string> {
  issuedTokens += 1;
  const account = { namespace: 'apps', name, expiresInSeconds: expiresInSeconds + issuedTokens };
  return (await cluster.sign(account)).expose();
}

const shown = (bearer: string, asRole = 'reader') => ({
  headers: { authorization: `Bearer ${bearer}`, 'x-vault-role': asRole },
});
const read = (headers: { headers: Record<string, string> }, what = 'app/static') =>
  functions.fetch('GET', `/v1/secrets/${what}`, headers);
const logins = () => functions.exchanges.filter((exchange) => exchange.path.endsWith('/login')).length;

describe('a service account', () => {
  it('logs in once, however often and however many at once it asks', async () => {
    const caller = shown(await jwt('reader'));

    const answers = await Promise.all(Array.from({ length: 10 }, () => read(caller)));
    answers.push(await read(caller));

    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(logins()).toBe(1);
    expect(functions.audited[0]).toMatchObject({ who: { role: 'reader' }, outcome: 'ok' });
  });

  it('never shares its login: two tokens of one role are two logins', async () => {
    const [one, other] = [shown(await jwt('reader')), shown(await jwt('reader'))];

    expect([(await read(one)).status, (await read(other)).status]).toEqual([200, 200]);
    expect(logins()).toBe(2);
  });

  it('logs in anew for another role with the same token', async () => {
    await role('poor', 'reader', []);
    const bearer = await jwt('reader');

    expect((await read(shown(bearer))).status).toBe(200);
    expect(await read(shown(bearer, 'poor'))).toMatchObject(problem(403, 'vault_denied'));
    expect(logins()).toBe(2);
  });

  it('that keeps asking for what it may not have is no login storm', async () => {
    const caller = shown(await jwt('reader'));

    for (let n = 0; n < 5; n += 1) {
      expect(await read(caller, 'app/closed')).toMatchObject(problem(403, 'vault_denied'));
    }
    expect(logins()).toBe(1);
  });

  it('gets what its role was given since its login, a minute later', async () => {
    await role('growing', 'growing', []);
    const caller = shown(await jwt('growing'), 'growing');
    expect((await read(caller)).status).toBe(403);
    await role('growing', 'growing');
    expect((await read(caller)).status).toBe(403);

    functions.clock.ahead += 2 * MINUTE;
    expect((await read(caller)).status).toBe(403);
    expect((await read(caller)).status).toBe(200);
  });

  it('whose token Vault has revoked has no access at once, and gets it again by logging in', async () => {
    const caller = shown(await jwt('reader'));
    expect((await read(caller)).status).toBe(200);
    await admin(inject).request('POST', `sys/leases/revoke-prefix/auth/${mount}/login`, {});

    expect(await read(caller)).toMatchObject(problem(403, 'vault_denied'));
    functions.clock.ahead += 2 * MINUTE;
    expect((await read(caller)).status).toBe(200);
    expect(logins()).toBe(2);
  });

  it.each<[string, () => Promise<{ headers: Record<string, string> }>]>([
    ['a token of another signer', async () => shown(await forged())],
    ['an expired token', async () => shown(await jwt('reader', -3_600))],
    ['a role it is not bound to', async () => shown(await jwt('stranger'))],
    ['a role that is not there', async () => shown(await jwt('reader'), 'absent')],
    ['no JWT at all', async () => shown('canary-no-jwt')],
  ])('with %s is refused, and is told nothing else', async (_what, caller) => {
    const headers = await caller();
    const answer = await read(headers);

    expect(answer).toMatchObject(problem(401, 'caller_refused'));
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(JSON.stringify(answer)).not.toContain(headers.headers.authorization?.slice(7));
    expect(functions.audited).toMatchObject([{ outcome: 'denied', code: 'caller_refused' }]);
  });
});

describe('a Vault token', () => {
  it('is looked up once in a while, not for each request', async () => {
    const token = await createToken([world.appPolicy]);
    const caller = { headers: { 'x-vault-token': token } };
    const lookups = () => functions.exchanges.filter(({ path }) => path.endsWith('/lookup-self')).length;

    for (let n = 0; n < 5; n += 1) expect((await read(caller)).status).toBe(200);
    expect(lookups()).toBe(1);
    functions.clock.ahead += MINUTE;
    expect((await read(caller)).status).toBe(200);
    expect(lookups()).toBe(2);
  });

  it("that was revoked has no access at once, by Vault's own refusal", async () => {
    const token = await createToken([world.appPolicy]);
    const caller = { headers: { 'x-vault-token': token } };
    expect((await read(caller)).status).toBe(200);
    await admin(inject).request('POST', 'auth/token/revoke', { token });

    expect(await read(caller)).toMatchObject(problem(403, 'vault_denied'));
    expect(await read(caller)).toMatchObject(problem(401, 'caller_refused'));
  });

  it('that is none is refused', async () => {
    expect(await read({ headers: { 'x-vault-token': 'canary' } })).toMatchObject(
      problem(401, 'caller_refused'),
    );
  });
});

describe('who shows nothing', () => {
  it.each<[string, Record<string, string>, number, string]>([
    ['no proof', {}, 401, 'caller_missing'],
    ['an empty token', { 'x-vault-token': '' }, 401, 'caller_missing'],
    ['another scheme', { authorization: 'Basic Y2FuYXJ5' }, 401, 'caller_missing'],
    ['no role', { authorization: 'Bearer x.y.z' }, 400, 'role_missing'],
    ['a role that is a path', { authorization: 'Bearer x', 'x-vault-role': '../a' }, 400, 'role_missing'],
  ])('%s: is told what is missing, and Vault is not asked', async (_what, headers, status, code) => {
    const answer = await read({ headers });

    expect(answer).toMatchObject(problem(status, code));
    expect(answer.body).toHaveProperty('hint');
    expect(functions.exchanges).toEqual([]);
    expect(functions.audited).toHaveLength(1);
  });
});

async function forged(): Promise<string> {
  const payload = Buffer.from((await jwt('reader')).split('.')[1] ?? '', 'base64url').toString();
  return new SignJWT(JSON.parse(payload)).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.alloc(32, 1));
}
