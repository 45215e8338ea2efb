import { randomBytes } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { createSigningSecret } from '../../../lib/notices/signature.ts';
import { rotateShard } from '../../../lib/rotation/rotate.ts';
import { leaseSpecification, openWorld } from '../../support/world.ts';
import { type Functions, type FunctionsOptions, openFunctions, problem } from './access-world.ts';
import {
  createdSchema,
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
let listed: ReturnType<typeof subscribersOf>['listed'];

/** The functions as a process of their own has them. */
function open(options?: FunctionsOptions): void {
  functions = openFunctions(world, options);
  ({ ask, create, listed } = subscribersOf(world, functions));
}

beforeAll(async () => {
  world = await createSubscriberWorld();
});
beforeEach(() => open());

describe('a consumer', () => {
  it('creates its own, and sees, changes, disables, enables and deletes it', async () => {
    const asked = { types: ['secret.*'], batch: '30s', description: 'Ours.' };
    const { secret, ...made } = await create('anna', asked);
    expect(made).toMatchObject({ consumer: 'anna', ...asked, names: ['*'], secrets: [{}] });
    const path = `/${made.id}`;

    expect(await ask('anna', 'GET', path)).toMatchObject({ status: 200, body: made });
    expect((await listed('anna', { consumer: 'anna' })).subscriptions).toContainEqual(made);
    const change = { names: ['annas-*'], batch: null };
    const changed = await ask('anna', 'PATCH', path, { body: change });
    expect(changed).toMatchObject({ status: 200, body: { types: ['secret.*'], names: ['annas-*'] } });
    expect(changed.body).not.toHaveProperty('batch');
    expect(await ask('anna', 'POST', `${path}/disable`)).toMatchObject({
      status: 200,
      body: { disabled: { reason: 'by_hand', at: expect.any(String) } },
    });
    const enabled = await ask('anna', 'POST', `${path}/enable`);
    expect(enabled).toMatchObject({ status: 200, body: { id: made.id } });
    expect(enabled.body).not.toHaveProperty('disabled');
    expect(await ask('anna', 'DELETE', path)).toMatchObject({ status: 204, body: undefined });
    expect(await ask('anna', 'GET', path)).toMatchObject(problem(404, 'subscription_unknown'));
    expect(await stored(world, made.id)).toBeUndefined();

    const { audited } = functions;
    expect(audited.map(({ action, outcome }) => [action, outcome])).toEqual([
      ...Array(7).fill(['manage', 'ok']),
      ['manage', 'error'],
    ]);
    expect(audited[0]).toMatchObject({ path: '/v1/subscriptions', who: { display_name: 'token' } });
    expect(secret).toMatch(/^whsec_/);
  });

  it('reads the generation of the secret that names it, and of no other', async () => {
    const opened = openWorld(world);
    for (const [name, consumer] of [
      ['annas-database', 'anna'],
      ['berts-database', 'bert'],
    ] as const) {
      await opened.secrets.apply(
        leaseSpecification(world, { name, publish: `app/${name}`, consumers: [consumer] }),
      );
    }
    await rotateShard(opened.rotate, { shard: 0 });
    await opened.close();

    const managed = (name: string) =>
      functions.manage('GET', `/v1/managed/${name}`, { headers: { 'x-vault-token': world.tokens.anna } });
    expect(await managed('annas-database')).toMatchObject({ status: 200, body: { generation: 1 } });
    expect(await managed('berts-database')).toMatchObject(problem(403, 'vault_denied'));
    expect(await managed('absent')).toMatchObject(problem(403, 'vault_denied'));
  });
});

describe('what is not its own', () => {
  const routes = [
    ['GET', ''],
    ['PATCH', '', { url: 'https://hooks.example.com/elsewhere' }],
    ['DELETE', ''],
    ['POST', '/disable'],
    ['POST', '/enable'],
    ['POST', '/rotate-secret'],
    ['POST', '/test'],
    ['POST', '/replay', { failed: true }],
    ['GET', '/notices'],
  ] as const;

  it.each(['bert', 'operator'] as const)('of %s a consumer neither sees nor changes', async (other) => {
    const theirs = await create(other);
    const before = await stored(world, theirs.id);
    open();

    for (const [method, path, body] of routes) {
      for (const id of [theirs.id, `${theirs.id.split(':')[0]}:absent`]) {
        const answer = await ask('anna', method, `/${id}${path}`, { body });
        expect(answer, `${method} ${path}`).toMatchObject(problem(403, 'vault_denied'));
        expect(JSON.stringify(answer)).not.toContain('hooks.example.com');
      }
    }
    const owner = other === 'bert' ? { consumer: 'bert' } : {};
    const body = { ...owner, url: endpoint() };
    expect(await ask('anna', 'POST', '', { body })).toMatchObject(problem(403, 'vault_denied'));
    // Not even whether there is one like it.
    const alike = { ...owner, url: String(theirs.url) };
    expect(await ask('anna', 'POST', '', { body: alike })).toMatchObject(problem(403, 'vault_denied'));
    expect(await ask('anna', 'GET', '', { query: owner })).toMatchObject(problem(403, 'vault_denied'));

    expect(await stored(world, theirs.id)).toEqual(before);
    expect(functions.published).toEqual([]);
    expect(new Set(functions.audited.map(({ outcome }) => outcome))).toEqual(new Set(['denied']));
    const opened = openWorld(world);
    expect(await opened.store.list('dispatches')).toEqual([]);
    await opened.close();
  });

  it('is not had by a document that calls itself another’s', async () => {
    const opened = openWorld(world);
    const document = {
      url: endpoint(),
      types: ['*'],
      names: ['*'],
      secrets: [{ secret: createSigningSecret(randomBytes) }],
    };
    await opened.store.write('subscriptions/anna/disguised', { ...document, id: '_all:disguised' }, 0);
    await opened.store.write('subscriptions/anna/deep', { ...document, id: 'anna:deep' }, 0);
    await opened.store.write('subscriptions/anna/deep/er', { ...document, id: '_all:er' }, 0);
    const unreadable: string[] = [];
    const known = await new NoticeStore(opened.store).subscriptions((_, id) => unreadable.push(id));
    await opened.close();

    expect(known.map(({ id }) => id).filter((id) => /disguised|deep|er$/.test(id))).toEqual(['anna:deep']);
    expect(unreadable).toEqual(['anna:disguised']);
    expect(await ask('anna', 'GET', '/anna:disguised')).toMatchObject(
      problem(500, 'notice_document_unreadable'),
    );
    expect(await ask('anna', 'POST', '/anna:disguised/test')).toMatchObject(
      problem(500, 'notice_document_unreadable'),
    );
    expect((await listed('anna', { consumer: 'anna' })).subscriptions).toContainEqual({
      id: 'anna:disguised',
      unreadable: true,
    });
    expect((await ask('anna', 'DELETE', '/anna:disguised')).status).toBe(204);
  });
});

describe('an operator', () => {
  it('sees everybody’s in pages', async () => {
    const made = [await create('anna'), await create('bert'), await create('operator')].map(({ id }) => id);
    const all = (await listed('operator')).subscriptions.map(({ id }) => id);
    expect(all).toEqual(expect.arrayContaining(made));
    expect(all).toEqual(all.toSorted());

    const pages: string[] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page = await listed('operator', { limit: '2', ...(after === '' ? {} : { after }) });
      expect(page.subscriptions.length).toBeLessThanOrEqual(2);
      pages.push(...page.subscriptions.map(({ id }) => id));
      after = page.next;
    }
    expect(pages).toEqual(all);
    const own = await listed('operator', { consumer: '_all' });
    expect(new Set(own.subscriptions.map(({ id }) => id.split(':')[0]))).toEqual(new Set(['_all']));
  });

  it('changes and deletes any', async () => {
    const { id } = await create('anna');
    expect((await ask('operator', 'POST', `/${id}/disable`)).status).toBe(200);
    expect((await ask('operator', 'DELETE', `/${id}`)).status).toBe(204);
  });
});

