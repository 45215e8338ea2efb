import { setTimeout as sleep } from 'node:timers/promises';
import middy from '@middy/core';
import { beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { localContext } from '../../../lib/host/local/lambda-invocation.ts';
import { Secret, SecretsManager } from '../../../lib/index.ts';
import {
  type FetchData,
  type SecretsMiddlewareOptions,
  secrets,
} from '../../../lib/secrets-manager/middleware.ts';
import { admin } from '../../support/admin.ts';
import { type Ground, prepareGround } from './ground.ts';
import { publishedAt } from './publish.ts';

let ground: Ground;
beforeEach(async () => {
  ground = await prepareGround();
  await admin(inject).request('PUT', `${ground.namespace}/nvidia/data/api-key`, { data: { key: 'value' } });
});

/** Invokes a function once, as Lambda does, and gives what its handler found. */
async function invokeWith<const Names extends FetchData>(options: SecretsMiddlewareOptions<Names>) {
  const found: { context: Record<string, unknown>; internal: Record<string, unknown> } = {
    context: {},
    internal: {},
  };
  const handler = middy()
    .use(secrets(options))
    .use({
      before: ({ internal }) => {
        Object.assign(found.internal, internal);
      },
    })
    .handler(async (_event, context) => {
      Object.assign(found.context, context);
    });
  await Reflect.apply(handler, undefined, [{}, localContext('function')]);
  return found;
}

function managerOf() {
  const manager = ground.manager({ background: false, retry: { attempts: 1 } });
  onTestFinished(() => manager.cleanup());
  return manager;
}

describe('secrets({…})', () => {
  it('puts whole secrets, single fields, credentials and generations into the context', async () => {
    const published = publishedAt(ground, 'model-credentials');
    await published.publish(1);
    await published.publish(2);
    const { context, internal } = await invokeWith({
      manager: managerOf(),
      fetchData: {
        whole: 'nvidia/api-key',
        key: { path: 'nvidia/api-key', field: 'key' },
        database: { path: 'database/creds/app', dynamic: true },
        user: { path: 'database/creds/app', dynamic: true, field: 'username' },
        before: { path: published.path, generation: 'previous', field: 'key' },
      },
    });
    expect(context).toMatchObject({
      whole: { path: 'nvidia/api-key', version: 1 },
      database: { path: 'database/creds/app', leaseId: expect.any(String) },
    });
    const exposed = ['key', 'user', 'before'].map((name) => {
      const value = context[name];
      return Secret.is(value) ? value.expose() : value;
    });
    expect(exposed).toEqual(['value', expect.stringContaining(ground.rolePrefix), 'g1']);
    expect(Object.keys(internal)).toEqual(
      expect.arrayContaining(['whole', 'key', 'database', 'user', 'before']),
    );
    expect(JSON.stringify({ context, internal })).not.toContain('value');
    // One login; one look at each mount; a read of each path and of the generation before: names that share a path share its request.
    const paths = ground.requests.map(({ path }) => path.replace(`/v1/${ground.namespace}/`, ''));
    expect(paths.filter((path) => path.includes('api-key') && path.includes('/data/'))).toHaveLength(1);
    expect(paths.filter((path) => path === 'database/creds/app')).toHaveLength(1);
  });

  it('only into request.internal, when it is told so', async () => {
    const fetchData = { key: 'nvidia/api-key' };
    const { context, internal } = await invokeWith({ manager: managerOf(), fetchData, setToContext: false });
    expect(context).not.toHaveProperty('key');
    expect(internal).toHaveProperty('key');
  });

  it('fetches while the function is loaded, or not before the first invocation', async () => {
    const fetchData = { key: 'nvidia/api-key' };
    secrets({ manager: managerOf(), fetchData, disablePrefetch: true });
    expect(ground.requests).toEqual([]);
    const { manager } = secrets({ manager: managerOf(), fetchData });
    await expect.poll(() => ground.requests.length).toBe(3);
    await manager.getSecret('nvidia/api-key');
    expect(ground.requests).toHaveLength(3);
  });

  it('fails the invocation with the error of the secret that cannot be had, again and again until it can', async () => {
    const manager = managerOf();
    const fetchData = { key: 'nvidia/later' };
    await expect(invokeWith({ manager, fetchData })).rejects.toMatchObject({ code: 'vault_not_found' });
    await admin(inject).request('PUT', `${ground.namespace}/nvidia/data/later`, { data: { key: 'value' } });
    manager.invalidate('nvidia/later');
    expect((await invokeWith({ manager, fetchData })).context).toHaveProperty('key');
  });

  it.each(['ends well', 'fails'])(
    'waits for what is under way before the answer of an invocation that %s',
    async (how) => {
      const manager = ground.manager({ background: false, cacheTtlMs: 0 });
      onTestFinished(() => manager.cleanup());
      let handled = false;
      manager.on('rotated', async () => {
        await sleep(100);
        handled = true;
      });
      await manager.getSecret('nvidia/api-key');
      await admin(inject).request('PUT', `${ground.namespace}/nvidia/data/api-key`, {
        data: { key: 'next' },
      });
      const handler = middy()
        .use(secrets({ manager, fetchData: { key: 'nvidia/api-key' }, disablePrefetch: true }))
        .handler(async () => {
          if (how === 'fails') throw new Error('of the handler');
        });
      const invocation: Promise<unknown> = Reflect.apply(handler, undefined, [{}, localContext('function')]);
      await invocation.catch(() => {});
      expect(handled).toBe(true);
    },
  );

  it('makes a manager of its options, for which nothing goes on between calls', async () => {
    const { auth, namespace } = ground;
    const { address } = inject('openbao');
    const { manager } = secrets({ fetchData: {}, address, namespace, auth, env: {} });
    expect(manager).toBeInstanceOf(SecretsManager);
    await manager.cleanup();
  });
});
