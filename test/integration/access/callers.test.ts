import { exportSPKI, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { admin, uniqueName } from '../../support/admin.ts';
import { type AccessCluster, createAccessCluster, shown as shownAs } from './access-cluster.ts';
import {
  type AccessWorld,
  createAccessWorld,
  createToken,
  type Functions,
  openFunctions,
  problem,
} from './access-world.ts';

const MINUTE = 60_000;

let world: AccessWorld;
let cluster: AccessCluster;
let functions: Functions;
let mount: string;

beforeAll(async () => {
  world = await createAccessWorld();
  cluster = await createAccessCluster();
  ({ mount } = cluster);
  const { request } = admin(inject);
  await request('POST', `${world.namespace}/app/data/static`, { data: { word: 'plain' } });
  await role('reader', 'reader');
});
afterAll(() => cluster.close());
beforeEach(() => {
  functions = openFunctions(world, { callerMounts: [mount] });
});

const role = (name: string, account: string, policies: readonly string[] = [world.appPolicy], at = mount) =>
  cluster.role(name, account, policies, at);
const jwt = (name: string, expiresInSeconds?: number) => cluster.jwt(name, expiresInSeconds);
const shown = (bearer: string, asRole = 'reader', at?: string) => shownAs(bearer, asRole, at);
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

describe('a service account that is no more', () => {
  const refused = problem(401, 'caller_refused');

  it('has access for five minutes at most when it was deleted', async () => {
    await role('leaver', 'leaver');
    const caller = shown(await jwt('leaver'), 'leaver');
    expect((await read(caller)).status).toBe(200);
    cluster.server.forget({ namespace: 'apps', name: 'leaver' });

    functions.clock.ahead += 5 * MINUTE - 10_000;
    expect((await read(caller)).status).toBe(200);
    functions.clock.ahead += 10_000;
    expect(await read(caller)).toMatchObject(refused);
    expect(await read(caller)).toMatchObject(refused);
  });

  it('has access for five minutes at most when its role was deleted', async () => {
    await role('dropped', 'dropped');
    const caller = shown(await jwt('dropped'), 'dropped');
    expect((await read(caller)).status).toBe(200);
    await admin(inject).request('DELETE', `auth/${mount}/role/dropped`);

    functions.clock.ahead += 5 * MINUTE;
    expect(await read(caller)).toMatchObject(refused);
  });

  it('has what its role has lost for five minutes at most', async () => {
    await role('shrinking', 'shrinking');
    const caller = shown(await jwt('shrinking'), 'shrinking');
    expect((await read(caller)).status).toBe(200);
    await role('shrinking', 'shrinking', []);

    functions.clock.ahead += 5 * MINUTE;
    expect(await read(caller)).toMatchObject(problem(403, 'vault_denied'));
  });

  it('has none from the moment that its token ends, without Vault being asked', async () => {
    const caller = shown(await jwt('reader', 90));
    expect((await read(caller)).status).toBe(200);
    functions.clock.ahead += MINUTE;
    expect((await read(caller)).status).toBe(200);

    functions.clock.ahead += MINUTE;
    const before = functions.exchanges.length;
    expect(await read(caller)).toMatchObject(refused);
    expect(functions.exchanges.length).toBe(before);
  });

  it('is shown to Vault once in five minutes, however often it asks', async () => {
    const caller = shown(await jwt('reader'));
    for (let n = 0; n < 12; n += 1) {
      expect((await read(caller)).status).toBe(200);
      functions.clock.ahead += MINUTE;
    }
    expect(logins()).toBe(3);
  });
});

describe('another auth mount', () => {
  it('is used when it is allowed and named', async () => {
    const second = await cluster.addMount();
    await role('reader', 'reader', [world.appPolicy], second);
    functions = openFunctions(world, { callerMounts: [mount, second] });
    const bearer = await jwt('reader');

    for (const at of [undefined, mount, second]) {
      expect((await read(shown(bearer, 'reader', at))).status).toBe(200);
    }
    // The first is the default, and nobody's login is used for somebody from elsewhere.
    expect(functions.exchanges.flatMap(({ path }) => /auth\/(.+)\/login$/.exec(path)?.[1] ?? [])).toEqual([
      mount,
      second,
    ]);
  });

  it.each(['absent', 'token', '../auth/token', 'x/..'])('is refused when it is not: %s', async (at) => {
    const answer = await read(shown(await jwt('reader'), 'reader', at));

    expect(answer).toMatchObject(problem(403, 'auth_mount_not_allowed'));
    expect(JSON.stringify(answer)).not.toContain(at);
    expect(functions.exchanges).toEqual([]);
    expect(functions.audited).toMatchObject([{ outcome: 'denied', code: 'auth_mount_not_allowed' }]);
  });

  it('may be of the jwt method, which takes tokens for longer than they say', async () => {
    const { request } = admin(inject);
    const oidc = uniqueName('jwt');
    const { publicKey, privateKey } = await generateKeyPair('RS256');
    await request('POST', `sys/auth/${oidc}`, { type: 'jwt' });
    await request('POST', `auth/${oidc}/config`, { jwt_validation_pubkeys: [await exportSPKI(publicKey)] });
    await request('POST', `auth/${oidc}/role/pipeline`, {
      role_type: 'jwt',
      user_claim: 'sub',
      bound_audiences: ['vault'],
      token_policies: [world.appPolicy],
    });
    functions = openFunctions(world, { callerMounts: [mount, oidc] });
    const endingIn = async (seconds: number) => {
      const signed = new SignJWT({})
        .setProtectedHeader({ alg: 'RS256' })
        .setSubject('ci')
        .setAudience('vault');
      const now = Math.floor(Date.now() / 1_000);
      return signed
        .setIssuedAt(now - 600)
        .setNotBefore(now - 600)
        .setExpirationTime(now + seconds)
        .sign(privateKey);
    };
    const over = await endingIn(-30);

    expect((await read(shown(await endingIn(60), 'pipeline', oidc))).status).toBe(200);
    expect(functions.audited[0]).toMatchObject({ who: { role: 'pipeline' } });
    await request('POST', `auth/${oidc}/login`, { role: 'pipeline', jwt: over });
    expect(await read(shown(over, 'pipeline', oidc))).toMatchObject(problem(401, 'caller_refused'));
  });
});

describe('a caller that asks too often', () => {
  const exceeded = problem(429, 'caller_rate_exceeded');
  beforeEach(() => {
    functions = openFunctions(world, { callerMounts: [mount], callerRate: { perSecond: 0.1, burst: 3 } });
  });

  it('is told when to come back, before Vault is asked; others are served', async () => {
    const caller = shown(await jwt('reader'));
    const answers = await Promise.all(Array.from({ length: 4 }, () => read(caller)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    const before = functions.exchanges.length;

    const refused = await read(caller);
    expect(refused).toMatchObject(exceeded);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(10);
    expect(functions.exchanges.length).toBe(before);
    expect(functions.audited.at(-1)).toMatchObject({ outcome: 'error', code: 'caller_rate_exceeded' });
    expect((await read(shown(await jwt('reader')))).status).toBe(200);

    functions.clock.ahead += 10_000;
    expect([(await read(caller)).status, (await read(caller)).status]).toEqual([200, 429]);
  });

  it('is counted though Vault refuses it', async () => {
    const caller = { headers: { 'x-vault-token': 'canary' } };
    const statuses = [];
    for (let n = 0; n < 5; n += 1) statuses.push((await read(caller)).status);

    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect(functions.exchanges).toHaveLength(3);
  });

  it('is counted by each function, and for each request of a batch', async () => {
    const token = await createToken([world.appPolicy]);
    const headers = { 'x-vault-token': token };
    const batch = (count: number) => ({
      headers,
      body: { requests: Array.from({ length: count }, () => ({ path: 'database/creds/absent' })) },
    });

    expect((await functions.fetch('POST', '/v1/leases/batch', batch(2))).status).toBe(200);
    expect(await functions.fetch('POST', '/v1/leases/batch', batch(2))).toMatchObject(exceeded);
    expect((await read({ headers })).status).toBe(200);
    expect(await read({ headers })).toMatchObject(exceeded);
    expect((await functions.manage('GET', '/v1/managed', { headers })).status).toBe(403);
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
