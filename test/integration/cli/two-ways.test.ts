import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { uniqueName } from '../../support/admin.ts';
import { until } from '../../support/until.ts';
import { leaseSpecification } from '../../support/world.ts';
import { receive } from './subscribe-world.ts';
import { type Ran, startTwoWays, type TwoWays, WAYS, type Way } from './two-ways-world.ts';

const CANARY = 'typed-canary-7b20';
let there: TwoWays;
/** By everything but what shows a signing secret. */
const said: Ran[] = [];

beforeAll(async () => {
  there = await startTwoWays();
});
afterAll(() => there.close());

async function run(way: Way, args: readonly string[], more?: Parameters<TwoWays['run']>[2]): Promise<Ran> {
  const ran = await there.run(way, args, more);
  said.push(ran);
  return ran;
}

/** What each way says of one that is its own, as if both had the same name. */
async function each(
  names: Readonly<Record<Way, string>>,
  argsOf: (name: string) => readonly string[],
  input = '',
) {
  const told = async (way: Way) => {
    const { code, out, error } = await run(way, argsOf(names[way]), { input });
    return { code, out: out.replaceAll(names[way], 'NAME'), error: error.replaceAll(names[way], 'NAME') };
  };
  return { vault: await told('vault'), http: await told('http') };
}

async function same(args: readonly string[]): Promise<Ran> {
  const { vault, http } = await there.both(args);
  said.push(vault, http);
  expect(http).toEqual(vault);
  return http;
}

const generationOf = async (name: string) => (await there.world.secrets.read(name))?.state.cur?.g;
const idle = async (name: string, generation: number) => {
  await until(async () => {
    const state = (await there.world.secrets.read(name))?.state;
    return state?.phase === 'idle' && state.cur?.g === generation;
  }, 20_000);
};

