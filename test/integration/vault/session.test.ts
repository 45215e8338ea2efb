import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { appRoleAuth } from '../../../lib/vault/auth/approle.ts';
import type { AuthMethod } from '../../../lib/vault/auth/login.ts';
import { tokenAuth } from '../../../lib/vault/auth/token.ts';
import { VaultClient, type VaultExchange } from '../../../lib/vault/client.ts';
import { VaultSession } from '../../../lib/vault/session.ts';
import { createTransport, type TransportRequest } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { until } from '../../support/until.ts';

const { request, read, address } = admin(inject);
const mount = uniqueName('approle');
const roleSchema = z.object({ data: z.object({ role_id: z.string() }) });
const secretSchema = z.object({ data: z.object({ secret_id: z.string() }) });
const tokenSchema = z.object({ auth: z.object({ client_token: z.string(), accessor: z.string() }) });
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  await request('POST', `sys/auth/${mount}`, { type: 'approle' });
});
afterAll(async () => {
  for (const close of closing) await close();
});

/** Credentials of a new role whose tokens live for an hour. */
async function newRole(): Promise<AuthMethod> {
  const role = uniqueName('role');
  await request('POST', `auth/${mount}/role/${role}`, { token_ttl: '1h', token_max_ttl: '4h' });
  const { data } = await read(roleSchema, 'GET', `auth/${mount}/role/${role}/role-id`);
  const secret = await read(secretSchema, 'PUT', `auth/${mount}/role/${role}/secret-id`, {});
  return appRoleAuth({ mount, roleId: data.role_id, secretId: new Secret(secret.data.secret_id) });
}

/** A session whose clock is moved by hand: without Vault's `Date` there is only the clock it is given. */
function newSession(
  method: AuthMethod,
  heldBack: (request: TransportRequest) => Promise<void> | undefined = () => undefined,
) {
  const exchanges: VaultExchange[] = [];
  const failures: unknown[] = [];
  const clock = { now: Date.now() };
  const real = createTransport({ address });
  const client = new VaultClient({
    now: () => clock.now,
    onExchange: (exchange) => exchanges.push(exchange),
    transport: {
      exchange: async (asked) => {
        // Decided as requests are sent: in which order their answers come is not ours to say.
        const holding = heldBack(asked);
        const answer = await real.exchange(asked);
        await holding;
        return { ...answer, headers: { ...answer.headers, date: undefined } };
      },
      close: () => real.close(),
    },
  });
  closing.push(() => client.close());
  const session = new VaultSession({ client, method, onAuthFailure: (error) => failures.push(error) });
  const count = (end: string) => exchanges.filter(({ path }) => path.endsWith(end)).length;
  const look = () => session.request({ method: 'GET', path: 'auth/token/lookup-self', repeatable: true });
  return { session, clock, count, look, failures, logins: () => count(`auth/${mount}/login`) };
}

const fifty = <T>(work: () => Promise<T>) => Promise.all(Array.from({ length: 50 }, work));

describe('a session by AppRole', () => {
  it('logs in once for 50 requests at once', async () => {
    const { look, logins } = newSession(await newRole());
    await fifty(look);
    expect(logins()).toBe(1);
  });

  it('logs in once more when its token was revoked, for 50 requests at once', async () => {
    const { session, look, logins, clock } = newSession(await newRole());
    const { accessor } = await session.held();
    await request('POST', 'auth/token/revoke-accessor', { accessor });
    clock.now += 31_000;
    await fifty(look);
    expect(logins()).toBe(2);
    expect((await session.held()).accessor).not.toBe(accessor);
  });

  it('logs in once also for a request whose refusal comes when another has logged in already', async () => {
    let old = '';
    let sent = 0;
    const { session, look, logins, clock } = newSession(await newRole(), ({ path, headers }) => {
      if (!path.endsWith('lookup-self') || headers['x-vault-token'] !== old) return undefined;
      sent += 1;
      return sent === 2 ? until(() => logins() === 2) : undefined;
    });
    const held = await session.held();
    await request('POST', 'auth/token/revoke-accessor', { accessor: held.accessor });
    old = held.token.expose();
    clock.now += 31_000;
    await Promise.all([look(), look()]);
    expect(logins()).toBe(2);
  });

  it('takes a refusal for what it is, and does not log in again for it', async () => {
    const { session, logins, clock } = newSession(await newRole());
    const denied = () => session.request({ method: 'GET', path: 'sys/policies/acl/root', repeatable: true });
    await expect(denied()).rejects.toMatchObject({ code: 'vault_denied' });
    clock.now += 31_000;
    await fifty(() => expect(denied()).rejects.toMatchObject({ code: 'vault_denied' }));
    expect(logins()).toBe(1);
  });

  it('renews its token late in its life, once for 50 requests, and replaces it at last', async () => {
    const { session, look, logins, count, clock } = newSession(await newRole());
    const first = await session.held();
    clock.now += 2_300_000;
    await fifty(look);
    expect([logins(), count('renew-self')]).toEqual([1, 0]);
    clock.now += 200_000;
    await fifty(look);
    expect([logins(), count('renew-self')]).toEqual([1, 1]);
    expect((await session.held()).accessor).toBe(first.accessor);
    clock.now += 3_590_000;
    await fifty(look);
    expect(logins()).toBe(2);
    expect((await session.held()).accessor).not.toBe(first.accessor);
  });

  it('reports credentials that Vault refuses, without naming them', async () => {
    const secretId = new Secret('not-the-secret-id');
    const { look, failures } = newSession(appRoleAuth({ mount, roleId: 'no-such-role', secretId }));
    await expect(look()).rejects.toMatchObject({ code: 'vault_bad_request' });
    expect(failures).toHaveLength(1);
    expect(JSON.stringify(failures) + String(failures[0])).not.toContain('not-the-secret-id');
  });

  it('ends its token when it is closed', async () => {
    const { session } = newSession(await newRole());
    const { accessor } = await session.held();
    await session.close();
    await expect(request('POST', 'auth/token/lookup-accessor', { accessor })).rejects.toMatchObject({
      errors: [expect.stringContaining('invalid accessor')],
    });
  });
});

describe('a session by a token that was given', () => {
  async function given() {
    const { auth } = await read(tokenSchema, 'POST', 'auth/token/create', {
      ttl: '1h',
      policies: ['default'],
    });
    return { accessor: auth.accessor, ...newSession(tokenAuth(new Secret(auth.client_token))) };
  }

  it('uses it, knows its end, and leaves it as it is when closed', async () => {
    const { session, look, accessor } = await given();
    await look();
    expect(await session.held()).toMatchObject({ accessor, renewable: true });
    await session.close();
    await request('POST', 'auth/token/lookup-accessor', { accessor });
  });

  it('shows the refusal once it was revoked: there is nothing to log in with', async () => {
    const { look, accessor, clock } = await given();
    await look();
    await request('POST', 'auth/token/revoke-accessor', { accessor });
    clock.now += 31_000;
    await expect(look()).rejects.toMatchObject({ code: 'vault_denied' });
  });

  it('never ends for a root token', async () => {
    const { session, count, clock, look } = newSession(tokenAuth(new Secret(inject('openbao').rootToken)));
    await look();
    expect((await session.held()).expiresAt).toBe(Number.POSITIVE_INFINITY);
    clock.now += 1_000_000_000;
    await look();
    expect(count('renew-self')).toBe(0);
  });
});
