import pLimit from 'p-limit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOf } from '../../../lib/notices/dispatch.ts';
import { newNotice } from '../../../lib/notices/notice.ts';
import { rotated } from '../../notices/events.ts';
import { uniqueName } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import { createSubscribeWorld, type Ran, receive, type SubscribeWorld } from './subscribe-world.ts';

let there: SubscribeWorld;
/** By everything that shows no secret. */
const said: Ran[] = [];

beforeAll(async () => {
  there = await createSubscribeWorld();
});
afterAll(() => there.close());

const SECRET = /whsec_[A-Za-z0-9+/]{43}=/;
const ONLY_A_SECRET = new RegExp(`^${SECRET.source}$`);

async function run(...args: string[]): Promise<Ran> {
  const ran = await there.run(...args);
  said.push(ran);
  return ran;
}

type Endpoint = Awaited<ReturnType<typeof receive>>;

/** Subscribed to one managed secret only, so that tests do not hear each other. */
async function subscribe(endpoint: Endpoint, ...args: string[]) {
  const name = uniqueName('app');
  const { code, out, error } = await there.run('create', '--url', endpoint.url, '--name', name, ...args);
  expect({ code, error }).toEqual({ code: 0, error: '' });
  const [first = '', secret = ''] = out.split('\n');
  endpoint.secrets.push(secret);
  return { ...endpoint, id: first.slice(0, first.indexOf(': ')), secret, name };
}

const refused = (code: string) => ({
  code: 1,
  out: '',
  error: expect.stringContaining(`leasekeeper: ${code}: `),
});
const failing = (answer: string) =>
  receive((response) => response.writeHead(500, { 'content-type': 'text/plain' }).end(answer));
const rowsOf = ({ out }: Ran) => out.split('\n').map((line) => line.split(/ {2,}/));

/** An event of a managed secret, told to whoever wants it. */
async function rotate(name: string, generation = 1) {
  const event = { ...rotated(name, [], generation), time: new Date(there.world.now()).toISOString() };
  await there.record(event);
  return event;
}

describe('create', () => {
  it('prints the id, and the signing secret on a line of its own', async () => {
    const { url } = await receive();
    const { code, out, error } = await there.run('create', '--url', url);

    expect({ code, error }).toEqual({ code: 0, error: '' });
    const [first, second, ...more] = out.split('\n');
    expect(first).toMatch(/^_all:\w{26}: created; /);
    expect(first).not.toMatch(SECRET);
    expect(second).toMatch(ONLY_A_SECRET);
    expect(more).toEqual([]);
  });

  it('takes whose it is, what it hears of, and how', async () => {
    const { url } = await receive();
    const options =
      '--consumer gateway --type secret.* --type lease.lost --name app-* --batch 30s --cloudevents --json';
    const { code, out } = await there.run(
      'create',
      '--url',
      url,
      ...options.split(' '),
      '--description',
      'for us',
    );

    expect(code).toBe(0);
    const { secret, ...made } = JSON.parse(out);
    expect(secret).toMatch(ONLY_A_SECRET);
    expect(made).toMatchObject({
      id: expect.stringMatching(/^gateway:\w{26}$/),
      consumer: 'gateway',
      url,
      types: ['secret.*', 'lease.lost'],
      names: ['app-*'],
      batch: '30s',
      cloudevents: true,
      description: 'for us',
    });
    expect(JSON.parse((await run('show', made.id)).out)).toEqual(made);
  });

  it('refuses an endpoint that nothing may be sent to', async () => {
    expect(await run('create', '--url', 'http://127.0.0.2/')).toMatchObject(refused('endpoint_refused'));
    const token = there.world.rootToken;
    const allow = { LEASEKEEPER_NOTICE_ALLOW: '' };
    const ran = await there.runAs(token, ['create', '--url', 'http://127.0.0.1:1/'], allow);
    expect(ran).toMatchObject(refused('endpoint_refused'));
  });

  it('names the options that will not do', async () => {
    const ran = await run(
      'create',
      '--url',
      'https://hooks.example.com/',
      '--type',
      'secret.rotatd',
      '--batch',
      '2h',
    );

    expect(ran).toMatchObject(refused('subscription_invalid'));
    expect(ran.error).toMatch(/--type: .*; --batch: expected at most 1h/);
  });

  it('makes the same one only once', async () => {
    const { url, id, name } = await subscribe(await receive());

    const again = await run('create', '--url', url, '--name', name);
    expect(again).toMatchObject(refused('subscription_exists'));
    expect(again.error).toContain(id);
  });
});