describe('managed secrets', () => {
  const names = { vault: 'by-vault', http: 'by-http' };
  const specification = (name: string, more: object = {}) =>
    JSON.stringify(
      leaseSpecification(there.world, {
        name,
        publish: `app/${name}`,
        schedule: { every: '1d' },
        grace: '1s',
        deadline: '2s',
        ...more,
      }),
    );

  it('apply creates and changes', async () => {
    for (const told of ['created; its first generation is due now', 'changed']) {
      for (const way of WAYS) {
        const input = specification(names[way], told === 'changed' ? { consumers: ['gateway'] } : {});
        expect(await run(way, ['apply', '-f', '-'], { input })).toEqual({
          code: 0,
          out: `${names[way]}: ${told}`,
          error: '',
        });
        await idle(names[way], 1);
      }
    }
    expect((await there.world.secrets.read('by-http'))?.spec).toMatchObject({ consumers: ['gateway'] });
  });

  it('apply refuses before anything is asked for what the specification says', async () => {
    const { vault, http } = await each(names, () => ['apply', '-f', '-'], '{"kind":"lease"}');
    expect(http).toEqual(vault);
    expect(http).toMatchObject({ code: 1, error: expect.stringContaining('specification_invalid') });
  });

  it('rotate', async () => {
    const { vault, http } = await each(names, (name) => ['rotate', name]);
    expect(http).toEqual(vault);
    expect(http).toEqual({ code: 0, out: 'NAME: rotation due now; the next scan begins it', error: '' });
    for (const way of WAYS) await idle(names[way], 2);
    const leak = await each(names, (name) => ['rotate', name, '--leak']);
    expect(leak.http).toEqual(leak.vault);
    expect(leak.http.out).toContain('without grace');
    for (const way of WAYS) await idle(names[way], 3);
  });

  it('list, as a table and as JSON', async () => {
    const { out } = await same(['list']);
    expect(out.split('\n').map((line) => line.split(/ +/)[0])).toEqual(['NAME', 'by-http', 'by-vault']);
    expect(JSON.parse((await same(['list', '--json'])).out)).toHaveLength(2);
  });

  it('history tells the same, of whichever way it was asked for', async () => {
    for (const way of WAYS) {
      const { out } = await same(['history', names[way]]);
      expect(out.split('\n').map((line) => line.split(/ {2,}/).slice(0, 3))).toEqual([
        ['GENERATION', 'REASON', 'BY'],
        ['g3', 'leak', 'token-ada'],
        ['g2', 'demand', 'token-ada'],
        ['g1', 'first', '-'],
      ]);
      expect(JSON.parse((await same(['history', names[way], '--json'])).out)).toHaveLength(3);
    }
  });

  it('show: what Vault tells, but no handle', async () => {
    const { vault, http } = await there.both(['show', 'by-http']);
    const { state, ...rest } = JSON.parse(vault.out);
    expect(state.cur.h).toBeDefined();
    expect(http).toEqual({ ...vault, out: JSON.stringify(rest, null, 2) });
    expect(rest).toMatchObject({ specification: { grace: '1s', schedule: { every: '1d' } } });
    expect(http.out).not.toContain(there.world.namespace.concat('/database/creds'));
  });

  it('pause and resume', async () => {
    for (const [command, told] of [
      ['pause', 'NAME: paused; nothing of it'],
      ['resume', 'NAME: goes on'],
    ] as const) {
      const { vault, http } = await each(names, (name) => [command, name]);
      expect(http).toEqual(vault);
      expect(http.out).toContain(told);
      if (command === 'pause') {
        const refused = await each(names, (name) => ['rotate', name]);
        expect(refused.http).toEqual(refused.vault);
        expect(refused.http.error).toMatch(/^leasekeeper: managed_secret_paused: .*\n {2}Resume it first\.$/);
        expect((await same(['list'])).out).toContain('paused');
      }
    }
    expect((await there.world.secrets.read('by-http'))?.state.paused).toBeUndefined();
  });

  it('supply: the value arrives, and is not told', async () => {
    const manual = { vault: 'hand-vault', http: 'hand-http' };
    for (const way of WAYS) {
      const input = JSON.stringify({
        kind: 'manual',
        name: manual[way],
        publish: `app/${manual[way]}`,
        grace: '1s',
        deadline: '1s',
      });
      expect((await run(way, ['apply', '-f', '-'], { input })).out).toContain('it waits to be asked for');
    }
    const { vault, http } = await each(manual, (name) => ['supply', name], `{"key":"${CANARY}"}`);
    expect(http).toEqual(vault);
    expect(http).toEqual({ code: 0, out: 'NAME: value taken; the next scan begins its rotation', error: '' });
    for (const way of WAYS) await idle(manual[way], 1);
    const refused = await each(names, (name) => ['supply', name], `{"key":"${CANARY}"}`);
    expect(refused.http).toEqual(refused.vault);
    expect(refused.http.error).toContain('managed_secret_not_manual');
    const unread = await each(manual, (name) => ['supply', name], `key: ${CANARY}`);
    expect(unread.http).toEqual(unread.vault);
  });

  it('ack, as whoever may', async () => {
    const environment = { VAULT_TOKEN: there.world.rootToken };
    for (const [generation, told] of [
      ['2', 'gateway has adopted generation 2'],
      ['1', 'gateway has already adopted the later generation 2'],
    ] as const) {
      for (const way of WAYS) {
        const args = ['ack', names[way], '--consumer', 'gateway', '--generation', generation];
        expect(await run(way, args, { environment })).toEqual({
          code: 0,
          out: `${names[way]}: ${told}`,
          error: '',
        });
      }
    }
    const args = ['ack', 'by-http', '--consumer', 'gateway', '--generation', '3'];
    const denied = await same(args);
    expect(denied.error).toMatch(/^leasekeeper: vault_denied: .*\n {2}Check that the token is valid/);
  });

  it('remove', async () => {
    for (const credentials of ['revoke', 'keep']) {
      const gone = { vault: `gone-vault-${credentials}`, http: `gone-http-${credentials}` };
      for (const way of WAYS) {
        await run(way, ['apply', '-f', '-'], { input: specification(gone[way]) });
        await idle(gone[way], 1);
      }
      const { vault, http } = await each(gone, (name) => ['remove', name, '--credentials', credentials]);
      expect(http).toEqual(vault);
      expect(http.out).toMatch(/^NAME: no longer managed; /);
      expect((await there.world.secrets.read(gone.http))?.state.removed).toMatchObject({
        credentials,
        by: 'token-ada',
      });
      const refused = await each(gone, (name) => ['rotate', name]);
      expect(refused.http).toEqual(refused.vault);
      expect(refused.http.error).toContain('managed_secret_removed');
    }
    expect((await same(['list'])).out).not.toContain('gone');
    expect((await same(['list', '--removed'])).out).toContain('gone-http-keep');
  });

  it.each([['pause'], ['resume'], ['rotate'], ['show'], ['history'], ['remove', '--credentials', 'keep']])(
    '%s says of one that is not there what Vault says',
    async (command, ...more) => {
      const { code, error } = await same([command, 'absent', ...more]);
      expect([code, error]).toEqual([1, expect.stringContaining('leasekeeper: managed_secret_unknown: ')]);
    },
  );
});

