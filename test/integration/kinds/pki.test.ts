import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import pLimit from 'p-limit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { onLeaseOutcome } from '../../../lib/rotation/rotate.ts';
import type { Created } from '../../../lib/rotation/rotators/rotator.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { IssuedCertificates } from '../../../lib/vault/issued-certificates.ts';
import { authAnswer, Tokens } from '../../../lib/vault/tokens.ts';
import { firstAttempt } from '../../kinds/acting.ts';
import { recovered, stoppedAt } from '../../kinds/interrupted-worker.ts';
import { type PreparedPki, preparePki, textAt } from '../../kinds/pki.ts';
import {
  documentOf,
  firstGeneration,
  knownCredentials,
  publishedValue,
  rotateOnce,
} from '../../kinds/rotating.ts';
import { adminOf } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import {
  createWorld,
  openWorld,
  type World,
  type WorldDescription,
  type WorldOptions,
} from '../../support/world.ts';
import { openCare } from '../leases/care.ts';

let later = 0;
const now = () => Date.now() + later;
const opened: World[] = [];

beforeEach(() => {
  later = 0;
});
afterAll(() => Promise.all(opened.map((world) => world.close())));

async function open(options: WorldOptions = {}): Promise<World> {
  const world = openWorld(await createWorld(options), { now, onError: () => {} });
  opened.push(world);
  return world;
}

/** What `create` makes for an attempt that nobody records. */
async function unrecorded(world: World, prepared: PreparedPki, name: string): Promise<Created> {
  await world.secrets.apply(await prepared.specify(name));
  const { spec } = await documentOf(world, name);
  const made = await world.rotate.rotatorOf('pki')?.create(firstAttempt(spec));
  if (made === undefined) throw new Error('There is no kind pki.');
  return made;
}

/** Serial numbers on the mount's revocation list, as handles have them. */
async function onRevocationList(world: World): Promise<readonly string[]> {
  const list = await textAt(world, `${world.namespace}/pki/crl/pem`);
  const text = execFileSync('openssl', ['crl', '-noout', '-text'], { input: list, encoding: 'utf8' });
  return [...text.matchAll(/Serial Number: ([0-9A-F]+)/g)].map(([, serial = '']) =>
    (serial.toLowerCase().match(/../g) ?? []).join(':'),
  );
}

const serialIn = ({ handle }: Pick<Created, 'handle'>) => String(handle.serial);

describe.each(['prefix', 'namespace'] as const)('an unrecorded certificate, layout %s', (layout) => {
  let world: World;
  let prepared: PreparedPki;
  beforeAll(async () => {
    world = await open({ layout });
    prepared = await preparePki(world);
  });

  it('is revoked when its token expires', async () => {
    const made = await unrecorded(world, prepared, 'expiring');
    expect(await prepared.works('expiring', made.value)).toBe(true);
    expect(await onRevocationList(world)).not.toContain(serialIn(made));
    await until(async () => !(await prepared.works('expiring', made.value)), 20_000);
    expect(await prepared.certificates().read(serialIn(made))).toMatchObject({
      revokedAt: expect.any(Number),
    });
    expect(await onRevocationList(world)).toContain(serialIn(made));
  });

  it('is revoked when its token is', async () => {
    const made = await unrecorded(world, prepared, 'revoked');
    await new Tokens(world.vault, String(made.handle.token_ns)).revokeAccessor(String(made.handle.accessor));
    await until(async () => !(await prepared.works('revoked', made.value)), 5_000);
    expect(await onRevocationList(world)).toContain(serialIn(made));
  });
});