describe('test', () => {
  it('says what was answered', async () => {
    const { id, received } = await subscribe(await receive(), '--type', 'lease.*');

    const { code, out, error } = await run('test', id);

    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toMatch(new RegExp(`^${id}: answered 204 in \\d+ ms$`));
    expect(received).toMatchObject([{ type: 'subscription.test' }]);
  });

  it('fails with what was answered in place of 2xx, without credentials', async () => {
    const { id } = await subscribe(await failing('no such user; token=canary-81d2'));

    const { code, out, error } = await run('test', id);

    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(error).toMatch(
      new RegExp(
        `^${id}: answered 500 in \\d+ ms: no such user; token=\\[secret\\]; tried again at 20\\S+Z$`,
      ),
    );
  });

  it('fails with the reason when nobody answers', async () => {
    const endpoint = await receive((response) => response.destroy());
    const { id } = await subscribe(endpoint);

    expect(await run('test', id)).toMatchObject({
      code: 1,
      error: expect.stringMatching(new RegExp(`^${id}: no answer: reset; tried again at `)),
    });
  });

  it('fails when nothing was sent in time, and is sent later', async () => {
    const { id, received } = await subscribe(await receive());
    there.running.paused = true;
    const ran = await run('test', id, '--wait', '1s');
    there.running.paused = false;

    expect(ran).toMatchObject({
      code: 1,
      out: '',
      error: expect.stringContaining('nothing was sent in time'),
    });
    await until(() => received.length === 1);
  });

  it('says that a subscription was deleted meanwhile', async () => {
    const { id } = await subscribe(await receive());
    there.running.paused = true;
    const testing = run('test', id);
    await until(async () => (await there.notices.days()).length > 0 && (await pendingOf(id)) > 0);
    await run('delete', id);
    there.running.paused = false;

    expect(await testing).toMatchObject({ code: 1, error: `${id}: was not sent: it is disabled or deleted` });
  });
});

async function pendingOf(id: string): Promise<number> {
  const [day = ''] = await there.notices.days();
  const found = await Promise.all(
    (await there.notices.dispatchesOf(day)).map((key) => there.notices.dispatch(key)),
  );
  return found.filter((one) => one?.document.notices[id]?.state === 'pending').length;
}

describe('list and show', () => {
  it('a line for each: whose, what, how it is', async () => {
    const { url, id, name } = await subscribe(await receive(), '--consumer', 'lister', '--batch', '1m');
    const spoilt = `lister:${uniqueName('spoilt')}`;
    await there.world.store.write(`subscriptions/${spoilt.replace(':', '/')}`, { id: spoilt }, 0);

    expect(rowsOf(await run('list', '--consumer', 'lister'))).toEqual([
      ['ID', 'TYPES', 'NAMES', 'BATCH', 'STATE', 'URL'],
      [id, '*', name, '1m', 'well', url],
      [spoilt, '-', '-', '-', 'unreadable', '-'],
    ]);
    expect((await run('list')).out).toContain(id);
    expect(JSON.parse((await run('list', '--consumer', 'lister', '--json')).out)).toMatchObject([
      { id, url },
      { id: spoilt, unreadable: true },
    ]);
  });

  it('say that there is none', async () => {
    expect((await run('list', '--consumer', 'nobody')).out).toMatch(/^There is none yet\. /);
    expect((await run('list', '--consumer', 'nobody', '--json')).out).toBe('[]');
  });

  it('do not take a Vault that is not prepared for one without subscriptions', async () => {
    const elsewhere = { LEASEKEEPER_STATE_MOUNT: uniqueName('nowhere') };

    expect(await there.runAs(there.world.rootToken, ['list'], elsewhere)).toMatchObject(
      refused('agenda_not_set_up'),
    );
  });

  it('write an URL so that a terminal does nothing by it', async () => {
    const id = `lister-2:${uniqueName('odd')}`;
    const { document } = (await there.notices.subscription((await subscribe(await receive())).id)) ?? {};
    if (document === undefined) throw new Error('no subscription');
    await there.notices.saveSubscription({ ...document, id, url: 'https://x.example.com/\u001b[2J' }, 0);

    const { out } = await run('list', '--consumer', 'lister-2');
    expect(out).toContain('https://x.example.com/%1B[2J');
    expect(out).not.toContain('\u001b');
  });
});

