import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeOf } from '../../../lib/errors.ts';
import { rotateSecret } from '../../../lib/rotation/engine.ts';
import { publishedAt } from '../../../lib/rotation/published-path.ts';
import { generated } from '../../../lib/rotation/rotators/generated.ts';
import type { SpecificationInput } from '../../../lib/rotation/specification.ts';
import { removed } from '../../../lib/rotation/upkeep.ts';
import { KvVersions } from '../../../lib/vault/kv-versions.ts';
import { allowedOnly, attemptAt, eachWithoutOne, rotatorIn } from '../../kinds/acting.ts';
import { PASSWORD_POLICY } from '../../kinds/generated.ts';
import { isReadable, readableValues } from '../../kinds/published-versions.ts';
import { ask, documentOf, publishedValue } from '../../kinds/rotating.ts';
import { adminOf, uniqueName } from '../../support/admin.ts';
import { createWorld, openWorld, type World } from '../../support/world.ts';

const HOUR_MS = 3_600_000;
const policy = uniqueName('password');

let world: World;
/** Added to the clock. */
let later = 0;
const faults: unknown[] = [];

beforeAll(async () => {
  world = openWorld(await createWorld(), {
    now: () => Date.now() + later,
    onError: (error) => faults.push(error),
  });
  await adminOf(world).request('PUT', `sys/policies/password/${policy}`, { policy: PASSWORD_POLICY });
});
beforeEach(() => {
  later = 0;
  faults.length = 0;
});
afterAll(() => world.close());

function specify(name: string, changes: object = {}): SpecificationInput {
  const fixed = {
    kind: 'generated',
    name,
    policy,
    publish: `app/${name}`,
    grace: '10m',
    deadline: '10m',
  } as const;
  return { ...fixed, ...changes };
}

async function first(name: string, changes: object = {}) {
  await world.secrets.apply(specify(name, changes));
  await rotateSecret(world.rotate, name);
  return publishedValue(world, name);
}

async function replace(name: string) {
  await ask(world, name, { reason: 'demand' });
  await rotateSecret(world.rotate, name);
  return publishedValue(world, name);
}

const gracePasses = async (name: string) => {
  later += 11 * 60_000;
  await rotateSecret(world.rotate, name);
};

/** The published path as an administrator sees it. */
function kv(name: string) {
  const { request } = adminOf(world);
  const at = (operation: string) => `${world.namespace}/app/${operation}/${name}`;
  return {
    write: (data: object) => request('PUT', at('data'), { data }),
    softDelete: (versions: number[]) => request('PUT', at('delete'), { versions }),
    undelete: (versions: number[]) => request('PUT', at('undelete'), { versions }),
    deleteMetadata: () => request('DELETE', at('metadata')),
    forgetMetadata: () => request('PUT', at('metadata'), { custom_metadata: {} }),
    destroy: (versions: number[]) => request('PUT', at('destroy'), { versions }),
  };
}

describe('the value', () => {
  it('is as the policy has it, with the fields that stay', async () => {
    const value = await first('shape', { field: 'signing_key', fields: { algorithm: 'HS256' } });
    expect(value).toEqual({ signing_key: expect.stringMatching(/^[a-z0-9]{32}$/), algorithm: 'HS256' });
    const next = await replace('shape');
    expect(next).toMatchObject({ algorithm: 'HS256' });
    expect(next?.signing_key).not.toBe(value?.signing_key);
  });

  it.each(['base64', 'hex'] as const)('is written as %s', async (encoding) => {
    const value = await first(`written-${encoding}`, { encoding });
    const text = Buffer.from(String(value?.password), encoding).toString('utf8');
    expect(text).toMatch(/^[a-z0-9]{32}$/);
  });

  it('comes from the policies of the real namespace, where there is one', async () => {
    const within = openWorld(await createWorld({ layout: 'namespace' }));
    const { request } = adminOf(world);
    const own = uniqueName('password');
    await request('PUT', `${within.namespace}/sys/policies/password/${own}`, {
      policy: 'length = 12\nrule "charset" { charset = "x" }',
    });
    await within.secrets.apply(specify('namespaced', { policy: own }));
    await rotateSecret(within.rotate, 'namespaced');
    expect(await publishedValue(within, 'namespaced')).toEqual({ password: 'xxxxxxxxxxxx' });
    await within.close();
  });

  it('is not made by a policy that is not there; the current one stays', async () => {
    const value = await first('no-policy');
    await world.secrets.apply(specify('no-policy', { policy: uniqueName('none') }));
    await replace('no-policy');
    expect(world.published.at(-1)?.data).toMatchObject({ step: 'create', code: 'vault_not_found' });
    expect(await publishedValue(world, 'no-policy')).toEqual(value);
  });
});

