import { beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import type { Outcome } from '../../../lib/bus/events.ts';
import { type Dispatch, keyOf, noticeIdOf } from '../../../lib/notices/dispatch.ts';
import type { Notice } from '../../../lib/notices/notice.ts';
import { NoticeStore } from '../../../lib/notices/notice-store.ts';
import { rotated } from '../../notices/events.ts';
import { admin } from '../../support/admin.ts';
import { openWorld } from '../../support/world.ts';
import { type Functions, type FunctionsOptions, openFunctions, problem } from './access-world.ts';
import { createSubscriberWorld, type SubscriberWorld, subscribersOf, type Who } from './subscriber-world.ts';

let world: SubscriberWorld;
let functions: Functions;
let ask: ReturnType<typeof subscribersOf>['ask'];
let create: ReturnType<typeof subscribersOf>['create'];
/** A subscription of each consumer, and one of the operators'. */
let ids: Readonly<Record<Who, string>>;

function open(options?: FunctionsOptions): void {
  functions = openFunctions(world, options);
  ({ ask, create } = subscribersOf(world, functions));
}

beforeAll(async () => {
  world = await createSubscriberWorld();
});
beforeEach(async () => {
  open();
  ids ??= {
    anna: (await create('anna')).id,
    bert: (await create('bert')).id,
    operator: (await create('operator')).id,
  };
  open();
});

/** The documents as root has them. */
async function withNotices<T>(work: (notices: NoticeStore) => Promise<T>): Promise<T> {
  const opened = openWorld(world);
  try {
    return await work(new NoticeStore(opened.store));
  } finally {
    await opened.close();
  }
}

async function stored(key: string): Promise<Dispatch | undefined> {
  return withNotices(async (notices) => (await notices.dispatch(key))?.document);
}

let generation = 0;
/** An event that was recorded now, with notices in these states. */
async function recorded(states: Readonly<Record<string, Notice['state']>>): Promise<Outcome> {
  generation += 1;
  const now = Date.now();
  const event = { ...rotated('some', ['anna', 'bert'], generation), time: new Date(now).toISOString() };
  const notices = Object.fromEntries(
    Object.entries(states).map(([id, state]) => [
      id,
      { state, due: now + 3_600_000, tries: 1, attempts: [{ at: now, status: 500 }] },
    ]),
  );
  await withNotices((store) =>
    store.saveDispatch(keyOf(event), { events: [event], created: now, notices }, 0),
  );
  return event;
}

/** The messages to the book `deliveries` that no worker has merged. */
async function hinted(): Promise<number> {
  const opened = openWorld(world);
  const names = await opened.store.list('agenda/deliveries/inbox/0');
  await opened.close();
  return names.length;
}

describe('a test', () => {
  it('is recorded for the one subscription, and a worker is sent', async () => {
    const before = await hinted();
    const answer = await ask('anna', 'POST', `/${ids.anna}/test`);
    const { dispatch } = z.object({ dispatch: z.string() }).parse(answer.body);

    expect(answer.status).toBe(202);
    expect(await stored(dispatch)).toMatchObject({
      events: [{ type: 'subscription.test', data: { subscription: ids.anna } }],
      notices: { [ids.anna]: { state: 'pending' } },
    });
    expect(Object.keys((await stored(dispatch))?.notices ?? {})).toEqual([ids.anna]);
    expect(await hinted()).toBeGreaterThan(before);
    expect(functions.published).toMatchObject([{ type: 'delivery.due', data: { shard: 0 } }]);
    expect(functions.audited).toMatchObject([{ action: 'manage', outcome: 'ok' }]);
  });

  it('is another one each time', async () => {
    const answers = [
      await ask('anna', 'POST', `/${ids.anna}/test`),
      await ask('anna', 'POST', `/${ids.anna}/test`),
    ];
    expect(answers[0]?.body).not.toEqual(answers[1]?.body);
  });

  it('is recorded when no worker can be sent', async () => {
    open({
      bus: { publish: () => Promise.reject(new Error('The bus is down.')) },
    });
    const answer = await ask('anna', 'POST', `/${ids.anna}/test`);
    expect(answer.status).toBe(202);
    expect(await stored(z.object({ dispatch: z.string() }).parse(answer.body).dispatch)).toBeDefined();
  });

  it.each(['test', 'replay'])('%s of a disabled one is refused', async (what) => {
    const { id } = await create('anna');
    await ask('anna', 'POST', `/${id}/disable`);
    const body = { failed: true };
    expect(await ask('anna', 'POST', `/${id}/${what}`, { body })).toMatchObject(
      problem(409, 'subscription_disabled'),
    );
    expect(functions.published).toEqual([]);
  });
});

describe('a replay', () => {
  it('of an event sends that notice of that subscription again, and no other', async () => {
    const states = { [ids.anna]: 'delivered', [ids.bert]: 'failed' } as const;
    const event = await recorded(states);
    const body = { event: event.id };
    expect(await ask('anna', 'POST', `/${ids.anna}/replay`, { body })).toMatchObject({
      status: 202,
      body: { replayed: [keyOf(event)] },
    });
    expect((await stored(keyOf(event)))?.notices).toMatchObject({
      [ids.anna]: { state: 'pending', tries: 0 },
      [ids.bert]: { state: 'failed', tries: 1 },
    });
    expect(functions.published).toMatchObject([{ type: 'delivery.due', data: { shard: 0 } }]);
  });

  it('of all that failed comes in pages', async () => {
    const failed: string[] = [];
    for (let index = 0; index < 3; index += 1) failed.push(keyOf(await recorded({ [ids.bert]: 'failed' })));
    const pageSchema = z.object({ replayed: z.array(z.string()), next: z.string().optional() });
    const replayed: string[] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const body = { failed: true, limit: 2, ...(after === '' ? {} : { after }) };
      const page = pageSchema.parse((await ask('bert', 'POST', `/${ids.bert}/replay`, { body })).body);
      expect(page.replayed.length).toBeLessThanOrEqual(2);
      replayed.push(...page.replayed);
      after = page.next;
    }
    expect(replayed).toEqual(expect.arrayContaining(failed));
    for (const key of failed) expect((await stored(key))?.notices[ids.bert]?.state).toBe('pending');
  });

  it('gives a consumer nothing that does not concern it', async () => {
    const event = await recorded({ [ids.operator]: 'delivered' });
    const foreign = {
      ...event,
      id: `${event.id.slice(0, -3)}xyz`,
      data: { ...event.data, consumers: ['bert'] },
    };
    const key = keyOf(foreign as Outcome);
    await withNotices((store) =>
      store.saveDispatch(key, { events: [foreign as Outcome], created: Date.now(), notices: {} }, 0),
    );
    const since = new Date(Date.now() - 60_000).toISOString();
    const answer = await ask('anna', 'POST', `/${ids.anna}/replay`, { body: { since, limit: 500 } });
    const { replayed } = z.object({ replayed: z.array(z.string()) }).parse(answer.body);

    expect(replayed).toContain(keyOf(event));
    expect(replayed).not.toContain(key);
    expect(await ask('anna', 'POST', `/${ids.anna}/replay`, { body: { event: foreign.id } })).toMatchObject(
      problem(404, 'event_unknown'),
    );
    expect((await stored(key))?.notices).toEqual({});
  });

  it.each([
    {},
    { event: '../x' },
    { event: 'evt_1', since: '2026-11-21T20:00:00Z' },
    { since: 'yesterday' },
    { failed: false },
    { failed: true, limit: 0 },
    { failed: true, limit: 501 },
    { failed: true, everything: 'canary' },
  ])('of %o is refused', async (body) => {
    const answer = await ask('anna', 'POST', `/${ids.anna}/replay`, { body });
    expect(answer).toMatchObject(problem(422, 'body_invalid'));
    expect(JSON.stringify(answer)).not.toContain('canary');
  });
});

