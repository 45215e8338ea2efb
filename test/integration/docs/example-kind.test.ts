import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Value } from '../../../lib/rotation/rotators/rotator.ts';
import { userpassPassword } from '../../docs/example-kind.ts';
import { firstAttempt } from '../../kinds/acting.ts';
import { uniqueName } from '../../support/admin.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

let world: World;
const mount = uniqueName('userpass');

beforeAll(async () => {
  world = openWorld(await createWorld());
  const write = (path: string, body: Readonly<Record<string, unknown>>) =>
    world.vault.request({ method: 'POST', path, body, repeatable: false });
  await write(`sys/auth/${mount}`, { type: 'userpass' });
  await write(`auth/${mount}/users/reporter`, { password: 'to-be-replaced', token_ttl: '1m' });
  const policy = 'length = 24\nrule "charset" { charset = "abcdefghijklmnopqrstuvwxyz0123456789" }';
  await write(`sys/policies/password/${mount}`, { policy });
});
afterAll(() => world.close());

it('the kind that the documentation shows rotates a real password', async () => {
  const spec = userpassPassword.schema.parse({
    kind: 'userpass-password',
    name: 'reporter-password',
    mount,
    username: 'reporter',
    policy: mount,
    publish: 'app/reporter',
    grace: '0s',
    deadline: '0s',
  });
  const rotator = userpassPassword.open(world.rotators);
  const attempt = firstAttempt(spec);
  const { handle, value } = await rotator.create(attempt);
  const test = (tried: Value | undefined) => rotator.test?.(attempt, handle, tried);
  expect(await test(value)).toMatchObject({ ok: false, refused: true });
  await rotator.apply?.(attempt, handle, async () => value);
  expect(await test(value)).toEqual({ ok: true });
  expect(await test({ password: 'to-be-replaced' })).toMatchObject({ ok: false, refused: true });
});