describe('at the same time', () => {
  it('many changes all count, and no new secret is lost', async () => {
    const { id, url } = await create('anna');
    const path = `/${id}`;
    const patch = (body: object) => ask('anna', 'PATCH', path, { body });
    const rotate = () => ask('anna', 'POST', `${path}/rotate-secret`);
    const answers = await Promise.all([
      ...[patch({ types: ['secret.*'] }), patch({ names: ['annas-*'] }), patch({ batch: '1m' })],
      ...[patch({ description: 'Together.' }), patch({ cloudevents: true })],
      ...[ask('anna', 'POST', `${path}/disable`), rotate(), rotate(), rotate()],
    ]);

    expect(answers.map(({ status }) => status)).toEqual(Array(9).fill(200));
    const after = (await stored(world, id))?.data;
    expect(after).toMatchObject({
      ...{ url, types: ['secret.*'], names: ['annas-*'], batch_ms: 60_000 },
      ...{ description: 'Together.', cloudevents: true, disabled: { reason: 'by_hand' } },
    });
    const told = answers.slice(-3).map(({ body }) => createdSchema.parse(body).secret);
    expect(after?.secrets).toHaveLength(4);
    expect(after?.secrets.map(({ secret }) => secret)).toEqual(expect.arrayContaining(told));
    expect(after?.secrets.filter(({ until }) => until === undefined)).toHaveLength(1);
  });

  it('a deletion wins over a change, and nothing comes back', async () => {
    const { id } = await create('anna');
    const [deleted] = await Promise.all([
      ask('anna', 'DELETE', `/${id}`),
      ...Array.from({ length: 6 }, (_, index) =>
        ask('anna', 'PATCH', `/${id}`, { body: { description: `${index}` } }),
      ),
    ]);
    expect(deleted?.status).toBe(204);
    expect(await stored(world, id)).toBeUndefined();
  });
});
