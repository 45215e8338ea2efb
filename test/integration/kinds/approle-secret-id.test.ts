import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { codeOf } from '../../../lib/errors.ts';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { approleSecretId, reapSecretId } from '../../../lib/rotation/rotators/approle-secret-id.ts';
import type { SpecificationInput } from '../../../lib/rotation/specification.ts';
import { VaultError } from '../../../lib/vault/errors.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { allowedOnly, attemptAt, eachWithoutOne, rotatorIn } from '../../kinds/acting.ts';
import { logsIn, mountAppRole, secretIdsOf } from '../../kinds/approle-secret-id.ts';
import { ask, documentOf, publishedValue } from '../../kinds/rotating.ts';
import { adminOf } from '../../support/admin.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const KIND = 'approle-secret-id';
const HOUR_MS = 3_600_000;
const accessorsSchema = z.object({ data: z.object({ keys: z.array(z.string()) }) });
const tokenSchema = z.object({ data: z.object({ path: z.string() }) });

let world: World;
/** Added to the clock. */
let later = 0;

beforeAll(async () => {
  world = openWorld(await createWorld(), { now: () => Date.now() + later, onError: () => {} });
});
beforeEach(() => {
  later = 0;
});
afterAll(() => world.close());

function specify(name: string, mount: string, changes: object = {}): SpecificationInput {
  const fixed = {
    kind: KIND,
    name,
    role: 'app',
    publish: `app/${name}`,
    grace: '0s',
    deadline: '0s',
  } as const;
  return { ...fixed, mount, ...changes };
}

const handleIn = async (name: string) => (await documentOf(world, name)).state.cur?.h ?? {};

async function tokensOf(mount: string): Promise<number> {
  const { read, request } = adminOf(world);
  const { data } = await read(accessorsSchema, 'GET', 'auth/token/accessors?list=true');
  const paths = await Promise.all(
    data.keys.map((accessor) =>
      request('POST', 'auth/token/lookup-accessor', { accessor }).then(
        (answer) => tokenSchema.parse(answer).data.path,
        () => '',
      ),
    ),
  );
  return paths.filter((path) => path === `auth/${mount}/login`).length;
}

describe('what it makes', () => {
  it('is tried by a login, of which no token is left', async () => {
    const mount = await mountAppRole(world);
    await world.secrets.apply(specify('tried', mount));
    await rotateSecret(world.rotate, 'tried');
    const value = await publishedValue(world, 'tried');
    expect(Object.keys(value ?? {}).sort()).toEqual(['role_id', 'secret_id', 'secret_id_accessor']);
    expect(world.exchanges.some(({ path }) => path === `auth/${mount}/login`)).toBe(true);
    expect(await tokensOf(mount)).toBe(0);
    expect(await logsIn(world, mount, value)).toBe(true);
    expect(await tokensOf(mount)).toBe(1);
  });

  it('leaves a batch token of its login to that token’s own end', async () => {
    const mount = await mountAppRole(world, { token_type: 'batch' });
    await world.secrets.apply(specify('batch', mount));
    await rotateSecret(world.rotate, 'batch');
    expect((await documentOf(world, 'batch')).state.cur?.g).toBe(1);
  });

  it.each([
    ['specification', {}, { num_uses: 1 }],
    ['role', { secret_id_num_uses: 1 }, {}],
  ])('is not used up by the test when the %s bounds its uses', async (what, role, changes) => {
    const mount = await mountAppRole(world, role);
    const name = `uses-${what}`;
    await world.secrets.apply(specify(name, mount, changes));
    await rotateSecret(world.rotate, name);
    const value = await publishedValue(world, name);
    expect(await logsIn(world, mount, value)).toBe(true);
    expect(await logsIn(world, mount, value)).toBe(false);
    // One that is used up is gone, and replaced.
    later = 2 * HOUR_MS;
    await rotateSecret(world.rotate, name);
    expect((await documentOf(world, name)).state.cur?.g).toBe(2);
  });

  it('is not tried from an address that it is not for', async () => {
    const mount = await mountAppRole(world);
    await world.secrets.apply(specify('elsewhere', mount, { cidr_list: ['192.0.2.0/24'] }));
    await rotateSecret(world.rotate, 'elsewhere');
    expect((await documentOf(world, 'elsewhere')).state.cur?.g).toBe(1);
    expect(await logsIn(world, mount, await publishedValue(world, 'elsewhere'))).toBe(false);
  });

  it('is not published when the role does not let it in, unless nobody is to try', async () => {
    const mount = await mountAppRole(world, { secret_id_bound_cidrs: ['192.0.2.0/24'] });
    await world.secrets.apply(specify('refused', mount));
    await rotateSecret(world.rotate, 'refused');
    expect((await documentOf(world, 'refused')).state).toMatchObject({ failures: 1, retiring: [] });
    expect(world.published.at(-1)?.data).toMatchObject({ step: 'test', code: 'test_login_refused' });
    expect(await secretIdsOf(world, mount).accessors()).toEqual([]);

    await world.secrets.apply(specify('refused', mount, { try_login: false }));
    later = HOUR_MS;
    await rotateSecret(world.rotate, 'refused');
    expect((await documentOf(world, 'refused')).state.cur?.g).toBe(1);
  });

  it('is replaced before it ends, whoever says how long it lives', async () => {
    const mount = await mountAppRole(world, { secret_id_ttl: '3h' });
    await world.secrets.apply(specify('by-role', mount));
    await world.secrets.apply(specify('by-specification', mount, { ttl: '90m' }));
    for (const [name, ttlMs] of [
      ['by-role', 3 * HOUR_MS],
      ['by-specification', 1.5 * HOUR_MS],
    ] as const) {
      await rotateSecret(world.rotate, name);
      const { cur, due = 0 } = (await documentOf(world, name)).state;
      expect(cur?.ttlMs).toBe(ttlMs);
      expect((cur?.endsAt ?? 0) - (cur?.since ?? 0)).toBeLessThanOrEqual(ttlMs);
      expect(due).toBeLessThan((cur?.since ?? 0) + ttlMs);
    }
  });

  it.each([
    ['longer', { ttl: '4h' }, 'vault_bad_request'],
    ['unknown', { role: 'nobody' }, 'approle_role_missing'],
  ])('fails with a code of its own for a role that does not allow it: %s', async (name, changes, code) => {
    const mount = await mountAppRole(world, { secret_id_ttl: '3h' });
    await world.secrets.apply(specify(name, mount, changes));
    await rotateSecret(world.rotate, name);
    expect(world.published.at(-1)?.data).toMatchObject({ name, step: 'create', code });
  });
});

