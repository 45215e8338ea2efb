import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { codeOf } from '../../../lib/errors.ts';
import { FUNCTIONS } from '../../../lib/host/identities.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { writeAcknowledgement } from '../../../lib/vault/acknowledgements.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { joinPath } from '../../../lib/vault/addressing.ts';
import type { Vault } from '../../../lib/vault/client.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { tokenNamespaceOf } from '../../../lib/vault/mounts.ts';
import { Tokens } from '../../../lib/vault/tokens.ts';
import { itemsOf, type Need, neededItems, type PolicyItem, tokenUnder } from './policy-probe.ts';
import { type Actor, consumerToken, SCENARIOS } from './policy-scenarios.ts';
import { createPolicyWorld, type PolicyWorld } from './policy-world.ts';

const policyAnswer = z.object({ data: z.object({ policy: z.string() }) });

describe('the policies of the functions', () => {
  let worlds: readonly PolicyWorld[];

  beforeAll(async () => {
    worlds = await Promise.all([createPolicyWorld('prefix'), createPolicyWorld('namespace')]);
  });
  afterAll(() => Promise.all(worlds.map((world) => world.close())));

  it.each<Actor>([...FUNCTIONS, 'operator', 'consumer'])(
    'allow %s all that it does, and nothing that it does not need',
    async (name) => {
      const unneeded: (readonly string[])[] = [];
      for (const world of worlds) {
        const needs = await needsOf(world, name);
        const items = await itemsIn(world, name);
        expect(items.length).toBeGreaterThan(2);
        const needed = await neededItems(world.admin, world.authNamespace, items, needs);
        unneeded.push(items.filter((item) => !needed.includes(item)).map(labelOf));
      }
      // A line may be needed in one layout only: that of a real namespace, or of a prefix.
      const [inPrefix = [], inNamespace = []] = unneeded;
      expect(inPrefix.filter((item) => inNamespace.includes(item))).toEqual([]);
    },
  );

  async function needsOf(world: PolicyWorld, name: Actor): Promise<readonly Need[]> {
    const parts = await world.parts();
    const token = await SCENARIOS[name](world, parts);
    await parts.client.close();
    // Asking for the mounts of a namespace that is only a prefix is denied, which is the answer.
    const denied = parts.recorder.deniedTo(token).filter((path) => !path.includes('/sys/internal/ui/mounts'));
    expect(denied).toEqual([]);
    const needs = parts.recorder.needsOf(token);
    return [...needs, ...needs.flatMap((need) => furtherNeeds(world, need))];
  }

  /** What sys/capabilities cannot know from the path alone; the two tests below show both. */
  function furtherNeeds({ namespace }: PolicyWorld, { path }: Need): readonly Need[] {
    return path.startsWith(`${namespace}/auth/token/create/`) ? [{ path, capability: 'sudo' }] : [];
  }

  it('let a consumer acknowledge and subscribe in its own name alone, and see nothing else', async () => {
    for (const world of worlds) {
      const vault = actingWith(world.client, await consumerToken(world, 'other'));
      const store = new KvStore(vault, 'leasekeeper');
      const answerTo = (work: Promise<unknown>) => work.then(() => 'allowed', codeOf);
      expect(await answerTo(writeAcknowledgement(store, 'app-database', 'other', 1))).toBe('allowed');
      await world.store.write('acks/app-database/victim', { generation: 1 }, 0);
      const refused = [
        writeAcknowledgement(store, 'app-database', 'victim', 2),
        store.write('acks/app-database/victim', { generation: 2 }, 1),
        store.write('acks/app-database/absent', { generation: 2 }, 0),
        store.write('acks/app-database/deep/other', { generation: 2 }, 0),
        store.write('acks/app-database/other/deep', { generation: 2 }, 0),
        store.read('acks/app-database/victim'),
        store.list('acks/app-database'),
        store.deleteMetadata('acks/app-database/other'),
        store.read('secrets/app-database'),
        store.list('secrets'),
        store.list('subscriptions'),
        store.list('subscriptions/victim'),
        store.read('subscriptions/victim/x'),
        store.write('subscriptions/victim/x', {}, 0),
        store.write('subscriptions/_all/x', {}, 0),
        store.write('subscriptions/other', {}, 0),
        store.write('subscriptions/other-two/x', {}, 0),
        store.deleteMetadata('subscriptions/victim/x'),
        store.list('dispatches'),
        store.read('dispatches/2026-11-21/x'),
      ];
      expect(await Promise.all(refused.map(answerTo))).toEqual(refused.map(() => 'vault_denied'));
      const named = new KvStore(actingWith(world.client, await consumerToken(world, 'app')), 'leasekeeper');
      expect(await answerTo(named.read('secrets/app-database'))).toBe('allowed');
      const others = [
        named.read('secrets/app-manual'),
        named.read('pending/app-database/x'),
        named.write('secrets/app-database', {}, 0),
      ];
      expect(await Promise.all(others.map(answerTo))).toEqual(others.map(() => 'vault_denied'));
      expect((await world.store.read('acks/app-database/victim')).entry?.data).toEqual({ generation: 1 });
    }
  });

  it('let rotate find out whether there is a real namespace without any rule for it', async () => {
    const [prefix, real] = worlds;
    if (prefix === undefined || real === undefined) throw new Error('no worlds');
    const found = async (world: PolicyWorld) =>
      tokenNamespaceOf(await actingUnder(world, []), world.namespace, world.authNamespace);
    expect(await found(real)).toBe(real.namespace);
    expect(await found(prefix)).toBe(prefix.authNamespace);
  });

  it('let rotate make a token in a child namespace only with sudo, and then with no other policy', async () => {
    const [, world] = worlds;
    if (world === undefined) throw new Error('no world');
    const items = await itemsIn(world, 'rotate');
    const withoutSudo = items.filter(({ capability }) => capability !== 'sudo');
    const role = 'leasekeeper-app-database';
    const create = async (policy: readonly PolicyItem[]) =>
      new Tokens(await actingUnder(world, policy), world.namespace).create(role, 60);
    expect((await create(items)).renewable).toBe(true);
    await expect(create(withoutSudo)).rejects.toMatchObject({ code: 'vault_bad_request' });
    const vault = await actingUnder(world, items);
    const path = `${world.namespace}/auth/token/create/${role}`;
    const body = { policies: ['default'] };
    await expect(vault.request({ method: 'POST', path, body, repeatable: false })).rejects.toMatchObject({
      code: 'vault_bad_request',
    });
  });

  async function actingUnder(world: PolicyWorld, items: readonly PolicyItem[]): Promise<Vault> {
    const { token } = await tokenUnder(world.admin, world.authNamespace, items);
    return actingWith(world.client, new Secret(token));
  }

  async function itemsIn(world: PolicyWorld, name: Actor): Promise<readonly PolicyItem[]> {
    const policies = [
      name === 'consumer' ? 'leasekeeper-consumer-app' : `leasekeeper-${name}`,
      ...(name === 'rotate' ? ['leasekeeper-managed-app-database'] : []),
    ];
    const texts = await Promise.all(
      policies.map((policy) =>
        world.admin.read(policyAnswer, 'GET', joinPath(world.authNamespace, 'sys/policies/acl', policy)),
      ),
    );
    return texts.flatMap(({ data }) => itemsOf(data.policy));
  }
});

function labelOf({ path, capability }: PolicyItem): string {
  return `${capability} ${path}`;
}
