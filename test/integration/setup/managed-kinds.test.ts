import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeOf } from '../../../lib/errors.ts';
import { applyPlan } from '../../../lib/host/setup/apply-plan.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { type ManagedNeeds, resolveManaged, resolveNeeds } from '../../../lib/host/setup/resolve.ts';
import type { Right } from '../../../lib/rotation/rotators/kind.ts';
import { specificationSchema } from '../../../lib/rotation/specification.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { joinPath } from '../../../lib/vault/addressing.ts';
import type { Vault, VaultMethod } from '../../../lib/vault/client.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { Mounts, tokenNamespaceOf } from '../../../lib/vault/mounts.ts';
import { authAnswer, Tokens } from '../../../lib/vault/tokens.ts';
import { createSetupWorld, LAYOUTS, type SetupWorld } from './setup-world.ts';

const bare = { name: 'some-secret', consumers: [], rights: { rotate: [] } } satisfies ManagedNeeds;

/** One that is leased, one that is changed in place, one with a right of every sort. */
const NEEDS: readonly ManagedNeeds[] = [
  {
    name: 'certificate',
    consumers: ['web'],
    publish: 'app/certificate',
    rights: {
      rotate: [{ under: 'kv-destroy', path: 'app/certificate', capabilities: ['update'] }],
      attempt: {
        tokenRole: 'leasekeeper-certificate',
        rights: [{ under: 'namespace', path: 'transit/encrypt/app', capabilities: ['update'] }],
      },
    },
  },
  {
    name: 'in-place',
    consumers: [],
    rights: {
      rotate: [{ under: 'namespace', path: 'transit/keys/app/rotate', capabilities: ['update'] }],
    },
  },
  {
    name: 'every-sort',
    consumers: ['web', 'batch'],
    publish: 'app/deep/every',
    rights: {
      rotate: [
        { under: 'auth', path: 'auth/given/role/app/secret-id', capabilities: ['update'] },
        { under: 'system', path: 'sys/policies/password/app/generate', capabilities: ['read'] },
        { under: 'kv-data', path: 'app/issuer', capabilities: ['read'] },
        { under: 'kv-metadata', path: 'app/issuer', capabilities: ['read', 'delete'] },
        { under: 'state-data', path: 'kept/every-sort', capabilities: ['create', 'read'] },
        { under: 'state-metadata', path: 'kept/every-sort', capabilities: ['delete'] },
        { under: 'state-data', path: 'secrets/every-sort', capabilities: ['read'] },
      ],
    },
  },
];

