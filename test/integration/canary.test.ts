import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { inflateRawSync } from 'node:zlib';
import { expect, inject, it, onTestFinished } from 'vitest';
import * as z from 'zod';
import { readConfig } from '../../lib/host/config.ts';
import { startOneProcess } from '../../lib/host/local/one-process.ts';
import { NoticeStore } from '../../lib/notices/notice-store.ts';
import { createSigningSecret } from '../../lib/notices/signature.ts';
import { testPostgresLogin } from '../../lib/rotation/probes/postgres.ts';
import { createLogger } from '../../lib/telemetry/log.ts';
import { Secret } from '../../lib/telemetry/secret.ts';
import { appRoleAuth } from '../../lib/vault/auth/approle.ts';
import { isVaultError } from '../../lib/vault/errors.ts';
import { receiveHttp } from '../notices/receiver.ts';
import { admin } from '../support/admin.ts';
import { hostOn } from '../support/host-on.ts';
import { startRecordingProxy } from '../support/recording-proxy.ts';
import { until } from '../support/until.ts';
import { leaseSpecification, openWorld, type World } from '../support/world.ts';
import { createAccessWorld, createToken } from './access/access-world.ts';

/** Something that came out of the system, and where. */
interface Output {
  readonly where: string;
  readonly text: string;
}

const STATIC = 'canary-in-kv-a-readable-word';
const TYPED = 'canary-typed-by-a-caller';
const JWT = 'canary.bearer.jwt-of-a-caller';

/** The outputs that hold a secret, plain or in one of the usual codings. */
function leaks(outputs: readonly Output[], secrets: readonly string[]): readonly string[] {
  const forms = secrets.flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    // Without its last, uneven bytes, which depend on what follows.
    Buffer.from(secret)
      .toString('base64')
      .slice(0, Math.floor(Buffer.byteLength(secret) / 3) * 4),
  ]);
  return outputs.filter(({ text }) => forms.some((form) => text.includes(form))).map(({ where }) => where);
}

/** All of the state mount but pending values; shards unpacked; of subscriptions what is not the signing secret. */
async function stateOf(world: World, folder = ''): Promise<Output[]> {
  const names = await world.store.list(folder);
  const found = await Promise.all(
    names.map(async (name): Promise<Output[]> => {
      const path = `${folder}${name}`;
      if (path === 'pending/') return [];
      if (name.endsWith('/')) return stateOf(world, path);
      const { entry } = await world.store.read(path);
      if (entry === undefined) return [];
      const { secrets: _secrets, packed, ...rest } = entry.data;
      const text = JSON.stringify({
        ...rest,
        ...(path.startsWith('subscriptions/') ? {} : { secrets: _secrets }),
      });
      const unpacked =
        typeof packed === 'string' ? inflateRawSync(Buffer.from(packed, 'base64')).toString() : '';
      return [{ where: path, text: text + unpacked + JSON.stringify(entry.customMetadata) }];
    }),
  );
  return found.flat();
}

const printed = (where: string, error: unknown): Output => ({
  where,
  text: [
    inspect(error, { depth: 10, showHidden: true }),
    JSON.stringify(error),
    JSON.stringify(error, error instanceof Error ? Object.getOwnPropertyNames(error) : []),
    String(error),
  ].join('\n'),
});

