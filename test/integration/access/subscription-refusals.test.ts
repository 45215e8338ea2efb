import { randomBytes } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { createSigningSecret } from '../../../lib/notices/signature.ts';
import { MOST_OF_ONE_OWNER } from '../../../lib/notices/subscription.ts';
import { openWorld } from '../../support/world.ts';
import { type Functions, type FunctionsOptions, openFunctions, problem } from './access-world.ts';
import {
  createSubscriberWorld,
  endpoint,
  type SubscriberWorld,
  stored,
  subscribersOf,
} from './subscriber-world.ts';

let world: SubscriberWorld;
let functions: Functions;
let ask: ReturnType<typeof subscribersOf>['ask'];
let create: ReturnType<typeof subscribersOf>['create'];

/** The functions as a process of their own has them. */
function open(options?: FunctionsOptions): void {
  functions = openFunctions(world, options);
  ({ ask, create } = subscribersOf(world, functions));
}

beforeAll(async () => {
  world = await createSubscriberWorld();
});
beforeEach(() => open());

describe('refused is', () => {
  it.each(['absent', '_none:x', 'anna:', 'anna:a/b', 'anna:..', 'Anna:x', 'anna:x.y'])(
    'the id %s',
    async (id) => {
      const answers = [await ask('anna', 'GET', `/${id}`), await ask('anna', 'POST', `/${id}/test`)];
      if (id.includes('/')) expect(answers[0]).toMatchObject(problem(404, 'route_unknown'));
      else
        for (const answer of answers) expect(answer).toMatchObject(problem(400, 'subscription_id_invalid'));
      expect(functions.exchanges).toEqual([]);
    },
  );

  it.each([
    ['DELETE', ''],
    ['PATCH', '', {}],
    ['POST', '/enable'],
    ['POST', '/rotate-secret'],
    ['POST', '/test'],
    ['POST', '/replay', { failed: true }],
    ['GET', '/notices'],
  ] as const)('%s …%s of one that is not there', async (method, path, body?: object) => {
    expect(await ask('anna', method, `/anna:absent${path}`, { body })).toMatchObject(
      problem(404, 'subscription_unknown'),
    );
    expect(functions.published).toEqual([]);
  });

  it('an endpoint that nothing may be sent to, without telling it again', async () => {
    const { id, url } = await create('anna');
    for (const [wrong, reason] of [
      ['http://hooks.example.com/canary', 'plain_http'],
      ['https://10.0.0.7/canary', 'private'],
      ['https://169.254.169.254/canary', 'metadata'],
      ['https://user:canary@example.com/', 'credentials'],
      ['canary', 'not_a_url'],
    ]) {
      const refused = { ...problem(422, 'endpoint_refused'), body: { reason, hint: expect.any(String) } };
      const body = { url: wrong };
      const answers = [
        await ask('anna', 'POST', '', { body: { consumer: 'anna', ...body } }),
        await ask('anna', 'PATCH', `/${id}`, { body }),
      ];
      for (const answer of answers) expect(answer).toMatchObject(refused);
      expect(JSON.stringify([answers, functions.audited])).not.toContain('canary');
    }
    expect((await stored(world, id))?.data.url).toBe(url);
  });

  it('a body that will not do, by its fields', async () => {
    const { id } = await create('anna');
    const wrong = { types: ['secrets.*'], batch: '2h', sekret: 'canary' };
    const answers = [
      await ask('anna', 'POST', '', { body: { url: endpoint(), ...wrong } }),
      await ask('anna', 'PATCH', `/${id}`, { body: wrong }),
    ];
    for (const answer of answers) {
      expect(answer).toMatchObject(problem(422, 'body_invalid'));
      const { detail } = z.object({ detail: z.string() }).parse(answer.body);
      for (const fault of ['types.0: matches no type', 'batch: expected at most 1h', 'sekret'])
        expect(detail).toContain(fault);
      expect(JSON.stringify(answer)).not.toContain('canary');
    }
    expect(await ask('anna', 'PATCH', `/${id}`, { body: 'no json' })).toMatchObject(
      problem(400, 'body_not_json'),
    );
  });

  it.each([{ overlap: 'soon' }, { overlap: '31d' }])('a rotation with %o', async (query) => {
    const { id } = await create('anna');
    const before = await stored(world, id);
    expect(await ask('anna', 'POST', `/${id}/rotate-secret`, { query })).toMatchObject(
      problem(400, 'parameter_invalid'),
    );
    expect(await stored(world, id)).toEqual(before);
  });

  it.each([{ consumer: 'A' }, { consumer: '' }, { limit: '0' }, { limit: '501' }])(
    'a list with %o',
    async (query) => {
      expect(await ask('anna', 'GET', '', { query })).toMatchObject(problem(400, 'parameter_invalid'));
    },
  );

  it('a second one for the same, which tells the first', async () => {
    const { id, url } = await create('anna', { types: ['secret.*', 'lease.lost'] });
    const body = { consumer: 'anna', url, types: ['lease.lost', 'secret.*'] };
    const answer = await ask('anna', 'POST', '', { body });
    expect(answer).toMatchObject(problem(409, 'subscription_exists'));
    expect(answer.body).toMatchObject({
      detail: expect.stringContaining(id),
      hint: expect.stringContaining('secret is not shown again, but can be rotated'),
    });
    expect((await ask('anna', 'POST', '', { body: { ...body, types: ['*'] } })).status).toBe(201);
    // Another's is another.
    expect((await ask('bert', 'POST', '', { body: { ...body, consumer: 'bert' } })).status).toBe(201);
  });

  it('one too many, and a folder that is fuller all the same is not read whole', async () => {
    const full = 'crowded';
    const opened = openWorld(world);
    const notices = new NoticeStore(opened.store);
    const secrets = [{ secret: createSigningSecret(randomBytes) }];
    const write = (name: number) => {
      const id = `${full}:${String(name).padStart(4, '0')}`;
      return notices.saveSubscription({ id, url: endpoint(), types: ['*'], names: ['*'], secrets }, 0);
    };
    await Promise.all(Array.from({ length: MOST_OF_ONE_OWNER - 1 }, (_, name) => write(name)));
    const one = { body: { consumer: full, url: endpoint() } };
    expect((await ask('operator', 'POST', '', one)).status).toBe(201);
    const two = { body: { consumer: full, url: endpoint() } };
    expect(await ask('operator', 'POST', '', two)).toMatchObject(problem(409, 'subscriptions_full'));

    await write(MOST_OF_ONE_OWNER);
    const troubles: unknown[] = [];
    const read = await notices.subscriptionsOf(full, (error) => troubles.push(error));
    await opened.close();
    expect(read).toHaveLength(MOST_OF_ONE_OWNER);
    expect(troubles).toMatchObject([{ code: 'subscriptions_full' }]);
  });
});
