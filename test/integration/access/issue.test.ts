import { afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import type { CareEntry } from '../../../lib/leases/entry.ts';
import { testPostgresLogin } from '../../../lib/rotation/probes/postgres.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport, TransportRequest } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { liveRoles, openWorld, type World } from '../../support/world.ts';
import {
  type AccessWorld,
  type Asked,
  createAccessWorld,
  createToken,
  type Functions,
  leaseSchema,
  openFunctions,
  problem,
} from './access-world.ts';

let world: AccessWorld;
let opened: World;
let token: string;
let functions: Functions;
let rolesBefore: readonly string[];

beforeAll(async () => {
  world = await createAccessWorld();
  token = await createToken([world.appPolicy]);
});
beforeEach(async () => {
  opened = openWorld(world);
  functions = openFunctions(world);
  rolesBefore = await liveRoles(world);
});
afterEach(() => opened.close());

const asking = (body: unknown, as = token): Asked => ({ headers: { 'x-vault-token': as }, body });
const issue = (body: unknown, as = token) => functions.fetch('POST', '/v1/leases', asking(body, as));

async function issued(body: Readonly<Record<string, unknown>> = {}, as = token) {
  const answer = await issue({ path: 'database/creds/app', ...body }, as);
  expect(answer.status).toBe(201);
  return leaseSchema.parse(answer.body);
}

/** What the agenda has, once its inbox is merged. */
async function entries(): Promise<readonly CareEntry[]> {
  const shards = await Promise.all([0, 1].map((shard) => opened.leases.visit(shard, () => ({}))));
  return shards.flatMap(({ state }) => [...state.entries.values()]);
}
const entryOf = async (id: string) => (await entries()).find((entry) => entry.id === id);
const issuedNothing = async () => expect(await liveRoles(world)).toEqual(rolesBefore);

describe('a lease', () => {
  it('is answered with its data, which works, and is under care by then', async () => {
    const before = Date.now();
    const lease = await issued();

    const works = await testPostgresLogin({ ...world.postgres, tls: false }, lease.data ?? {});
    expect(works).toEqual({ ok: true });
    expect(lease).toMatchObject({ lease_duration: 3_600, renewable: true, kept: true });
    const ends = Date.parse(lease.expires_at);
    // Counted from before Vault was asked, so that nobody thinks it younger than it is.
    expect(ends).toBeGreaterThanOrEqual(before + 3_600_000);
    expect(ends).toBeLessThanOrEqual(Date.now() + 3_600_000);
    const entry = await entryOf(lease.lease_id);
    expect(entry).toMatchObject({
      kind: 'lease',
      consumer: 'token',
      path: `${world.namespace}/database/creds/app`,
      ns: '',
      ttl: 3_600,
      parent: expect.any(String),
    });
    const parents = (await entries()).flatMap((one) => (one.kind === 'token' ? [one.accessor] : []));
    expect(parents).toContain(entry?.kind === 'lease' ? entry.parent : undefined);
  });

  it('is audited without the value, the lease only by its hash', async () => {
    const lease = await issued();

    expect(functions.audited).toMatchObject([
      {
        action: 'issue',
        path: 'database/creds/app',
        outcome: 'ok',
        lease: expect.stringMatching(/^\w{16}$/),
      },
    ]);
    const text = JSON.stringify(functions.audited);
    for (const value of [lease.data?.password ?? '', lease.lease_id, token])
      expect(text).not.toContain(value);
  });

  it('too short to be kept is said to be so, and is not put under care', async () => {
    const lease = await issued({ path: 'database/creds/brief' });

    expect(lease.kept).toBe(false);
    expect(await entryOf(lease.lease_id)).toBeUndefined();
  });

  it('needed for a limited time is not renewed beyond', async () => {
    const lease = await issued({ ttl: 7_200 });
    const entry = await entryOf(lease.lease_id);

    const until = entry?.kind === 'lease' ? (entry.until ?? 0) : 0;
    expect(until - Date.parse(lease.expires_at)).toBeGreaterThan(3_500_000);
    expect(until - Date.parse(lease.expires_at)).toBeLessThan(3_700_000);
  });
});

describe('a wrapped lease', () => {
  const unwrap = (wrapping: string) => admin(inject).request('POST', 'sys/wrapping/unwrap', {}, wrapping);

  it('is opened once, and holds the data and the lease id', async () => {
    const lease = await issued({ wrap_ttl: 60 });
    expect(lease.data).toBeUndefined();
    const wrapping = lease.wrap_info?.token ?? '';

    const content = z.object({
      data: z.object({ data: z.record(z.string(), z.unknown()), lease_id: z.string() }),
    });
    const { data } = content.parse(await unwrap(wrapping));

    expect(data.lease_id).toBe(lease.lease_id);
    expect(await testPostgresLogin({ ...world.postgres, tls: false }, data.data)).toEqual({ ok: true });
    await expect(unwrap(wrapping)).rejects.toMatchObject({ status: 400 });
    expect(await entryOf(lease.lease_id)).toMatchObject({ wrap: { accessor: lease.wrap_info?.accessor } });
  });

  it('that could end unopened and unrenewed is refused, and nothing stays', async () => {
    const answer = await issue({ path: 'database/creds/app', wrap_ttl: 3_000 });

    expect(answer).toMatchObject(problem(422, 'wrap_ttl_too_long'));
    await issuedNothing();
  });
});

describe('replacing', () => {
  it('retires the old lease of the same caller after the grace', async () => {
    const old = await issued();
    await entries();

    await issued({ replaces: old.lease_id });

    const entry = await entryOf(old.lease_id);
    const at = entry?.kind === 'lease' ? (entry.retire_at ?? 0) : 0;
    expect(at).toBeGreaterThan(Date.now() + 50_000);
    expect(at).toBeLessThan(Date.now() + 70_000);
  });

  it.each(['an unknown lease', 'a lease of another token with the same display name'])(
    '%s is refused, and nothing is issued',
    async (whose) => {
      const other = await createToken([world.appPolicy]);
      const theirs =
        whose === 'an unknown lease' ? 'database/creds/app/absent' : (await issued({}, other)).lease_id;
      await entries();
      rolesBefore = await liveRoles(world);

      const answer = await issue({ path: 'database/creds/app', replaces: theirs });

      expect(answer).toMatchObject(problem(409, 'not_your_lease'));
      await issuedNothing();
      expect((await entries()).filter(({ id }) => id === theirs)).not.toContainEqual(
        expect.objectContaining({ retire_at: expect.anything() }),
      );
    },
  );

  it('two AppRoles are two callers, though Vault gives both the same display name', async () => {
    const { request, read } = admin(inject);
    const mount = uniqueName('approle');
    await request('POST', `sys/auth/${mount}`, { type: 'approle' });
    const tokenOfRole = async (role: string) => {
      await request('POST', `auth/${mount}/role/${role}`, { token_policies: [world.appPolicy] });
      const roleId = await read(
        z.object({ data: z.object({ role_id: z.string() }) }),
        'GET',
        `auth/${mount}/role/${role}/role-id`,
      );
      const secretId = await read(
        z.object({ data: z.object({ secret_id: z.string() }) }),
        'POST',
        `auth/${mount}/role/${role}/secret-id`,
      );
      const login = await read(
        z.object({ auth: z.object({ client_token: z.string() }) }),
        'POST',
        `auth/${mount}/login`,
        { ...roleId.data, ...secretId.data },
      );
      return login.auth.client_token;
    };
    const [mine, yours] = [await tokenOfRole('mine'), await tokenOfRole('yours')];
    const old = await issued({}, yours);
    expect(await entryOf(old.lease_id)).toMatchObject({ consumer: mount });

    expect(await issue({ path: 'database/creds/app', replaces: old.lease_id }, mine)).toMatchObject(
      problem(409, 'not_your_lease'),
    );
    await issued({ replaces: old.lease_id }, yours);
  });
});

describe('what is refused', () => {
  it.each<[string, string, number, string]>([
    ['a path that the caller may not read', 'database/creds/other', 403, 'vault_denied'],
    ['a role that is not there', 'database/creds/absent', 400, 'vault_bad_request'],
    ['a secret in KV v2', 'app/static', 422, 'not_a_lease'],
    ['a secret in KV v1', 'legacy/static', 422, 'not_a_lease'],
  ])('%s is a problem with a code and a hint; nothing is issued', async (_what, path, status, code) => {
    const { request } = admin(inject);
    await request('POST', `${world.namespace}/legacy/static`, { word: 'canary' });
    await request('POST', `${world.namespace}/app/data/static`, { data: { word: 'canary' } });

    const answer = await issue({ path });

    expect(answer).toMatchObject(problem(status, code));
    expect(answer.body).toMatchObject({ hint: expect.any(String), request_id: expect.any(String) });
    expect(JSON.stringify(answer)).not.toContain('canary');
    await issuedNothing();
    expect(functions.audited).toMatchObject([{ outcome: status === 403 ? 'denied' : 'error', code }]);
  });
});

describe('when the agenda cannot be written', () => {
  const isInbox = ({ method, path }: TransportRequest) => method === 'PUT' && path.includes('/inbox/');
  const lost = () =>
    new VaultError('vault_unreachable', 'The connection was cut.', {
      processed: 'maybe',
      reasons: ['ECONNRESET'],
    });
  /** The first messages, the addition with all its repetitions, are lost before or after Vault has them. */
  const losing = (when: 'before' | 'after', messages: number) => (real: Transport) => {
    let count = 0;
    return {
      exchange: async (request: TransportRequest) => {
        if (!isInbox(request)) return real.exchange(request);
        count += 1;
        if (count > messages) return real.exchange(request);
        if (when === 'after') await real.exchange(request);
        throw lost();
      },
      close: () => real.close(),
    };
  };

  it.each(['before', 'after'] as const)(
    'the lease is revoked and nothing is answered (cut %s)',
    async (when) => {
      const leases = async () => (await entries()).flatMap(({ kind, id }) => (kind === 'lease' ? [id] : []));
      const before = await leases();
      // Lease and parent token, four tries each.
      functions = openFunctions(world, { transport: losing(when, 8) });

      const answer = await issue({ path: 'database/creds/app' });

      expect(answer).toMatchObject(problem(503, 'vault_unreachable'));
      expect(JSON.stringify(answer)).not.toContain('password');
      expect(functions.exchanges.filter(({ path }) => path.endsWith('/creds/app'))).toHaveLength(1);
      await issuedNothing();
      // Nobody is to hear later of a lost lease that nobody had.
      expect(await leases()).toEqual(before);
    },
  );

  it('one answer lost on the way does not matter', async () => {
    functions = openFunctions(world, { transport: losing('after', 1) });

    const lease = await issued();

    expect(await entryOf(lease.lease_id)).toBeDefined();
  });
});
