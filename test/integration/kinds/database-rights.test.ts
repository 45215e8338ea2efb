import { afterAll, beforeAll, expect, it } from 'vitest';
import * as z from 'zod';
import type { Right, RotatorDependencies } from '../../../lib/rotation/rotators/kind.ts';
import { kinds } from '../../../lib/rotation/rotators/kinds.ts';
import type { Attempt, Handle } from '../../../lib/rotation/rotators/rotator.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { type PreparedRoot, prepareRoot } from '../../kinds/database-root.ts';
import { type PreparedStatic, prepareStatic } from '../../kinds/database-static.ts';
import { adminOf, uniqueName } from '../../support/admin.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const tokenSchema = z.object({ auth: z.object({ client_token: z.string() }) });
const staticKind = kinds['database-static'];
const rootKind = kinds['database-root'];

let world: World;
let statics: PreparedStatic;
let roots: PreparedRoot;

beforeAll(async () => {
  world = openWorld(await createWorld());
  statics = await prepareStatic(world);
  roots = await prepareRoot(world);
});
afterAll(async () => {
  await statics.close();
  await roots.close();
  await world.close();
});

/** Acting with these rights and no others. */
async function allowed(rights: readonly Right[]): Promise<RotatorDependencies> {
  const { request, read } = adminOf(world);
  const name = uniqueName('rights');
  const policy = rights
    .map(({ path, capabilities }) => {
      const list = capabilities.map((one) => `"${one}"`).join(', ');
      return `path "${world.namespace}/${path}" { capabilities = [${list}] }`;
    })
    .join('\n');
  await request('PUT', `sys/policies/acl/${name}`, { policy });
  const { auth } = await read(tokenSchema, 'POST', 'auth/token/create', {
    policies: [name],
    no_default_policy: true,
  });
  return { ...world.rotators, vault: actingWith(world.client, new Secret(auth.client_token)) };
}

function attemptOf<Spec>(spec: Spec, generation: number, current?: Handle): Attempt<Spec> {
  return {
    id: `attempt-${generation}`,
    generation,
    spec,
    current,
    retiring: [],
    urgent: false,
    assertClaimed: () => {},
  };
}

/** Every call of the rotator, for a generation on each role. */
async function staticLife(rights: readonly Right[]): Promise<void> {
  const rotator = staticKind.open(await allowed(rights));
  const spec = staticKind.schema.parse(statics.specification('rights'));
  let current: Handle | undefined;
  for (const generation of [1, 2]) {
    const attempt = attemptOf(spec, generation, current);
    const { handle } = await rotator.create(attempt);
    const made = (await rotator.apply?.(attempt, handle, async () => undefined)) ?? handle;
    const value = await rotator.value?.(attempt, made);
    expect(await rotator.test?.(attempt, made, value)).toEqual({ ok: true });
    const ended = {
      name: 'rights',
      generation,
      handle: made,
      published: { path: 'app/rights', version: generation },
    };
    expect(await rotator.inspect?.(spec, ended, async () => value)).toBeUndefined();
    await rotator.revoke?.(ended);
    current = made;
  }
}

it('static roles need exactly the rights that are listed', async () => {
  await statics.makeRoles('rights');
  const spec = staticKind.schema.parse(statics.specification('rights'));
  const { rotate, attempt } = staticKind.rights(spec);
  expect(attempt).toBeUndefined();
  await staticLife(rotate);
  for (const left of rotate) {
    const less = rotate.filter((one) => one !== left);
    await expect(staticLife(less), left.path).rejects.toMatchObject({ code: 'vault_denied' });
  }
});

it('a connection needs exactly the rights that are listed', async () => {
  const spec = rootKind.schema.parse(await roots.specify('rights'));
  const { rotate } = rootKind.rights(spec);
  const life = async (rights: readonly Right[]) => {
    const rotator = rootKind.open(await allowed(rights));
    const attempt = attemptOf(spec, 1);
    const { handle } = await rotator.create(attempt);
    await rotator.apply?.(attempt, handle, async () => undefined);
    expect(await rotator.test?.(attempt, handle, undefined)).toEqual({ ok: true });
  };
  await life(rotate);
  for (const left of rotate) {
    const less = rotate.filter((one) => one !== left);
    await expect(life(less), left.path).rejects.toMatchObject({ code: 'vault_denied' });
  }
});
