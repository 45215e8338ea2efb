import { ulid } from 'ulid';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { applyPlan } from '../../../lib/host/setup/apply-plan.ts';
import { planSetup } from '../../../lib/host/setup/plan.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { resolveManaged } from '../../../lib/host/setup/resolve.ts';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { type Specification, specificationSchema } from '../../../lib/rotation/specification.ts';
import { authAnswer } from '../../../lib/vault/tokens.ts';
import { kindCases } from '../../kinds/cases.ts';
import { PASSWORD_POLICY } from '../../kinds/generated.ts';
import type { PreparedKind } from '../../kinds/kind-case.ts';
import { documentOf, firstGeneration, rotateOnce } from '../../kinds/rotating.ts';
import { adminOf, uniqueName } from '../../support/admin.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';
import { itemsOf, type Need, neededItems, type PolicyItem, Recorder } from './policy-probe.ts';
import { LAYOUTS } from './setup-world.ts';

const policyAnswer = z.object({ data: z.object({ policy: z.string() }) });
const CASES = LAYOUTS.flatMap((layout) => kindCases.map((one) => [one.kind, layout, one] as const));

describe.each(CASES)('kind %s, prepared for, layout %s', (_kind, layout, one) => {
  const name = uniqueName('secret');
  let root: World;
  let prepared: PreparedKind;
  /** Added to the clock, so that the next look is due. */
  let later = 0;
  const now = () => Date.now() + later;

  beforeAll(async () => {
    root = openWorld(await createWorld({ layout }), { now });
    prepared = await one.prepare(root);
  });
  afterAll(async () => {
    await prepared.close();
    await root.close();
  });

  /** As every specification of this kind is written, with a token role of its own where there is one. */
  async function specified() {
    const input = await prepared.specify(name);
    // It is made beside the root's other policies; a real namespace has its own.
    if (input.kind === 'generated' && layout === 'namespace') {
      const path = `${root.namespace}/sys/policies/password/${input.policy}`;
      await adminOf(root).request('PUT', path, { policy: PASSWORD_POLICY });
    }
    return 'token_role' in input ? { ...input, token_role: `leasekeeper-${name}` } : input;
  }

  it('is rotated with the policies that setup writes, and needs all that its kind declares', async () => {
    const specify = await specified();
    const spec = specificationSchema.parse(specify);
    const token = await prepareFor(spec);
    const recorders: Recorder[] = [];
    const acting = openWorld(
      { ...root, rootToken: token },
      {
        now,
        transport: (real) => {
          const recorder = new Recorder(real);
          recorders.push(recorder);
          return recorder;
        },
      },
    );
    const world: World = { ...root, rotate: acting.rotate };
    await firstGeneration(world, { ...prepared, specify: async () => specify }, name);
    later = 2 * 3_600_000;
    expect((await rotateSecret(world.rotate, name))?.steps).toContain('verify');
    await rotateOnce(world, prepared, name);
    later += 60_000;
    await rotateSecret(world.rotate, name);
    expect((await documentOf(world, name)).state).toMatchObject({ cur: { g: 2 }, retiring: [], failures: 0 });
    await reapOne(world, spec);
    await acting.close();
    const denied = recorders.flatMap((recorder) => recorder.deniedTo(token));
    expect(denied.filter((path) => !path.endsWith('/sys/internal/ui/mounts'))).toEqual([]);
    const needs = recorders.flatMap((recorder) => recorder.needsOf(token));
    expect(await unneeded(needs)).toEqual([]);
  });

  /** What a worker that died has left outside Vault's leases. */
  async function reapOne(world: World, spec: Specification): Promise<void> {
    const rotator = world.rotate.rotatorOf(spec.kind);
    const attempt = {
      id: ulid(now()),
      generation: 3,
      spec,
      current: undefined,
      retiring: [],
      urgent: false,
      assertClaimed: () => {},
    };
    const intent = rotator?.intent?.(attempt);
    if (intent === undefined) return;
    await rotator?.create(attempt);
    await rotator?.reap?.(intent);
  }

  async function unneeded(needs: readonly Need[]): Promise<readonly PolicyItem[]> {
    const admin = adminOf(root);
    const { data } = await admin.read(policyAnswer, 'GET', `sys/policies/acl/leasekeeper-managed-${name}`);
    const items = itemsOf(data.policy);
    const needed = await neededItems(admin, '', items, needs);
    // What is published is read where somebody else was there first, or where a test wants it: policies.test.ts has both.
    const published = (item: PolicyItem) =>
      item.path.endsWith(`/app/data/${name}`) && item.capability === 'read';
    return items.filter((item) => !needed.includes(item) && !published(item));
  }

  /** Only what belongs to this secret, and rotate's own policy under another name: other tests have theirs on the same server. */
  async function prepareFor(spec: Specification): Promise<string> {
    const { namespace, stateMount: state, vault, mounts } = root;
    const plan = planSetup({
      namespace,
      authNamespace: '',
      layout,
      state,
      maxVersions: 2,
      shards: { leases: 2, rotations: 1, deliveries: 1 },
      tokenTtlSeconds: 3_600,
      managed: [await resolveManaged(mounts, namespace, spec)],
      templates: await readPolicyTemplates(),
    });
    const ours = plan.filter(({ write }) => write.path.endsWith(name));
    const reports = await applyPlan(vault, ours, { update: false });
    expect(new Set(reports.map(({ outcome }) => outcome))).toEqual(new Set(['made']));
    const { request, read } = adminOf(root);
    const rotate = plan.find(({ write }) => write.path.endsWith('/leasekeeper-rotate'));
    await request('PUT', `sys/policies/acl/rotate-${name}`, { policy: rotate?.write.body.policy });
    const policies = [`rotate-${name}`, `leasekeeper-managed-${name}`];
    const body = { policies, no_default_policy: true };
    return (await read(authAnswer, 'POST', 'auth/token/create-orphan', body)).auth.client_token;
  }
});