describe('a certificate', () => {
  let world: World;
  let prepared: PreparedPki;
  beforeAll(async () => {
    world = await open();
    prepared = await preparePki(world);
  });
  const stateOf = async (name: string) => (await documentOf(world, name)).state;
  const eventsOf = (name: string) =>
    world.published.filter((event) => 'name' in event.data && event.data.name === name);
  const first = (name: string, changes = {}) => firstGeneration(world, prepared, name, changes);

  it('is for the names that were asked for, and is published with its key and its authority', async () => {
    const names = { alt_names: ['*.names.example', 'ops@names.example'], uri_sans: ['spiffe://a/b?c=d'] };
    await first('names', { ...names, ip_sans: ['10.0.0.1', 'fd00::1'], ttl: '48h' });
    const value = await publishedValue(world, 'names');
    expect(Object.keys(value ?? {})).toEqual(
      expect.arrayContaining([
        'ca_chain',
        'certificate',
        'expiration',
        'issuing_ca',
        'private_key',
        'private_key_type',
        'serial_number',
      ]),
    );
    const leaf = new X509Certificate(String(value?.certificate));
    expect(leaf.verify(new X509Certificate(prepared.authority).publicKey)).toBe(true);
    expect(leaf.subjectAltName?.split(', ')).toEqual(
      expect.arrayContaining(['DNS:*.names.example', 'email:ops@names.example', 'URI:spiffe://a/b?c=d']),
    );
  });

  it('is replaced at two thirds of its own life', async () => {
    await first('two-thirds');
    const { cur, due = 0 } = await stateOf('two-thirds');
    const value = await publishedValue(world, 'two-thirds');
    expect(cur?.endsAt).toBe(Number(value?.expiration) * 1_000);
    const life = Number(cur?.endsAt) - Number(cur?.since);
    expect((due - Number(cur?.since)) / life).toBeGreaterThan(0.63);
    expect((due - Number(cur?.since)) / life).toBeLessThanOrEqual(2 / 3);
    later = due - Date.now() + 1_000;
    await rotateSecret(world.rotate, 'two-thirds');
    expect(await stateOf('two-thirds')).toMatchObject({ cur: { g: 2 }, retiring: [] });
    expect(await prepared.works('two-thirds', value)).toBe(false);
    expect(await onRevocationList(world)).toContain(String(value?.serial_number));
  });

  /** A further role of the engine, and a token role for it. */
  async function roleNamed(role: string, changes: object) {
    const { request } = adminOf(world);
    await request('POST', `${world.namespace}/pki/roles/${role}`, {
      allow_any_name: true,
      key_type: 'ec',
      key_bits: 256,
      generate_lease: true,
      ...changes,
    });
    const policy = `attempt-${role}-${world.namespace}`;
    await request('PUT', `sys/policies/acl/${policy}`, {
      policy: `path "${world.namespace}/pki/issue/${role}" { capabilities = ["update"] }`,
    });
    const token_role = `leasekeeper-${role}-${world.namespace}`;
    await request('POST', `auth/token/roles/${token_role}`, { orphan: true, allowed_policies: [policy] });
    return { role, token_role };
  }

  it('that lives for less than half of what was asked is given back', async () => {
    await first('short', { ...(await roleNamed('short', { max_ttl: '100h' })), ttl: '201h' });
    expect(eventsOf('short')).toMatchObject([
      { type: 'secret.rotation_failed', data: { step: 'test', code: 'test_certificate_ends_too_soon' } },
    ]);
    expect(await stateOf('short')).toMatchObject({ phase: 'idle', retiring: [] });
    expect(await prepared.live()).toEqual(
      await knownCredentials(world, prepared, ['names', 'two-thirds', 'short']),
    );
  });

  it.each([
    ['no-lease', { generate_lease: false }],
    ['no-store', { no_store: true }],
  ])('that a role issues without a lease is not taken: %s', async (name, changes) => {
    await first(name, await roleNamed(name, changes));
    expect(eventsOf(name)).toMatchObject([
      { type: 'secret.rotation_failed', data: { step: 'create', code: 'pki_lease_required' } },
    ]);
    expect(await publishedValue(world, name)).toBeUndefined();
    expect(await world.store.list(`pending/${name}`)).toEqual([]);
  });

  it('whose lease is gone without it is not taken for retired until it is revoked', async () => {
    await first('no-longer-leased');
    const { cur } = await stateOf('no-longer-leased');
    const handle = { ...cur?.h, lease_id: `${world.namespace}/pki/issue/web/gone`, accessor: 'gone' };
    const revoke = () =>
      world.rotate.rotatorOf('pki')?.revoke?.({ name: 'any', generation: 1, handle, published: undefined });
    await expect(revoke()).rejects.toMatchObject({ code: 'pki_certificate_not_revoked' });
    await prepared.disturb?.('no-longer-leased', handle);
    await revoke();
  });

  it('of a mount that is gone counts as gone', async () => {
    const { cur } = await stateOf('names');
    const handle = { ...cur?.h, lease_id: 'gone', accessor: 'gone', mount: 'no-such-mount' };
    const ended = { name: 'names', generation: 1, handle, published: undefined };
    const rotator = world.rotate.rotatorOf('pki');
    await rotator?.revoke?.(ended);
    const { spec } = await documentOf(world, 'names');
    expect(await rotator?.inspect?.(spec, ended, async () => undefined)).toBe('certificate_unknown');
    // Whoever is not root is denied where there is no mount.
    const { auth } = await adminOf(world).read(authAnswer, 'POST', 'auth/token/create-orphan', {
      policies: ['default'],
    });
    const anybody = actingWith(world.client, new Secret(auth.client_token));
    const at = (mount: string) => new IssuedCertificates(anybody, `${world.namespace}/${mount}`);
    expect(await at('no-such-mount').read(String(cur?.h.serial))).toBeUndefined();
    expect(await at('pki').read(String(cur?.h.serial))).toEqual({ revokedAt: undefined });
  });
});