describe('subscriptions', () => {
  const ids = { vault: '', http: '' };
  const urls = { vault: '', http: '' };
  const subscribe = (...args: string[]) => ['subscribe', ...args];
  const created = /^(_all:\w{26}): created; .*:\n(whsec_[A-Za-z0-9+/]{43}=)$/;
  const took = (ran: Ran) => ({ ...ran, out: ran.out.replace(/in \d+ ms/, 'in N ms') });

  it('create prints the signing secret, by which notices verify; test says what was answered', async () => {
    for (const way of WAYS) {
      const { url, secrets, received } = await receive();
      // It hears of nothing but tests of it.
      const filter = ['--name', 'nobody'];
      const made = await there.run(way, subscribe('create', '--url', url, '--batch', '1m30s', ...filter));
      const { code, out } = made;
      const [, id = '', secret = ''] = created.exec(out) ?? [];
      expect([code, secret === '']).toEqual([0, false]);
      ids[way] = id;
      urls[way] = url;
      secrets.push(secret);
      expect(took(await run(way, subscribe('test', id)))).toEqual({
        code: 0,
        out: `${id}: answered 204 in N ms`,
        error: '',
      });
      expect(received).toMatchObject([{ type: 'subscription.test' }]);
      // The same one is not made twice.
      const again = await run(way, subscribe('create', '--url', url, ...filter));
      expect(again.error).toContain(`leasekeeper: subscription_exists: The subscription ${id} has`);
    }
  });

  it('create takes all that can be said, and refuses the same', async () => {
    const said = '--consumer gateway --type secret.* --name app-* --cloudevents --description mine --json';
    const shown: unknown[] = [];
    for (const way of WAYS) {
      const { url } = await receive();
      const ran = await there.run(way, subscribe('create', '--url', url, ...said.split(' ')));
      const { id, created: _, secret, ...rest } = JSON.parse(ran.out);
      expect(secret).toMatch(/^whsec_/);
      expect(Object.keys(JSON.parse(ran.out)).at(-1)).toBe('secret');
      shown.push({ ...rest, url: 'URL' });
      await run(way, subscribe('delete', id));
    }
    expect(JSON.stringify(shown[1])).toBe(JSON.stringify(shown[0]));
    const typo = await same(
      subscribe('create', '--url', 'https://x.example.com/', '--type', 'secret.rotatd'),
    );
    expect(typo.error).toContain('subscription_invalid: The subscription will not do: --type: ');
    const inside = await same(subscribe('create', '--url', 'http://10.0.0.1/'));
    expect(inside.error).toContain('leasekeeper: endpoint_refused: ');
  });

  it('list and show', async () => {
    const { out } = await same(subscribe('list'));
    expect(out).toContain(ids.http);
    expect(JSON.parse((await same(subscribe('list', '--json'))).out)).toHaveLength(2);
    expect((await same(subscribe('list', '--consumer', 'nobody'))).out).toMatch(/^There is none yet/);
    expect(JSON.parse((await same(subscribe('show', ids.http))).out)).toMatchObject({ batch: '1m30s' });
  });

  it('change', async () => {
    const { vault, http } = await each(ids, (id) =>
      subscribe('change', id, '--type', 'subscription.*', '--no-batch', '--description', 'for us'),
    );
    expect(http).toEqual(vault);
    expect(http.out).toBe('NAME: changed');
    const shown = JSON.parse((await same(subscribe('show', ids.http))).out);
    expect(shown).toMatchObject({ types: ['subscription.*'], description: 'for us' });
    expect(shown.batch).toBeUndefined();
    expect((await same(subscribe('change', ids.http))).error).toContain('Nothing is to be changed.');
    const refused = await same(subscribe('change', ids.http, '--url', 'http://10.0.0.1/'));
    expect(refused.error).toContain('endpoint_refused');
  });

  it('notices', async () => {
    for (const way of WAYS) {
      expect((await same(subscribe('notices', ids[way]))).out).toMatch(/subscription\.test .*delivered/);
      const [notice] = JSON.parse((await same(subscribe('notices', ids[way], '--json'))).out);
      expect(notice).toMatchObject({ attempts: [{ status: 204 }] });
      const none = await same(subscribe('notices', ids[way], '--state', 'failed'));
      expect(none.out).toBe(`${ids[way]} has no such notices.`);
      const since = await same(subscribe('notices', ids[way], '--since', '2999-01-01T00:00:00Z'));
      expect(since.out).toBe(`${ids[way]} has no such notices.`);
    }
  });

  it('replay', async () => {
    for (const what of [['--since', '2026-01-01T00:00:00Z'], ['--failed']]) {
      const { vault, http } = await each(ids, (id) => subscribe('replay', id, ...what));
      expect(http).toEqual(vault);
      expect(http.out).toBe(
        what[0] === '--since' ? 'NAME: 1 notice is on the way again' : 'NAME: 0 notices are on the way again',
      );
    }
    const [notice] = JSON.parse((await run('http', subscribe('notices', ids.http, '--json'))).out);
    const one = await run('http', subscribe('replay', ids.http, '--event', notice.id));
    expect(one).toEqual({ code: 0, out: `${ids.http}: 1 notice is on the way again`, error: '' });
    const unknown = await same(subscribe('replay', ids.http, '--event', 'evt_none'));
    expect(unknown.error).toContain('event_unknown');
  });

  it('goes through all pages', async () => {
    const consumer = uniqueName('many');
    const { document } = (await there.notices.subscription(ids.http)) ?? {};
    if (document === undefined) throw new Error('no subscription');
    const many = Array.from({ length: 205 }, (_, n) => `${consumer}:${String(n).padStart(3, '0')}`);
    for (const id of many) await there.notices.saveSubscription({ ...document, id }, 0);
    const { out } = await same(subscribe('list', '--consumer', consumer));
    expect(out.split('\n')).toHaveLength(206);
    for (const id of many) await there.notices.deleteSubscription(id);
  });

  it('rotate-secret', async () => {
    for (const overlap of ['1h', '0s']) {
      const told: string[] = [];
      for (const way of WAYS) {
        const { out } = await there.run(way, subscribe('rotate-secret', ids[way], '--overlap', overlap));
        const [words = '', secret] = out.split('\n');
        expect(secret).toMatch(/^whsec_/);
        told.push(words.replace(ids[way], 'NAME').replace(/20\S+Z/, 'TIME'));
      }
      expect(told[1]).toBe(told[0]);
      expect(told[1]).toContain(overlap === '0s' ? 'signs alone' : 'beside the old one until TIME');
    }
  });

  it('disable and enable', async () => {
    for (const command of ['disable', 'enable']) {
      const { vault, http } = await each(ids, (id) => subscribe(command, id));
      expect(http).toEqual(vault);
      expect(http.out).toContain(`NAME: ${command}d`);
      if (command === 'enable') continue;
      expect((await same(subscribe('list'))).out).toContain('disabled (by_hand)');
      for (const asked of [['test'], ['replay', '--failed']]) {
        const [what = '', ...more] = asked;
        const refused = await same(subscribe(what, ids.http, ...more));
        expect(refused.error).toContain('leasekeeper: subscription_disabled: ');
      }
    }
  });

  it('delete, and then it is not there', async () => {
    const { vault, http } = await each(ids, (id) => subscribe('delete', id));
    expect(http).toEqual(vault);
    expect(http).toEqual({ code: 0, out: 'NAME: deleted', error: '' });
    for (const command of ['show', 'delete', 'disable', 'enable', 'test', 'notices']) {
      const refused = await same(subscribe(command, ids.http));
      expect(refused.error).toContain('leasekeeper: subscription_unknown: ');
    }
  });
});