describe('retiring', () => {
  it('destroys the version of that generation, which no undelete brings back, and leaves the others', async () => {
    const one = await first('own');
    const two = await replace('own');
    await kv('own').softDelete([1]);
    const three = await replace('own');
    await gracePasses('own');
    expect(await readableValues(world, 'own')).toEqual([three]);
    await kv('own').undelete([1, 2]);
    expect(await isReadable(world, 'own', one)).toBe(false);
    expect(await isReadable(world, 'own', two)).toBe(false);
  });

  it('leaves what a person has written in between', async () => {
    await first('between');
    await kv('between').write({ password: 'by hand' });
    const two = await replace('between');
    await gracePasses('between');
    expect(await readableValues(world, 'between')).toEqual([{ password: 'by hand' }, two]);
  });

  it('never destroys a later generation that has the same number, because the path was deleted', async () => {
    await first('renumbered');
    await kv('renumbered').deleteMetadata();
    const two = await replace('renumbered');
    const { cur, retiring } = (await documentOf(world, 'renumbered')).state;
    expect([cur?.published?.version, retiring[0]?.published?.version]).toEqual([1, 1]);
    await gracePasses('renumbered');
    expect((await documentOf(world, 'renumbered')).state).toMatchObject({ cur: { g: 2 }, retiring: [] });
    expect(await readableValues(world, 'renumbered')).toEqual([two]);
  });

  it('leaves a current version that it does not recognise, says so, and is done once that is gone', async () => {
    await first('unrecognised', { grace: '0s', deadline: '0s' });
    await kv('unrecognised').deleteMetadata();
    await kv('unrecognised').write({ password: 'by hand' });
    await world.secrets.change('unrecognised', (state) => removed(state, 'revoke', 'me', world.now()));
    await rotateSecret(world.rotate, 'unrecognised');
    expect((await documentOf(world, 'unrecognised')).state.retiring).toMatchObject([
      { g: 1, failed: 'published_version_unrecognised', failures: 1 },
    ]);
    expect(await readableValues(world, 'unrecognised')).toEqual([{ password: 'by hand' }]);
    await kv('unrecognised').destroy([1]);
    later = HOUR_MS;
    await rotateSecret(world.rotate, 'unrecognised');
    expect((await documentOf(world, 'unrecognised')).state.retiring).toEqual([]);
  });

  it('destroys an old version although somebody has replaced the custom metadata', async () => {
    const one = await first('no-metadata');
    const two = await replace('no-metadata');
    await kv('no-metadata').forgetMetadata();
    await gracePasses('no-metadata');
    expect(await isReadable(world, 'no-metadata', one)).toBe(false);
    expect(await readableValues(world, 'no-metadata')).toEqual([two]);
  });

  it('destroys nothing of a generation that was never published', async () => {
    const one = await first('never');
    const rotator = rotatorIn(world, 'generated');
    const { handle } = await rotator.create(attemptAt(specify('never')));
    await rotator.revoke?.({ name: 'never', generation: 1, handle, published: undefined });
    expect(await readableValues(world, 'never')).toEqual([one]);
  });

  it('goes on where it was published, whatever the specification says by then', async () => {
    const one = await first('moved');
    await world.secrets.apply(specify('moved', { publish: 'app/moved-away' }));
    await replace('moved');
    await gracePasses('moved');
    const { store, path } = await publishedAt(world.rotate, 'app/moved');
    expect(one).toBeDefined();
    expect((await store.read(path, { version: 1 })).entry).toBeUndefined();
    expect(await readableValues(world, 'moved')).toHaveLength(1);
  });
});

describe('drift', () => {
  it.each(['softDelete', 'destroy'] as const)(
    'is found when the published version goes by %s',
    async (how) => {
      const name = `drift-${how.toLowerCase()}`;
      await first(name);
      await kv(name)[how]([1]);
      later = 2 * HOUR_MS;
      await rotateSecret(world.rotate, name);
      expect(world.published.map(({ type, data }) => [type, 'what' in data ? data.what : ''])).toContainEqual(
        ['secret.drift', 'published_value_missing'],
      );
      expect((await documentOf(world, name)).state.cur?.g).toBe(2);
    },
  );

  it('is no deletion that lies ahead', async () => {
    await first('ahead');
    await adminOf(world).request('POST', `${world.namespace}/app/metadata/ahead`, {
      delete_version_after: '1h',
    });
    const two = await replace('ahead');
    const versions = new KvVersions(world.vault, `${world.namespace}/app`);
    expect(await versions.look('ahead', 2)).toMatchObject({ state: 'readable', current: true });
    expect(await readableValues(world, 'ahead')).toContainEqual(two);
  });
});

it('asks for the rights that it needs besides publishing, and for no others', async () => {
  const name = 'rights';
  await first(name);
  await replace(name);
  const attempt = attemptAt(specify(name));
  const { rotate } = generated.rights(generated.schema.parse(specify(name)));
  const rules = rotate.map(({ path, under, capabilities }) => ({
    path: under === 'kv-destroy' ? `${world.namespace}/app/destroy/${name}` : path,
    capabilities,
  }));
  const publishing = { path: `${world.namespace}/app/metadata/${name}`, capabilities: ['read', 'patch'] };
  const wholeLife = async (acting: World, version: number) => {
    const rotator = rotatorIn(acting, 'generated');
    const { handle } = await rotator.create(attempt);
    const published = { path: `app/${name}`, version };
    const ended = { name, generation: version, handle, published };
    expect(await rotator.inspect?.(attempt.spec, ended, async () => undefined)).toBeUndefined();
    await rotator.revoke?.(ended);
    await acting.close();
  };
  for (const [lacking, left] of eachWithoutOne(rules)) {
    const code = await wholeLife(await allowedOnly(world, [...left, publishing]), 1).then(
      () => 'allowed',
      codeOf,
    );
    expect({ lacking, code }).toEqual({ lacking, code: 'vault_denied' });
  }
  expect(await readableValues(world, name)).toHaveLength(2);
  await wholeLife(await allowedOnly(world, [...rules, publishing]), 1);
  expect(await readableValues(world, name)).toHaveLength(1);
});