describe('the token of a certificate', () => {
  it('outlives it at one renewal, and needs no care', async () => {
    const world = await open();
    const prepared = await preparePki(world);
    await firstGeneration(world, prepared, 'covered', { ttl: '100h' });
    const { cur } = await documentOf(world, 'covered').then(({ state }) => state);
    const token = await new Tokens(world.vault, '').lookupAccessor(String(cur?.h.accessor));
    expect(token.expireTime).toBeGreaterThan(Number(cur?.endsAt));
    const shards = await world.leases.scan();
    expect(shards.flatMap(({ entries, fresh }) => [...entries, fresh]).filter(Boolean)).toEqual([]);
  });

  it('that cannot live as long is kept by the agenda, which has the certificate replaced in time', async () => {
    const described = await createWorld({ shards: 1 });
    // Its own life is 16 seconds at most, that of the certificate 30.
    const care = openCare(described, { policy: { scanIntervalMs: 500, lookAheadMs: 700 } });
    opened.push(care.world);
    const prepared = await preparePki(care.world, { tokenRole: { token_explicit_max_ttl: '16s' } });
    await firstGeneration(care.world, prepared, 'uncovered', { ttl: '30s' });
    const { cur } = (await documentOf(care.world, 'uncovered')).state;
    const { lease_id, accessor, ends_at } = cur?.h ?? {};
    await care.scanAndVisit();
    expect(await care.lease(String(lease_id))).toMatchObject({ final: true, parent: accessor });
    expect(await care.tokenOf(String(accessor))).toMatchObject({ accessor });
    const value = await publishedValue(care.world, 'uncovered');
    await until(async () => {
      care.clock.now = Date.now();
      await care.scanAndVisit();
      return care.told().includes('lease.expiring');
    }, 20_000);
    // Told while it still works, and well before its own end would be.
    expect(await prepared.works('uncovered', value)).toBe(true);
    expect(care.clock.now).toBeLessThan(Number(ends_at) - 6_000);
    const expiring = care.world.published.find((event) => event.type === 'lease.expiring');
    if (expiring?.type !== 'lease.expiring') throw new Error('Nothing was told.');
    await onLeaseOutcome(care.world.rotate, expiring);
    await rotateSecret(care.world.rotate, 'uncovered');
    expect((await documentOf(care.world, 'uncovered')).state).toMatchObject({
      cur: { g: 2 },
      history: [{ reason: 'lease_expiring' }, { reason: 'first' }],
    });
    expect(await prepared.works('uncovered', await publishedValue(care.world, 'uncovered'))).toBe(true);
    expect(await prepared.works('uncovered', value)).toBe(false);
  });
});

describe('a worker that stops', () => {
  const limit = pLimit(3);
  /** More than a rotation has; those beyond its end find it done. */
  const calls = Array.from({ length: 32 }, (_, call) => call + 1);
  let described: WorldDescription;
  let world: World;
  let prepared: PreparedPki;
  beforeAll(async () => {
    world = await open({ shards: 1 });
    described = world;
    prepared = await preparePki(world);
  });

  it('for hours before any call, then goes on, revokes nothing current and leaves nothing unknown', async () => {
    const names: string[] = [];
    const ends = await Promise.all(
      calls.map((call) =>
        limit(async () => {
          const name = `sleep-${call}`;
          names.push(name);
          const stop = await stoppedAt(described, prepared, name, { call, when: 'before' });
          if (stop === undefined) return 0;
          await recovered(stop);
          await rotateOnce(stop.others, prepared, name);
          await recovered(stop);
          await stop.wake();
          await recovered(stop);
          const { state } = await documentOf(stop.others, name);
          expect({ name, g: state.cur?.g }).toEqual({ name, g: 3 });
          expect(await prepared.works(name, await publishedValue(stop.others, name))).toBe(true);
          await stop.others.close();
          return 1;
        }),
      ),
    );
    const slept = ends.filter((end) => end === 1).length;
    expect(slept).toBeGreaterThan(20);
    const known = await knownCredentials(world, prepared, names);
    await until(async () => (await prepared.live()).length === known.length, 20_000);
    expect(await prepared.live()).toEqual(known);
  }, 240_000);
});