it('no secret value and no token is in anything that comes out, but the answer to its caller', async () => {
  const described = await createAccessWorld();
  const { request } = admin(inject);
  const vault = await startRecordingProxy(described.address);
  onTestFinished(() => vault.close());
  // The lookups of the test go beside the proxy; what it sees is the system's own.
  const world = openWorld(described);
  onTestFinished(() => world.close());
  const outputs: Output[] = [];
  const add = (where: string, text: string) => void outputs.push({ where, text });

  // What there is to be leaked.
  await request('POST', `${world.namespace}/app/data/static`, { data: { word: STATIC } });
  const caller = await createToken([described.appPolicy]);
  const signingSecret = createSigningSecret(randomBytes);
  const received: string[] = [];
  const { port } = await receiveHttp((incoming, response) => {
    const { 'webhook-signature': _signature, ...headers } = incoming.headers;
    add('headers of a notice', JSON.stringify(headers));
    incoming.on('data', (chunk) => add('body of a notice', String(chunk)));
    incoming.on('end', () => {
      received.push(String(headers['webhook-id']));
      response.writeHead(received.length === 1 ? 500 : 204).end(`token=${TYPED}; from the receiver`);
    });
  });
  const notices = new NoticeStore(world.store);
  const everything = { types: ['*'], names: ['*'], secrets: [{ secret: signingSecret }] };
  await notices.saveSubscription(
    { id: '_all:everything', url: `http://127.0.0.1:${port}/`, ...everything },
    0,
  );
  await world.secrets.apply(leaseSpecification(world, { grace: '1s', deadline: '2s' }));
  const failing = { kind: 'postgres', ...world.postgres, database: 'absent', tls: false } as const;
  await world.secrets.apply(
    leaseSpecification(world, { name: 'failing-probe', publish: 'app/failing', test: failing }),
  );

  const scans: unknown[] = [];
  const types: string[] = [];
  const host = await startOneProcess({
    ...hostOn(
      { ...world, address: vault.address },
      {
        LEASEKEEPER_SCAN_INTERVAL: '0.5',
        LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1',
        LEASEKEEPER_CALLER_MOUNTS: 'absent',
      },
    ),
    logger: createLogger({
      level: 'trace',
      name: 'canary',
      destination: { write: (line) => add('log', line) },
    }),
    onScan: (report) => scans.push(report),
    onEvent: (event) => {
      types.push(event.type);
      add(`event ${event.type}`, JSON.stringify(event));
    },
    onDelivered: (delivered) => add('delivery', JSON.stringify(delivered)),
  });
  let closed = false;
  const close = async () => {
    if (!closed) await host.close();
    closed = true;
  };
  onTestFinished(close);

  const ask = async (
    path: string,
    init: { method?: string; headers: Record<string, string>; body?: string },
  ) => {
    const answer = await fetch(host.address + path, init);
    const body = await answer.text();
    // An answer to its caller may hold what was asked for; a refusal holds nothing.
    const headers = JSON.stringify([...answer.headers]);
    add(`answer ${answer.status} to ${path}`, answer.ok ? headers : headers + body);
    return { status: answer.status, body };
  };
  const own = { 'x-vault-token': caller, 'content-type': 'application/json' };
  const lease = (body: unknown, headers: Record<string, string> = own) =>
    ask('/v1/leases', { method: 'POST', headers, body: JSON.stringify(body) });

  // A life of the system: issue, wrap, read, be refused, rotate, fail, retire, deliver.
  const issued = await lease({ path: 'database/creds/app' });
  const wrapped = await lease({ path: 'database/creds/app', wrap_ttl: 60 });
  expect([issued.status, wrapped.status]).toEqual([201, 201]);
  expect((await ask('/v1/secrets/app/static', { headers: own })).body).toContain(STATIC);
  const refusals = await Promise.all([
    ask('/v1/secrets/app/closed', { headers: own }),
    lease({ path: 'database/creds/other' }),
    lease({ path: 'app/static' }),
    lease({ path: 'database/creds/app', ttl: TYPED, other: TYPED }),
    lease({ path: 'database/creds/app', replaces: TYPED }),
    lease({ path: 'database/creds/app' }, { 'x-vault-token': TYPED }),
    ask('/v1/secrets/app/static', { headers: { authorization: `Bearer ${JWT}`, 'x-vault-role': 'reader' } }),
    ask('/v1/leases', { method: 'POST', headers: own, body: `{"password":"${TYPED}` }),
    ask('/v1/managed', { headers: own }),
  ]);
  for (const { status } of refusals) expect(status).toBeGreaterThanOrEqual(400);
  await until(() => types.includes('secret.rotated') && types.includes('secret.rotation_failed'), 20_000);
  const demanded = await ask('/v1/managed/app-database/rotate', {
    method: 'POST',
    headers: { 'x-vault-token': world.rootToken },
  });
  expect(demanded.status).toBe(202);
  add('what operators see', demanded.body);
  await until(() => types.includes('secret.retired'), 20_000);
  // The first notice was refused once, and is repeated in the process.
  await until(() => new Set(received).size < received.length, 20_000);
  add('metrics', await (await fetch(`${host.address}/metrics`)).text());
  await sleep(600);
  outputs.push(...(await stateOf(world)));
  await close();

  // Errors as they may reach a log of somebody else's.
  const denied: unknown = await openWorld({ ...described, rootToken: TYPED })
    .store.read('secrets/app-database')
    .catch((error: unknown) => error);
  expect(isVaultError(denied, 'vault_denied')).toBe(true);
  outputs.push(printed('thrown by the client', denied));
  const login = appRoleAuth({ roleId: 'x', secretId: new Secret(TYPED), mount: 'absent' }).login(
    world.client,
  );
  outputs.push(printed('thrown by a login', await login.catch((error: unknown) => error)));
  const lost = world.store.write('subscriptions/everything', { word: STATIC }, 99);
  outputs.push(printed('thrown by a write', await lost.catch((error: unknown) => error)));
  outputs.push(
    printed('read by a probe', await testPostgresLogin(failing, { username: 'x', password: TYPED })),
  );
  const spoilt = { id: 'spoilt', url: TYPED, types: [TYPED], names: [], secrets: [{ secret: TYPED }] };
  await world.store.write('subscriptions/spoilt', spoilt, 0);
  outputs.push(
    printed('thrown by the notices', await notices.subscription('spoilt').catch((error: unknown) => error)),
  );
  outputs.push(
    printed(
      'thrown for a configuration',
      trying(() => readConfig({ VAULT_ADDR: TYPED, VAULT_TOKEN: TYPED })),
    ),
  );

  const published = z
    .object({ data: z.object({ data: z.object({ password: z.string() }) }) })
    .parse(await request('GET', `${world.namespace}/app/data/database`));
  const secrets = [
    ...vault.secrets,
    caller,
    STATIC,
    JWT,
    signingSecret,
    signingSecret.slice('whsec_'.length),
  ];
  // The test would prove nothing if it did not know what to look for, or had nothing to look through.
  expect(secrets).toContain(world.rootToken);
  expect(secrets).toContain(published.data.data.password);
  expect([...vault.secrets].filter((secret) => /^(?:hvs|s)\./.test(secret)).length).toBeGreaterThanOrEqual(4);
  const kinds = outputs.map(({ where }) => where.replace(/[\d ].*$/, ''));
  for (const kind of [
    'log',
    'event',
    'body',
    'headers',
    'metrics',
    'answer',
    'agenda/leases/shards/',
    'secrets/app-database',
  ]) {
    expect(kinds).toContain(kind);
  }
  expect(
    outputs.filter(({ where, text }) => where === 'log' && text.includes('"audit":true')).length,
  ).toBeGreaterThan(8);
  expect(leaks(outputs, secrets)).toEqual([]);
  // What a caller typed may come back in no answer and no line either; its own path may.
  expect(
    leaks(
      outputs.filter(({ where }) => where !== 'subscriptions/spoilt'),
      [TYPED],
    ),
  ).toEqual([]);
}, 120_000);

it('a leak in any coding would be found', () => {
  const secret = 'pass/word+"1"';
  const base64 = Buffer.from(`${secret}…`).toString('base64');
  const found = [secret, encodeURIComponent(secret), JSON.stringify({ secret }), base64].map(
    (text, index) => ({
      where: String(index),
      text: `before ${text} after`,
    }),
  );

  expect(leaks(found, [secret])).toHaveLength(4);
  expect(leaks([{ where: 'clean', text: 'password' }], [secret])).toEqual([]);
});

function trying(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