describe.each(LAYOUTS)('preparing for several kinds, layout %s', (layout) => {
  let world: SetupWorld;
  let mounts: Mounts;
  /** Where VAULT_NAMESPACE has its `sys/` and its tokens. */
  let system: string;

  beforeAll(async () => {
    world = await createSetupWorld(layout);
    const { request } = world.admin;
    const { namespace } = world.options;
    mounts = new Mounts(world.vault, layout === 'namespace' ? namespace : world.root);
    system = await tokenNamespaceOf(world.vault, namespace, world.root);
    const mountAt = (name: string) =>
      layout === 'namespace'
        ? `${namespace}/sys/mounts/${name}`
        : `${world.root}/sys/mounts/lotabots/${name}`;
    await request('POST', mountAt('transit'), { type: 'transit' });
    await request('POST', mountAt('old'), { type: 'kv', options: { version: '1' } });
    await request('POST', `${namespace}/transit/keys/app`, {});
    await request('POST', `${world.root}/sys/auth/given`, { type: 'approle' });
    await request('POST', `${world.root}/auth/given/role/app`, {});
    await request('PUT', `${system}/sys/policies/password/app`, {
      policy: 'length = 20\nrule "charset" {\n  charset = "abcdef0123456789"\n}\n',
    });
    await request('POST', `${namespace}/app/data/issuer`, { data: { key: 'x' } });
    world.takeWrites();
  });
  afterAll(() => world.close());

  const resolve = (needs: ManagedNeeds) => resolveNeeds(mounts, world.options.namespace, needs);
  const steps = async () => {
    const managed = [world.managed, ...(await Promise.all(NEEDS.map(resolve)))];
    return planSetup({ ...world.options, managed });
  };

  it('finds in a specification what its kind declares', async () => {
    const spec = specificationSchema.parse({
      kind: 'lease',
      name: 'app-database',
      source: 'database/creds/app',
      publish: 'app/database',
      token_role: 'leasekeeper-app-database',
      grace: '1s',
      deadline: '1m',
      consumers: ['app'],
    });
    expect(await resolveManaged(mounts, world.options.namespace, spec)).toEqual(world.managed);
  });

  it('makes everything once', async () => {
    const first = await applyPlan(world.vault, await steps(), { update: false });
    expect(new Set(first.map(({ outcome }) => outcome))).toEqual(new Set(['made']));
    world.takeWrites();
    const again = await applyPlan(world.vault, await steps(), { update: false });
    expect(new Set(again.map(({ outcome }) => outcome))).toEqual(new Set(['there']));
    expect(world.takeWrites()).toEqual([]);
  });

  it('allows rotate what a kind declares, at the paths where it is', async () => {
    const { namespace } = world.options;
    const vault = await actingUnder(['leasekeeper-managed-in-place', 'leasekeeper-managed-every-sort']);
    const request = async (method: VaultMethod, path: string) =>
      (await vault.request({ method, path, repeatable: true })).status;
    expect(await request('POST', `${namespace}/transit/keys/app/rotate`)).toBe(200);
    expect(await request('POST', `${world.root}/auth/given/role/app/secret-id`)).toBe(200);
    expect(await request('GET', `${system}/sys/policies/password/app/generate`)).toBe(200);
    const app = new KvStore(vault, `${namespace}/app`);
    expect((await app.read('issuer')).entry?.data).toEqual({ key: 'x' });
    await app.write('deep/every', { key: 'y' }, 0);
    await app.deleteMetadata('issuer');
    const state = new KvStore(vault, world.options.state);
    await state.write('kept/every-sort', { a: 1 }, 0);
    await state.deleteMetadata('kept/every-sort');
  });

  it('allows it no more than that', async () => {
    const { namespace } = world.options;
    const inPlace = await actingUnder(['leasekeeper-managed-in-place']);
    const denied = async (vault: Vault, method: VaultMethod, path: string) => {
      const work = vault.request({ method, path, body: {}, repeatable: true });
      expect(await work.then(() => 'allowed', codeOf), path).toBe('vault_denied');
    };
    await denied(inPlace, 'POST', `${namespace}/transit/encrypt/app`);
    await denied(inPlace, 'GET', `${namespace}/app/data/deep/every`);
    await denied(inPlace, 'POST', `${world.root}/auth/given/role/app/secret-id`);
    const everySort = await actingUnder(['leasekeeper-managed-every-sort']);
    await denied(everySort, 'POST', `${namespace}/app/data/issuer`);
    await denied(everySort, 'POST', `${namespace}/transit/keys/app/rotate`);
  });

  it('takes nothing from rotate that its own policy allows', async () => {
    const write = (vault: Vault, cas: number) =>
      new KvStore(vault, world.options.state).write('secrets/every-sort', { cas }, cas);
    await write(world.vault, 0);
    expect(await write(await actingUnder(['leasekeeper-rotate', 'leasekeeper-managed-every-sort']), 1)).toBe(
      2,
    );
  });

  it('gives an attempt a token that may do what its kind declares, and nothing else', async () => {
    const { namespace } = world.options;
    const { token } = await new Tokens(world.vault, system).create('leasekeeper-certificate', 60);
    const vault = actingWith(world.client, new Secret(token));
    const encrypt = {
      method: 'POST',
      path: `${namespace}/transit/encrypt/app`,
      body: { plaintext: 'eA==' },
      repeatable: true,
    } as const;
    expect((await vault.request(encrypt)).status).toBe(200);
    const rotate = vault.request({ ...encrypt, path: `${namespace}/transit/keys/app/rotate` });
    await expect(rotate).rejects.toMatchObject({ code: 'vault_denied' });
  });

  const missing: readonly Right[] = [
    { under: 'namespace', path: 'nowhere/creds/x', capabilities: ['read'] },
    { under: 'kv-data', path: 'nowhere/x', capabilities: ['read'] },
    { under: 'kv-metadata', path: 'nowhere/x', capabilities: ['read'] },
    { under: 'kv-destroy', path: 'nowhere/x', capabilities: ['update'] },
    // These are no secrets engines: a real namespace has them too.
    { under: 'namespace', path: 'sys/policies/acl/x', capabilities: ['update'] },
    { under: 'namespace', path: 'auth/token/create', capabilities: ['update'] },
    { under: 'namespace', path: 'identity/entity', capabilities: ['update'] },
    { under: 'namespace', path: 'cubbyhole/x', capabilities: ['read'] },
  ];

  it.each(missing)(
    'names the secret and the path where no secrets engine is: $under $path',
    async (right) => {
      const error = {
        code: 'setup_source_mount_missing',
        message: expect.stringContaining(`some-secret uses ${world.options.namespace}/${right.path},`),
      };
      await expect(resolve({ ...bare, rights: { rotate: [right] } })).rejects.toMatchObject(error);
      const attempt = { tokenRole: 'leasekeeper-x', rights: [right] };
      await expect(resolve({ ...bare, rights: { rotate: [], attempt } })).rejects.toMatchObject(error);
    },
  );

  it.each(['old/x', 'app', 'database/x'])('names a path that is not in a KV v2 mount: %s', async (path) => {
    const message = expect.stringMatching(new RegExp(`lotabots/${path},.*some-secret`));
    const right: Right = { under: 'kv-data', path, capabilities: ['read'] };
    await expect(resolve({ ...bare, rights: { rotate: [right] } })).rejects.toMatchObject({
      code: 'setup_source_path_not_kv2',
      message,
    });
    await expect(resolve({ ...bare, publish: path })).rejects.toMatchObject({
      code: 'setup_publish_path_not_kv2',
      message,
    });
  });

  async function actingUnder(policies: readonly string[]): Promise<Vault> {
    const path = joinPath(world.root, 'auth/token/create-orphan');
    const body = { policies, no_default_policy: true };
    const { auth } = await world.admin.read(authAnswer, 'POST', path, body);
    return actingWith(world.client, new Secret(auth.client_token));
  }
});
