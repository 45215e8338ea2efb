import { once } from 'node:events';
import { createServer } from 'node:http';
import { ulid } from 'ulid';
import { beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest';
import { createSigningSecret, headers as signed } from '../../../lib/notices/signature.ts';
import { admin } from '../../support/admin.ts';
import { cuttable } from './cuttable.ts';
import { type Ground, prepareGround } from './ground.ts';
import { listening } from './listening.ts';
import { publishedAt } from './publish.ts';

const SECRET = createSigningSecret(() => Buffer.alloc(32, 1));
const OTHER = createSigningSecret(() => Buffer.alloc(32, 2));

/** A notice as Leasekeeper signs and sends it. */
function notice(body: string, { secrets = [SECRET], id = `evt_${ulid()}`, ageSeconds = 0 } = {}) {
  const timestampSeconds = Math.floor(Date.now() / 1_000) - ageSeconds;
  return { headers: signed({ id, timestampSeconds, body, secrets }), body };
}

const rotated = (path: string, generation = 2) => ({
  type: 'secret.rotated',
  timestamp: new Date().toISOString(),
  data: { name: 'model-credentials', generation, path, consumers: [] },
});
const rotatedBody = (path: string) => JSON.stringify(rotated(path));

let ground: Ground;
let published: ReturnType<typeof publishedAt>;
beforeEach(async () => {
  ground = await prepareGround();
  published = publishedAt(ground, 'model-credentials');
  await published.publish(1);
});

function serviceThatUses() {
  const manager = ground.manager({ retry: { attempts: 1 } });
  onTestFinished(() => manager.cleanup());
  const told = listening(manager);
  const { receive, listener } = manager.noticeReceiver({ signingSecret: SECRET });
  const reads = () => ground.requests.filter(({ path }) => path.includes('/data/model-credentials')).length;
  return { manager, told, receive, listener, reads };
}

describe('a notice that a secret was rotated', () => {
  it('has it read anew, and handlers told, before it is answered', async () => {
    const { manager, told, receive, reads } = serviceThatUses();
    expect((await manager.getSecret(published.path)).data.get('key')).toBe('g1');
    await published.publish(2);
    expect((await manager.getSecret(published.path)).data.get('key')).toBe('g1');
    expect(await receive(notice(rotatedBody(published.path)))).toEqual({ status: 204 });
    expect(told.rotated).toMatchObject([{ path: published.path, current: { version: 2, generation: 2 } }]);
    expect((await manager.getSecret(published.path)).data.get('key')).toBe('g2');
    expect((await manager.getDynamicSecret(published.path)).data.get('key')).toBe('g2');
    expect(reads()).toBe(2);
  });

  it('comes during a read that began before: what that read is not kept', async () => {
    const { manager, receive } = serviceThatUses();
    await manager.init();
    const slow = manager.getSecret(published.path);
    await published.publish(2);
    await receive(notice(rotatedBody(published.path)));
    await slow;
    expect((await manager.getSecret(published.path)).data.get('key')).toBe('g2');
  });

  it('a path that was asked for before there was anything is there at once', async () => {
    const { manager, receive } = serviceThatUses();
    const later = publishedAt(ground, 'later');
    await expect(manager.getSecret(later.path)).rejects.toMatchObject({ code: 'vault_not_found' });
    await later.publish(1);
    await expect(manager.getSecret(later.path)).rejects.toMatchObject({ code: 'vault_not_found' });
    await receive(notice(rotatedBody(later.path)));
    expect((await manager.getSecret(later.path)).data.get('key')).toBe('g1');
  });

  it('in a batch: every path of it', async () => {
    const { manager, receive } = serviceThatUses();
    await manager.getSecret(published.path);
    await published.publish(2);
    const notices = [{ type: 'lease.lost', data: {} }, rotated('elsewhere/x'), rotated(published.path)];
    const batch = JSON.stringify({ type: 'notices.batch', timestamp: 'now', data: { notices } });
    expect(await receive(notice(batch))).toEqual({ status: 204 });
    expect((await manager.getSecret(published.path)).data.get('key')).toBe('g2');
  });

  it('costs Vault nothing when nobody uses the path, or when it comes again', async () => {
    const { manager, receive, reads } = serviceThatUses();
    await manager.init();
    expect(await receive(notice(rotatedBody(published.path)))).toEqual({ status: 204 });
    expect(reads()).toBe(0);
    await manager.getSecret(published.path);
    const again = notice(rotatedBody(published.path));
    for (let turn = 0; turn < 3; turn += 1) expect(await receive(again)).toEqual({ status: 204 });
    expect(reads()).toBe(2);
  });

  it('while Vault cannot be asked it is to be sent again, and then has its effect', async () => {
    const { manager, told, receive } = serviceThatUses();
    await manager.getSecret(published.path);
    await published.publish(2);
    const same = notice(rotatedBody(published.path));
    const away = await prepareAway();
    expect(await away.receive(same)).toEqual({ status: 503 });
    away.back();
    expect(await away.receive(same)).toEqual({ status: 204 });
    expect(await away.value()).toBe('g2');
    expect(await receive(same)).toEqual({ status: 204 });
    expect(told.fault).toEqual([]);

    /** A service whose way to Vault is cut once it has the first generation. */
    async function prepareAway() {
      const way = cuttable();
      const manager = ground.manager(way.options);
      onTestFinished(() => manager.cleanup());
      await manager.getSecret(published.path);
      way.cut();
      const receiver = manager.noticeReceiver({ signingSecret: () => Promise.resolve([OTHER, SECRET]) });
      return {
        receive: receiver.receive,
        value: async () => (await manager.getSecret(published.path)).data.get('key'),
        back: way.mend,
      };
    }
  });
});

it('while Vault cannot be asked for what was not there before, it is to be sent again, too', async () => {
  const way = cuttable();
  const manager = ground.manager(way.options);
  onTestFinished(() => manager.cleanup());
  const { receive } = manager.noticeReceiver({ signingSecret: SECRET });
  await expect(manager.getSecret('nvidia/later')).rejects.toMatchObject({ code: 'vault_not_found' });
  way.cut();
  expect(await receive(notice(rotatedBody('nvidia/later')))).toEqual({ status: 503 });
});

it('a refusal is told as a fault and will be the same the next time: the notice is taken', async () => {
  const { manager, told, receive } = serviceThatUses();
  await manager.getSecret(published.path);
  const within = published.path.replace('/', '/metadata/');
  await admin(inject).request('DELETE', `${ground.namespace}/${within}`);
  expect(await receive(notice(rotatedBody(published.path)))).toEqual({ status: 204 });
  expect(told.fault).toMatchObject([
    { operation: 'refresh', path: published.path, error: { code: 'vault_not_found' } },
  ]);
});

describe('what is no notice of ours', () => {
  it.each([
    ['forged', (body: string) => notice(body, { secrets: [OTHER] }), 401],
    ['six minutes old', (body: string) => notice(body, { ageSeconds: 360 }), 401],
    ['altered', (body: string) => ({ ...notice(body), body: `${body} ` }), 401],
    ['without headers', (body: string) => ({ headers: {}, body }), 401],
    ['signed, but not JSON', () => notice('not json'), 400],
    ['signed, but nothing we know', () => notice('{"type":"of.tomorrow","data":{}}'), 204],
  ])('%s', async (_name, make, status) => {
    const { manager, receive, reads } = serviceThatUses();
    await manager.getSecret(published.path);
    expect(await receive(make(rotatedBody(published.path)))).toEqual({ status });
    expect(reads()).toBe(1);
  });

  it('a secret that is none is refused at once, and is not in the error', () => {
    const { manager } = serviceThatUses();
    let thrown: unknown;
    try {
      manager.noticeReceiver({ signingSecret: 'whsec_!!canary!!' });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'signing_secret_invalid' });
    expect(String(thrown)).not.toContain('canary');
  });
});

it('as a listener of node:http', async () => {
  const { manager, listener } = serviceThatUses();
  await manager.getSecret(published.path);
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const bound = server.address();
  const url = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`;
  const post = async (body: string, headers: Record<string, string>) =>
    (await fetch(url, { method: 'POST', body, headers })).status;
  await published.publish(2);
  const { headers, body } = notice(rotatedBody(published.path));
  expect(await post(body, headers)).toBe(204);
  expect((await manager.getSecret(published.path)).data.get('key')).toBe('g2');
  expect(await post(`${body} `, headers)).toBe(401);
  expect(await post('x'.repeat(70_000), headers)).toBe(413);
});