describe('the log', () => {
  const logSchema = z.object({
    notices: z.array(z.looseObject({ id: z.string(), state: z.string() })),
    next: z.string().optional(),
  });
  const log = async (who: Who, id: string, query: Record<string, string> = {}) =>
    logSchema.parse((await ask(who, 'GET', `/${id}/notices`, { query })).body);

  it('has the notices of one subscription, with their attempts, and of no other', async () => {
    const mine = await recorded({ [ids.anna]: 'failed', [ids.bert]: 'delivered' });
    const theirs = await recorded({ [ids.bert]: 'delivered', [ids.operator]: 'failed' });
    const { notices } = await log('anna', ids.anna);

    expect(notices.find(({ id }) => id === mine.id)).toMatchObject({
      state: 'failed',
      type: 'secret.rotated',
      attempts: [{ status: 500 }],
    });
    expect(notices.map(({ id }) => id)).not.toContain(theirs.id);
    expect(JSON.stringify(notices)).not.toContain(ids.bert);
  });

  it('comes in pages, by state and since a time', async () => {
    const { notices: all } = await log('anna', ids.anna);
    const pages: string[] = [];
    for (let after: string | undefined = ''; after !== undefined; ) {
      const page = await log('anna', ids.anna, { limit: '1', ...(after === '' ? {} : { after }) });
      pages.push(...page.notices.map(({ id }) => id));
      after = page.next;
    }
    expect(pages).toEqual(all.map(({ id }) => id));
    const { notices: failed } = await log('anna', ids.anna, { state: 'failed' });
    expect(failed.length).toBeLessThan(all.length);
    expect(new Set(failed.map(({ state }) => state))).toEqual(new Set(['failed']));
    const since = new Date(Date.now() + 60_000).toISOString();
    expect((await log('anna', ids.anna, { since })).notices).toEqual([]);
  });

  it.each([{ state: 'lost' }, { since: 'yesterday' }, { limit: '0' }])(
    'with %o is refused',
    async (query) => {
      expect(await ask('anna', 'GET', `/${ids.anna}/notices`, { query })).toMatchObject(
        problem(400, 'parameter_invalid'),
      );
    },
  );

  it('goes on only from where a page ended', async () => {
    const query = { after: 'canary' };
    const answer = await ask('anna', 'GET', `/${ids.anna}/notices`, { query });
    expect(answer).toMatchObject(problem(400, 'place_in_log_invalid'));
    expect(JSON.stringify(answer)).not.toContain('canary');
  });
});