it('changes what is said, and leaves the rest', async () => {
  const { id, url } = await subscribe(
    await receive(),
    '--batch',
    '30s',
    '--cloudevents',
    '--description',
    'for us',
  );
  const shown = async () => JSON.parse((await run('show', id)).out);

  expect(await run('change', id, '--type', 'lease.*', '--no-batch', '--no-description')).toMatchObject({
    code: 0,
    out: `${id}: changed`,
  });
  const after = await shown();
  expect(after).toMatchObject({ url, types: ['lease.*'], cloudevents: true });
  expect([after.batch, after.description]).toEqual([undefined, undefined]);

  await run('change', id, '--no-cloudevents', '--batch', '1m');
  expect(await shown()).toMatchObject({ types: ['lease.*'], cloudevents: false, batch: '1m' });
  expect(await run('change', id)).toMatchObject(refused('subscription_invalid'));
  expect(await run('change', id, '--url', 'http://127.0.0.2/')).toMatchObject(refused('endpoint_refused'));
  expect(await shown()).toMatchObject({ url });
});

describe('rotate-secret', () => {
  it('shows the new one; both verify for a while', async () => {
    const { id, secret, secrets, received } = await subscribe(await receive());
    const { code, out } = await there.run('rotate-secret', id, '--overlap', '1h');
    const [first, second = ''] = out.split('\n');

    expect(code).toBe(0);
    expect(first).toMatch(/beside the old one until 20\S+Z:$/);
    expect(second).toMatch(ONLY_A_SECRET);
    for (const one of [secret, second]) {
      secrets.splice(0, secrets.length, one);
      expect((await run('test', id)).code).toBe(0);
    }
    expect(received).toHaveLength(2);
  });

  it('after a leak the old one verifies no more', async () => {
    const { id, secret, secrets } = await subscribe(await receive());
    const answer = JSON.parse((await there.run('rotate-secret', id, '--overlap', '0s', '--json')).out);

    expect(answer).toMatchObject({ id, secret: expect.stringMatching(ONLY_A_SECRET), secrets: [{}] });
    // Workers know a subscription for a few seconds.
    await until(async () => (await run('test', id)).code === 1, 30_000);
    secrets.splice(0, secrets.length, answer.secret);
    expect((await run('test', id)).code).toBe(0);
    expect(answer.secret).not.toBe(secret);
  });
});

describe('disable and enable', () => {
  it('nothing is sent meanwhile; what was missed can be sent', async () => {
    const { id, name, received } = await subscribe(await receive());
    expect((await run('disable', id)).out).toBe(`${id}: disabled; nothing is sent to it until it is enabled`);
    expect((await run('list')).out).toMatch(new RegExp(`^${id} .* disabled \\(by_hand\\)`, 'm'));
    expect(await run('test', id)).toMatchObject(refused('subscription_disabled'));
    expect(await run('replay', id, '--since', '1h')).toMatchObject(refused('subscription_disabled'));
    const missed = await rotate(name);

    expect((await run('enable', id)).out).toMatch(/: enabled; /);
    expect((await run('replay', id, '--since', '1h')).out).toBe(`${id}: 1 notice is on the way again`);

    await until(() => received.length === 1);
    expect(received).toEqual([{ id: missed.id, type: 'secret.rotated' }]);
  });
});

describe('notices', () => {
  it('shows the newest first, what became of them, and what was answered', async () => {
    const { id, name } = await subscribe(await failing('out of order'));
    const first = await rotate(name);
    const second = await rotate(name, 2);

    const rows = rowsOf(await run('notices', id));
    expect(rows[0]).toEqual(['RECORDED', 'ID', 'TYPE', 'STATE', 'TRIES', 'NEXT', 'LAST ATTEMPT']);
    expect(rows.slice(1).map(([, event]) => event)).toEqual([second.id, first.id]);
    expect(rows[2]?.slice(2, 5)).toEqual(['secret.rotated', 'pending', expect.stringMatching(/^\d$/)]);
    expect(rows[2]?.at(-1)).toMatch(/^answered 500 in \d+ ms: out of order$/);
    expect(JSON.parse((await run('notices', id, '--json', '--limit', '1')).out)).toMatchObject([
      { id: second.id, attempts: expect.arrayContaining([expect.objectContaining({ status: 500 })]) },
    ]);
    expect((await run('notices', id, '--limit', '1')).error).toBe('There may be more: --limit shows them.');
    expect((await run('notices', id, '--state', 'failed')).out).toBe(`${id} has no such notices.`);
    expect((await run('notices', id, '--since', '2999-01-01T00:00:00Z')).out).toBe(
      `${id} has no such notices.`,
    );
  });
});

