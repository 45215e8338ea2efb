import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { Book } from '../../../lib/agenda/book.ts';
import { ROTATIONS } from '../../../lib/agenda/hint.ts';
import { applyPlan } from '../../../lib/host/setup/apply-plan.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { rulesIn } from '../../../lib/host/setup/policy-rules.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { createSetupWorld, LAYOUTS, type SetupWorld } from './setup-world.ts';

const policyAnswer = z.object({ data: z.object({ policy: z.string() }) });
const rolePolicies = z.object({ data: z.object({ token_policies: z.array(z.string()) }) });

describe.each(LAYOUTS)('preparing a Vault, layout %s', (layout) => {
  let world: SetupWorld;
  const apply = (update = false) => applyPlan(world.vault, planSetup(world.options), { update });
  const policyPath = (name: string) => `${world.root}/sys/policies/acl/${name}`;
  const policy = async (name: string) =>
    (await world.admin.read(policyAnswer, 'GET', policyPath(name))).data.policy;

  beforeAll(async () => {
    world = await createSetupWorld(layout);
  });
  afterAll(() => world.close());

  it('makes everything, then finds everything and writes nothing', async () => {
    const first = await apply();
    expect(new Set(first.map(({ outcome }) => outcome))).toEqual(new Set(['made']));
    expect(world.takeWrites()).toHaveLength(first.length);
    const second = await apply();
    expect(new Set(second.map(({ outcome }) => outcome))).toEqual(new Set(['there']));
    expect(world.takeWrites()).toEqual([]);
    // Nor with --update, where nothing differs.
    await apply(true);
    expect(world.takeWrites()).toEqual([]);
  });

  it('makes books that the agenda works with', async () => {
    const store = new KvStore(world.vault, world.options.state);
    const book = new Book({ kind: ROTATIONS, store, now: Date.now, random: Math.random });
    await book.add({ id: 'x', due: 1, for: 1 });
    expect(await book.scan()).toMatchObject([{ shard: 0, fresh: true }]);
    world.takeWrites();
  });

  it('keeps the number of shards that a book was made with', async () => {
    const shards = { leases: 32, rotations: 2, deliveries: 2 };
    const reports = await applyPlan(world.vault, planSetup({ ...world.options, shards }), { update: true });
    expect(reports.every(({ outcome }) => outcome === 'there')).toBe(true);
    expect(world.takeWrites()).toEqual([]);
  });

  it('reports a policy that was changed by hand and leaves it, until told to update', async () => {
    const wanted = await policy('leasekeeper-scan');
    const widened = 'path "*" {\n  capabilities = ["read"]\n}\n';
    await world.admin.request('PUT', policyPath('leasekeeper-scan'), { policy: widened });
    const reports = await apply();
    expect(reports.filter(({ outcome }) => outcome === 'different')).toEqual([
      {
        title: `policy ${world.root}/leasekeeper-scan`,
        outcome: 'different',
        ours: true,
        differences: [{ field: 'policy', there: widened, wanted }],
      },
    ]);
    expect(world.takeWrites()).toEqual([]);
    expect(await policy('leasekeeper-scan')).toBe(widened);
    const updated = await apply(true);
    expect(updated.filter(({ outcome }) => outcome === 'updated')).toHaveLength(1);
    expect(world.takeWrites()).toEqual([`PUT ${policyPath('leasekeeper-scan')}`]);
    expect(await policy('leasekeeper-scan')).toBe(wanted);
  });

  it.each([
    { what: 'other policies', change: { allowed_policies_glob: ['*'] } },
    { what: 'other entities', change: { allowed_entity_aliases: ['*'] } },
    { what: 'children of its maker', change: { orphan: false } },
    { what: 'an endless life', change: { token_period: 86_400 } },
  ])('sees a token role that was widened to $what', async ({ change }) => {
    const tokenNamespace = layout === 'namespace' ? world.options.namespace : world.root;
    const role = `${tokenNamespace}/auth/token/roles/leasekeeper-app-database`;
    await world.admin.request('POST', role, change);
    const different = (await apply()).filter(({ outcome }) => outcome === 'different');
    expect(different.map(({ differences }) => differences.map(({ field }) => field))).toEqual([
      Object.keys(change),
    ]);
    expect(world.takeWrites()).toEqual([]);
    await apply(true);
    expect(world.takeWrites()).toEqual([`POST ${role}`]);
    expect((await apply()).every(({ outcome }) => outcome === 'there')).toBe(true);
  });

  it('lets a role and a consumer keep what earlier managed secrets gave them', async () => {
    const role = `${world.root}/auth/approle/role/leasekeeper-rotate`;
    const other = {
      ...world.managed,
      name: 'other',
      attempt: { tokenRole: 'leasekeeper-other', rights: [] },
    };
    const plan = planSetup({ ...world.options, managed: [other] });
    const first = await applyPlan(world.vault, plan, { update: false });
    // Giving a role one more policy, or a consumer one more document, is widening it: that must be asked for.
    expect(first.filter(({ outcome }) => outcome === 'different').map(({ title }) => title)).toEqual([
      expect.stringContaining('leasekeeper-consumer-app'),
      'AppRole leasekeeper-rotate',
    ]);
    await applyPlan(world.vault, plan, { update: true });
    expect((await world.admin.read(rolePolicies, 'GET', role)).data.token_policies.sort()).toEqual([
      'leasekeeper-managed-app-database',
      'leasekeeper-managed-other',
      'leasekeeper-rotate',
    ]);
    const documents = rulesIn(await policy('leasekeeper-consumer-app')).filter(({ path }) =>
      path.includes('/data/secrets/'),
    );
    expect(documents).toEqual(
      ['other', 'app-database'].map((name) => ({
        path: `leasekeeper/data/secrets/${name}`,
        capabilities: ['read'],
      })),
    );
    world.takeWrites();
    expect((await apply()).every(({ outcome }) => outcome === 'there')).toBe(true);
  });
});