it('a consumer reads no dispatch itself, nor posts to the agenda', async () => {
  const event = await recorded({ [ids.anna]: 'delivered' });
  const { request } = admin(inject);
  const { stateMount: state, tokens } = world;
  for (const [method, path] of [
    ['GET', `data/dispatches/${keyOf(event)}`],
    ['GET', 'metadata/dispatches?list=true'],
    ['PUT', `data/dispatches/2026-11-21/${noticeIdOf(keyOf(event))}`],
    ['PUT', 'data/agenda/deliveries/inbox/0/x'],
  ] as const) {
    const body = method === 'GET' ? undefined : { data: {}, options: { cas: 0 } };
    await expect(request(method, `${state}/${path}`, body, tokens.anna)).rejects.toMatchObject({
      status: 403,
    });
  }
});

describe('the notice of one dispatch', () => {
  const noticesOf = (who: Who, dispatch: string) =>
    ask(who, 'GET', `/${ids[who]}/notices`, { query: { dispatch, state: 'failed' } });

  it('alone, whatever else is asked', async () => {
    const events = [await recorded({ [ids.anna]: 'pending' }), await recorded({ [ids.anna]: 'pending' })];
    for (const event of events) {
      expect(await noticesOf('anna', keyOf(event))).toMatchObject({
        status: 200,
        body: { notices: [{ dispatch: keyOf(event), state: 'pending' }] },
      });
    }
    expect((await noticesOf('anna', keyOf(rotated('other')))).body).toEqual({ notices: [] });
  });

  it('is told to nobody else', async () => {
    const event = await recorded({ [ids.bert]: 'pending' });
    expect((await noticesOf('anna', keyOf(event))).body).toEqual({ notices: [] });
    const other = await ask('anna', 'GET', `/${ids.bert}/notices`, { query: { dispatch: keyOf(event) } });
    expect(other).toMatchObject(problem(403, 'vault_denied'));
  });

  it.each(['evt_1', '../../secrets/app', '2026-11-21/../x', '2026-11-21/a/b', ''])(
    '%j is no key: it stands in a path that `manage` reads itself',
    async (dispatch) => {
      functions.exchanges.splice(0);
      expect(await noticesOf('anna', dispatch)).toMatchObject(problem(400, 'parameter_invalid'));
      expect(functions.exchanges.filter(({ path }) => path.includes('dispatches'))).toEqual([]);
    },
  );
});