describe('status', () => {
  it('tells the same of what is managed; over HTTP also of scans', async () => {
    const { vault, http } = await there.both(['status']);
    const [at, scans, ...rest] = http.out.split('\n');
    expect(at).toBe(`at ${there.host.address}`);
    expect(scans).toMatch(/^scans: ok, the last one \d+ s ago$/);
    expect(vault.out.split('\n')).toEqual([`at ${there.world.address}`, ...rest]);
    expect([vault.code, http.code]).toEqual([0, 0]);
  });
});

describe('who asks', () => {
  it('may be a JWT, with its role and mount', async () => {
    const VAULT_JWT = await there.cluster.jwt('ada');
    const as = { VAULT_TOKEN: '', VAULT_JWT, VAULT_ROLE: 'operators' };
    const environment = { ...as, VAULT_AUTH_MOUNT: there.cluster.mount };
    expect((await run('http', ['list'], { environment })).code).toBe(0);
    expect((await run('http', ['pause', 'by-http'], { environment })).code).toBe(0);
    expect((await there.world.secrets.read('by-http'))?.state.paused?.by).toBe('operators');
    expect((await run('http', ['resume', 'by-http'], { environment })).code).toBe(0);

    const elsewhere = { ...as, VAULT_AUTH_MOUNT: 'other' };
    const refused = await run('http', ['list'], { environment: elsewhere });
    expect(refused.error).toMatch(/^leasekeeper: auth_mount_not_allowed: /);
    // Another role than the account has.
    const nobody = { ...environment, VAULT_ROLE: 'nobody' };
    expect((await run('http', ['list'], { environment: nobody })).error).toContain('caller_refused');
  });

  it('a token of nobody is refused', async () => {
    const environment = { VAULT_TOKEN: 'hvs.canary-nobody' };
    const { code, error } = await run('http', ['list'], { environment });
    expect([code, error]).toEqual([1, expect.stringMatching(/^leasekeeper: caller_refused: /)]);
  });

  it('one who asks too often waits, and gets every answer', async () => {
    const runs = await Promise.all(Array.from({ length: 60 }, () => run('http', ['show', 'by-http'])));
    expect(new Set(runs.map(({ code }) => code))).toEqual(new Set([0]));
  });
});

it('commands that need Vault itself do not go by the API', async () => {
  const { code, error } = await run('http', ['setup']);
  expect([code, error]).toEqual([1, expect.stringContaining('vault_unreachable')]);
});

it('nothing that was said holds a secret', async () => {
  expect(said.length).toBeGreaterThan(100);
  const all = JSON.stringify(said);
  for (const secret of ['whsec_', CANARY, 'canary-nobody']) expect(all).not.toContain(secret);
  expect(await generationOf('by-http')).toBeGreaterThan(2);
});