describe('preparing a Vault that is in use', () => {
  let world: SetupWorld;
  beforeAll(async () => {
    world = await createSetupWorld('prefix');
  });
  afterAll(() => world.close());

  it('writes nothing at all when a mount is there for something else', async () => {
    await world.admin.request('POST', `${world.root}/sys/mounts/leasekeeper`, { type: 'transit' });
    await expect(applyPlan(world.vault, planSetup(world.options), { update: true })).rejects.toMatchObject({
      code: 'setup_mount_different',
    });
    expect(world.takeWrites()).toEqual([]);
    await world.admin.request('DELETE', `${world.root}/sys/mounts/leasekeeper`);
  });

  it('goes on where it was broken off, and tightens a mount that nobody has configured', async () => {
    await world.admin.request('POST', `${world.root}/sys/mounts/leasekeeper`, {
      type: 'kv',
      options: { version: '2' },
    });
    const reports = await applyPlan(world.vault, planSetup(world.options), { update: false });
    expect(reports.filter(({ outcome }) => outcome === 'there').map(({ title }) => title)).toEqual([
      `secrets engine ${world.options.state}`,
    ]);
    expect(reports.filter(({ outcome }) => outcome === 'different')).toEqual([]);
  });

  it('leaves a state mount that somebody has configured otherwise', async () => {
    await world.admin.request('POST', `${world.options.state}/config`, {
      cas_required: false,
      max_versions: 9,
    });
    world.takeWrites();
    const reports = await applyPlan(world.vault, planSetup(world.options), { update: false });
    expect(reports.filter(({ outcome }) => outcome === 'different')).toMatchObject([
      { differences: [{ field: 'cas_required' }, { field: 'max_versions', there: '9', wanted: '4' }] },
    ]);
    expect(world.takeWrites()).toEqual([]);
  });
});