describe('replay', () => {
  it('sends one again by its id, with that id', async () => {
    const { id, name, received } = await subscribe(await receive());
    const event = await rotate(name);
    await rotate(name, 2);

    expect(await run('replay', id, '--event', event.id)).toMatchObject({
      code: 0,
      out: `${id}: 1 notice is on the way again`,
    });
    await until(() => received.length === 3);
    expect(received.at(-1)?.id).toBe(event.id);
    expect(await run('replay', id, '--event', 'evt_none')).toMatchObject(refused('event_unknown'));
  });

  it('sends all that failed, however many; names what cannot be read', async () => {
    const { id, name, received } = await subscribe(await receive());
    const at = there.world.now();
    const limit = pLimit(16);
    const all = Array.from({ length: 250 }, (_, n) => rotated(name, [], n + 1));
    const failed = { ...newNotice(at), state: 'failed' as const };
    await Promise.all(
      all.map((event) =>
        limit(() =>
          there.notices.saveDispatch(
            keyOf(event),
            { events: [event], created: at, notices: { [id]: failed } },
            0,
          ),
        ),
      ),
    );
    const spoilt = '2026-11-21/evt_spoilt';
    await there.world.store.write(`dispatches/${spoilt}`, { json: '{' }, 0);

    const ran = await run('replay', id, '--failed');

    expect(ran).toEqual({
      code: 1,
      out: `${id}: 250 notices are on the way again`,
      error: `${spoilt}: cannot be read, so nothing of it was replayed`,
    });
    await until(() => received.length === 250, 30_000);
    expect(new Set(received.map((one) => one.id))).toEqual(new Set(all.map((event) => event.id)));
    await until(async () => (await run('replay', id, '--failed')).out.includes(': 0 notices'));
    await there.world.store.deleteMetadata(`dispatches/${spoilt}`);
  });

  it.each([
    [[]],
    [['--event', 'evt_1', '--failed']],
    [['--event', 'evt_1', '--since', '1h']],
    [['--event', '../x']],
    [['--since', 'tomorrow']],
  ])('is wrong usage with %j', async (options) => {
    expect(await run('replay', '_all:x', ...options)).toMatchObject({ code: 2, out: '' });
  });
});

it('deletes', async () => {
  const { id } = await subscribe(await receive());

  expect(await run('delete', id)).toMatchObject({ code: 0, out: `${id}: deleted` });
  for (const command of ['show', 'delete', 'disable', 'enable', 'test', 'notices']) {
    expect(await run(command, id)).toMatchObject(refused('subscription_unknown'));
  }
});

it('acts with the rights of the token: a consumer has its own subscriptions, and no others', async () => {
  const token = await there.consumerToken('inference');
  const { url } = await receive();
  const as = (...args: string[]) => there.runAs(token, args);

  const made = await as('create', '--url', url, '--consumer', 'inference');
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^inference:\w{26}: created/) });
  expect(rowsOf(await as('list', '--consumer', 'inference'))).toHaveLength(2);
  expect((await as('list', '--consumer', 'other')).code).toBe(1);
  for (const args of [['create', '--url', url], ['create', '--url', url, '--consumer', 'other'], ['list']]) {
    expect(await as(...args)).toMatchObject(refused('vault_denied'));
  }
  // What is in a dispatch is others' as well: over HTTP `manage` looks it up.
  const id = made.out.slice(0, made.out.indexOf(': '));
  expect(await as('notices', id)).toMatchObject(refused('vault_denied'));
});

it.each([
  ['show', 'x'],
  ['show', '_all:../../x'],
  ['create'],
  ['create', '--url', 'https://x.example.com', '--consumer', '_all'],
  ['notices', '_all:x', '--state', 'lost'],
  ['notices', '_all:x', '--limit', '0'],
  ['test', '_all:x', '--wait', 'long'],
])('wrong usage: %s %s', async (...args) => {
  expect(await run(...args)).toMatchObject({ code: 2, out: '' });
});

it('shows a signing secret when it is made, and never again', () => {
  expect(said.length).toBeGreaterThan(50);
  expect(JSON.stringify(said)).not.toMatch(SECRET);
  expect(JSON.stringify(said)).not.toContain('whsec_');
});