/** A worker whose exchange to make a secret id goes through `meet`. */
function whoMakes(
  meet: (send: () => ReturnType<Transport['exchange']>) => ReturnType<Transport['exchange']>,
) {
  return openWorld(world, {
    now: () => Date.now() + later,
    transport: (real) => ({
      exchange: (request) =>
        /\/secret-id$/.test(request.path) && request.method === 'POST'
          ? meet(() => real.exchange(request))
          : real.exchange(request),
      close: () => real.close(),
    }),
  });
}

describe('an attempt that came to nothing', () => {
  it('leaves no secret id behind when the answer was lost', async () => {
    const mount = await mountAppRole(world);
    await world.secrets.apply(specify('lost', mount));
    const unlucky = whoMakes(async (send) => {
      await send();
      throw new VaultError('vault_unreachable', 'The connection was cut.', { processed: 'maybe' });
    });
    await expect(rotateSecret(unlucky.rotate, 'lost')).rejects.toThrow('The connection was cut.');
    await unlucky.close();
    expect(await secretIdsOf(world, mount).accessors()).toHaveLength(1);

    later = HOUR_MS;
    await rotateSecret(world.rotate, 'lost');
    expect(await secretIdsOf(world, mount).accessors()).toEqual([(await handleIn('lost')).accessor]);
    expect(await logsIn(world, mount, await publishedValue(world, 'lost'))).toBe(true);
  });

  it('leaves none behind when its worker slept before the call, and others have gone on', async () => {
    const mount = await mountAppRole(world);
    await world.secrets.apply(specify('slept', mount));
    const asleep = Promise.withResolvers<void>();
    const awake = Promise.withResolvers<void>();
    const sleeper = whoMakes(async (send) => {
      asleep.resolve();
      await awake.promise;
      return send();
    });
    const working = rotateSecret(sleeper.rotate, 'slept');
    await asleep.promise;
    later = HOUR_MS;
    await rotateSecret(world.rotate, 'slept');
    const { accessor } = await handleIn('slept');
    awake.resolve();
    await working;
    await sleeper.close();
    expect(await secretIdsOf(world, mount).accessors()).toHaveLength(2);

    later += HOUR_MS;
    await rotateSecret(world.rotate, 'slept');
    expect(await secretIdsOf(world, mount).accessors()).toEqual([accessor]);
    expect((await documentOf(world, 'slept')).state.cur).toMatchObject({ g: 1, h: { accessor } });
    // It is looked for over a day, then no more.
    later += 26 * HOUR_MS;
    for (let visit = 0; visit < 8; visit += 1) await rotateSecret(world.rotate, 'slept');
    expect((await documentOf(world, 'slept')).state.reap).toEqual([]);
  });

  it('is looked for by its own name only', async () => {
    const mount = await mountAppRole(world);
    const secretIds = secretIdsOf(world, mount);
    const made = new Map<string, string>();
    for (let number = 0; number < 20; number += 1) {
      const id = `attempt-${number}`;
      made.set(id, (await secretIds.issue({ metadata: { leasekeeper: id } })).accessor);
    }
    const theirs = await secretIds.issue({ metadata: {} });
    await reapSecretId(secretIds, 'attempt-7');
    const left = [...made].filter(([id]) => id !== 'attempt-7').map(([, accessor]) => accessor);
    expect([...(await secretIds.accessors())].sort()).toEqual([...left, theirs.accessor].sort());
    // Again, and for one that never made any.
    await reapSecretId(secretIds, 'attempt-7');
    await reapSecretId(secretIds, 'attempt-77');
    expect(await secretIds.accessors()).toHaveLength(20);
  });

  it('is not looked for among more than can be, and says so', async () => {
    const mount = await mountAppRole(world);
    const secretIds = secretIdsOf(world, mount);
    await secretIds.issue({ metadata: { leasekeeper: 'sought' } });
    await secretIds.issue({ metadata: {} });
    const reaping = reapSecretId(secretIds, 'sought', 1);
    expect(codeOf(await reaping.catch((error: unknown) => error))).toBe('secret_ids_too_many');
    expect(await secretIds.accessors()).toHaveLength(2);
  });

  it('has left nothing when the role is gone, or has no secret id', async () => {
    const mount = await mountAppRole(world);
    const secretIds = secretIdsOf(world, mount);
    await reapSecretId(secretIds, 'sought');
    await adminOf(world).request('DELETE', `auth/${mount}/role/app`);
    await reapSecretId(secretIds, 'sought');
  });
});

describe('ending one', () => {
  const madeAt = async (mount: string, changes: object = {}) => {
    const rotator = rotatorIn(world, KIND);
    const attempt = attemptAt(specify('ended', mount, changes));
    const { handle } = await rotator.create(attempt);
    return {
      rotator,
      spec: attempt.spec,
      ended: { name: 'ended', generation: 1, handle, published: undefined },
    };
  };

  it('counts one that has expired, or whose role was deleted, as ended', async () => {
    const mount = await mountAppRole(world);
    const expired = await madeAt(mount, { ttl: '1s' });
    const orphaned = await madeAt(mount);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const { request } = adminOf(world);
    await expired.rotator.revoke?.(expired.ended);
    await request('DELETE', `auth/${mount}/role/app`);
    await orphaned.rotator.revoke?.(orphaned.ended);
    const inspected = await orphaned.rotator.inspect?.(orphaned.spec, orphaned.ended, async () => undefined);
    expect(inspected).toBe('secret_id_destroyed');
  });

  it('counts one that somebody else destroys in the same moment as ended', async () => {
    const mount = await mountAppRole(world);
    const { ended } = await madeAt(mount);
    const statuses: number[] = [];
    const second = openWorld(world, {
      transport: (real) => ({
        exchange: async (request) => {
          if (!request.path.endsWith('/secret-id-accessor/destroy')) return real.exchange(request);
          await real.exchange(request);
          const answer = await real.exchange(request);
          statuses.push(answer.status);
          return answer;
        },
        close: () => real.close(),
      }),
    });
    await rotatorIn(second, KIND).revoke?.(ended);
    await second.close();
    expect(statuses).toEqual([500]);
    expect(await secretIdsOf(world, mount).accessors()).toEqual([]);
  });

  it('does not count one as ended that cannot be seen', async () => {
    const mount = await mountAppRole(world);
    const { rotator, ended } = await madeAt(mount);
    // As after a move of the mount: the secret id lives on elsewhere.
    await adminOf(world).request('DELETE', `sys/auth/${mount}`);
    const revoking = Promise.resolve(rotator.revoke?.(ended));
    expect(codeOf(await revoking.catch((error: unknown) => error))).toBe('vault_not_found');
  });

  it('is done where it was made, whatever the specification says by then', async () => {
    const [one, other] = [await mountAppRole(world), await mountAppRole(world)];
    await world.secrets.apply(specify('moved', one));
    await rotateSecret(world.rotate, 'moved');
    await world.secrets.apply(specify('moved', other));
    await ask(world, 'moved', { reason: 'demand' });
    await rotateSecret(world.rotate, 'moved');
    expect(await secretIdsOf(world, one).accessors()).toEqual([]);
    expect(await secretIdsOf(world, other).accessors()).toHaveLength(1);
  });
});

it('asks for the rights that it needs, and for no others', async () => {
  const mount = await mountAppRole(world);
  const attempt = attemptAt(specify('rights', mount));
  const spec = approleSecretId.schema.parse(specify('rights', mount));
  const rules = approleSecretId.rights(spec).rotate;
  // Its own policy has rotate revoke tokens.
  const own = { path: 'auth/token/revoke-accessor', capabilities: ['update'] };
  const wholeLife = async (acting: World) => {
    const rotator = rotatorIn(acting, KIND);
    const { handle, value } = await rotator.create(attempt);
    const ended = { name: 'rights', generation: 1, handle, published: undefined };
    expect(await rotator.test?.(attempt, handle, value)).toEqual({ ok: true });
    expect(await rotator.inspect?.(attempt.spec, ended, async () => value)).toBeUndefined();
    await rotator.revoke?.(ended);
    await rotator.reap?.(rotator.intent?.(attempt) ?? {});
    await acting.close();
  };
  await wholeLife(await allowedOnly(world, [...rules, own]));
  expect(await secretIdsOf(world, mount).accessors()).toEqual([]);
  for (const [lacking, left] of eachWithoutOne(rules)) {
    const acting = await allowedOnly(world, [...left, own]);
    const code = await wholeLife(acting).then(() => 'allowed', codeOf);
    expect({ lacking, code }).toEqual({ lacking, code: 'vault_denied' });
  }
});
