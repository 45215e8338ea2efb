import { setTimeout as sleep } from 'node:timers/promises';
import { Webhook } from 'standardwebhooks';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { FUNCTIONS, type FunctionName } from '../../../lib/host/identities.ts';
import { admin } from '../../support/admin.ts';
import {
  awsEventDocuments,
  type EventDocuments,
  httpEvent,
  queueEvent,
  SCHEDULED_EVENT,
} from '../../support/lambda/event-documents.ts';
import type { FunctionProcess } from '../../support/lambda/function-process.ts';
import type { Outcome } from '../../support/lambda/runtime-api.ts';
import {
  findRuntimeClient,
  findUncompiledClient,
  type RuntimeClient,
} from '../../support/lambda/runtime-client.ts';
import { withPostgres } from '../../support/postgres.ts';
import type { PythonMissing } from '../../support/python-package.ts';
import { until } from '../../support/until.ts';
import { leaseSchema } from '../access/access-world.ts';
import { createLambdaWorld, type LambdaWorld } from './lambda-world.ts';

/** Long enough for the runtime client to be compiled, once on each machine. */
const PREPARED_WITHIN_MS = 300_000;
const { request, read } = admin(inject);

let client: RuntimeClient;
let found: EventDocuments | PythonMissing;
let documents: EventDocuments;
let world: LambdaWorld;
const functions = new Map<FunctionName, FunctionProcess>();

const functionOf = (name: FunctionName): FunctionProcess => {
  const found = functions.get(name);
  if (found === undefined) throw new Error(`${name} was not started`);
  return found;
};
const invoke = (name: FunctionName, event: unknown) => functionOf(name).invoke(event);

beforeAll(async () => {
  client = await findRuntimeClient(process.env);
  found = await awsEventDocuments(process.env);
  if ('missing' in found) return;
  documents = found;
  world = await createLambdaWorld();
  for (const name of FUNCTIONS) functions.set(name, await world.start(name, client));
}, PREPARED_WITHIN_MS);
afterAll(() => world?.[Symbol.asyncDispose]());
beforeEach(({ skip }) => {
  if ('missing' in found) skip(`not tried, ${found.missing}`);
});

const payloadOf = (outcome: Outcome): unknown => {
  if ('error' in outcome) throw new Error(`${outcome.error.errorType}: ${outcome.error.errorMessage}`);
  return outcome.payload;
};

const httpAnswer = z.object({
  statusCode: z.number(),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
});
const answered = (outcome: Outcome) => {
  const { body, ...rest } = httpAnswer.parse(payloadOf(outcome));
  const parsed: unknown = JSON.parse(body);
  return { ...rest, body: parsed };
};

/** Has a worker do what waits in its queue, one batch as AWS hands it over; gives how many messages that were. */
async function work(worker: 'renew' | 'rotate' | 'notify'): Promise<number> {
  const bodies = world.bus.take(worker);
  if (bodies.length === 0) return 0;
  expect(payloadOf(await invoke(worker, queueEvent(documents, bodies)))).toEqual({ batchItemFailures: [] });
  return bodies.length;
}

const scanReport = z.object({ entries: z.number(), due: z.number(), published: z.number() });
const scan = async () => scanReport.parse(payloadOf(await invoke('scan', SCHEDULED_EVENT)));

const logins = () => world.vault.exchanges.filter(({ path }) => path.endsWith('/auth/approle/login')).length;

it('all of the runtime client is AWS’s own', ({ skip }) => {
  skip(client.notCompiled !== undefined, `its compiled part is replaced: ${client.notCompiled}`);
});

describe('the functions under Lambda’s runtime client', () => {
  it('are loaded, and ask for work', async () => {
    for (const name of FUNCTIONS) expect(await functionOf(name).ready).toBeGreaterThan(0);
    expect(logins()).toBe(0);
  });

  it('fetch issues a credential that works, and has it kept', async () => {
    const event = httpEvent(documents, {
      method: 'POST',
      path: '/v1/leases',
      headers: {
        authorization: `Bearer ${await world.jwt()}`,
        'x-vault-role': 'api-gateway',
        'content-type': 'application/json',
      },
      body: { path: 'database/creds/api-gateway' },
    });
    const { statusCode, body } = answered(await invoke('fetch', event));
    expect(statusCode).toBe(201);
    const { data, kept } = leaseSchema.parse(body);
    expect(kept).toBe(true);
    const login = { user: data?.username ?? '', password: data?.password ?? '' };
    expect(await withPostgres(inject, (db) => db.query('SELECT current_user AS me'), login)).toMatchObject({
      rows: [{ me: data?.username }],
    });
    leased = leaseSchema.parse(body).lease_id;
  });

  it('scan, called by the scheduler, sends workers to what is due', async () => {
    const { published } = await scan();
    scannedAt = Date.now();
    expect(published).toBeGreaterThan(0);
    expect(world.bus.types).toContain('rotation.due');
  });

  it('rotate rotates a database credential, and tests it first', async () => {
    expect(await work('rotate')).toBeGreaterThan(0);
    const published = await read(valueSchema, 'GET', `${world.namespace}/api-gateway/data/database`);
    const { username: user, password } = published.data.data;
    expect(await withPostgres(inject, (db) => db.query('SELECT 1'), { user, password })).toBeDefined();
    expect(world.bus.types.filter((type) => type === 'secret.rotated')).toHaveLength(2);
  });

  it('notify delivers what has happened, signed', async () => {
    expect(await work('notify')).toBeGreaterThan(0);
    expect(world.notices).toHaveLength(2);
    for (const { headers, body } of world.notices) {
      const named = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
      const signed = Object.fromEntries(named.map((name) => [name, String(headers[name])]));
      expect(new Webhook(world.signingSecret).verify(body, signed)).toMatchObject({ type: 'secret.rotated' });
    }
  });

  it('manage lists what is managed, for an operator', async () => {
    const token = await operatorToken();
    const event = httpEvent(documents, {
      method: 'GET',
      path: '/v1/managed',
      headers: { 'x-vault-token': token },
    });
    const { statusCode, body } = answered(await invoke('manage', event));
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({
      managed: [{ name: 'api-gateway-database' }, { name: 'model-credentials' }],
    });
  });

  it('manage takes a specification in YAML, which it loads for that', async () => {
    const spec = ['name: manual', 'kind: manual', 'publish: api-gateway/manual', 'grace: 1m', 'deadline: 2m'];
    const event = httpEvent(documents, {
      method: 'PUT',
      path: '/v1/managed/manual',
      pathParameters: { name: 'manual' },
      headers: { 'x-vault-token': await operatorToken(), 'content-type': 'application/yaml' },
    });
    const { statusCode, body } = answered(await invoke('manage', { ...event, body: spec.join('\n') }));
    expect([statusCode, body]).toEqual([201, expect.objectContaining({ name: 'manual' })]);
  });
});

let leased = '';
const valueSchema = z.object({
  data: z.object({ data: z.object({ username: z.string(), password: z.string() }) }),
});
const tokenSchema = z.object({ auth: z.object({ client_token: z.string() }) });

async function operatorToken(): Promise<string> {
  const body = { policies: ['leasekeeper-operator'], no_parent: true, ttl: '10m' };
  return (await read(tokenSchema, 'POST', `${world.root}/auth/token/create`, body)).auth.client_token;
}

/** What must come back out of no error and no log. Short: a parser's error quotes ten characters. */
const MARK = 'hunter2';
/** Marks AWS's document of another service at every text in it that is free. */
const marked = (document: unknown): unknown =>
  JSON.parse(
    JSON.stringify(document).replaceAll(/"(test\/key|example message|path\/to\/resource)"/g, `"${MARK}"`),
  );

const foreign: [string, () => unknown][] = [
  ['an event of S3', () => marked(documents['s3 put'])],
  ['an event of SNS', () => marked(documents['sns notification'])],
  ['a request of payload format 1.0', () => marked(documents['apigateway aws-proxy'])],
  ['an event of a rule', () => marked(documents['cloudwatch scheduled-event'])],
  ['an empty object', () => ({})],
  ['null', () => null],
  ['text', () => MARK],
  ['a list', () => [MARK]],
];

describe('what is foreign or malformed', () => {
  it.each(foreign)('is an error for the workers, and they live on: %s', async (_, event) => {
    for (const worker of ['renew', 'rotate', 'notify'] as const) {
      const outcome = await invoke(worker, event());
      expect(outcome).toMatchObject({ error: { errorType: expect.any(String) } });
      expect(JSON.stringify(outcome)).not.toContain(MARK);
      const empty = await invoke(worker, queueEvent(documents, []));
      expect(payloadOf(empty)).toEqual({ batchItemFailures: [] });
    }
  });

  it.each(foreign)('is a problem document for what is behind HTTP: %s', async (_, event) => {
    for (const name of ['fetch', 'manage'] as const) {
      const outcome = await invoke(name, event());
      expect(answered(outcome)).toMatchObject({ statusCode: 400, body: { code: 'request_malformed' } });
      expect(JSON.stringify(outcome)).not.toContain(MARK);
    }
  });

  it.each(foreign)(
    'starts a scan like any other, for scan reads nothing of its event: %s',
    async (_, event) => {
      expect(scanReport.parse(payloadOf(await invoke('scan', event())))).toMatchObject({
        entries: expect.any(Number),
      });
    },
  );

  it('fails alone in a batch, whose good messages are worked on', async () => {
    for (const [worker, type, data] of GOOD) {
      const good = envelope(type, data);
      const bad = [
        `${MARK} is no JSON`,
        JSON.stringify({ ...envelope(type, data), source: 'com.example.other', detail: { word: MARK } }),
        JSON.stringify({ ...envelope(type, data), 'detail-type': 'of.nobody' }),
        JSON.stringify({ ...envelope(type, data), detail: { id: 'evt_1', word: MARK } }),
        JSON.stringify(marked(documents['s3 put'])),
        'null',
      ];
      const outcome = await invoke(worker, queueEvent(documents, [JSON.stringify(good), ...bad]));
      const failed = bad.map((_, index) => ({ itemIdentifier: `message-${index + 2}` }));
      expect(payloadOf(outcome)).toEqual({ batchItemFailures: failed });
    }
  });

  it('is told by HTTP what is wrong with it, and no more', async () => {
    const post = (body: string) => ({
      ...httpEvent(documents, { method: 'POST', path: '/v1/leases', headers: { 'x-vault-token': MARK } }),
      body,
    });
    const token = { 'x-vault-token': MARK };
    const asked: [object, number][] = [
      [post(`${MARK}: no JSON`), 400],
      [post(JSON.stringify({ path: 'database/creds/api-gateway' })), 401],
      [
        httpEvent(documents, { method: 'GET', path: '/v1/secrets/api-gateway/database', headers: token }),
        401,
      ],
      [httpEvent(documents, { method: 'GET', path: '/nowhere', headers: token }), 404],
      [httpEvent(documents, { method: 'DELETE', path: '/v1/leases', headers: token }), 405],
    ];
    for (const [event, status] of asked) {
      const outcome = await invoke('fetch', event);
      expect(answered(outcome).statusCode).toBe(status);
      expect(JSON.stringify(outcome)).not.toContain(MARK);
    }
  });

  it('leaves no word of it in any log, and none of what goes to Vault', async () => {
    expect(world.vault.secrets.size).toBeGreaterThan(5);
    for (const name of FUNCTIONS) {
      const log = functionOf(name).log.join('\n');
      expect(log.length, name).toBeGreaterThan(0);
      expect(log).not.toContain(MARK);
      for (const secret of world.vault.secrets) expect(log.includes(secret), name).toBe(false);
    }
  });
});

const GOOD = [
  ['renew', 'leases.due', { shard: 0, scanned_at: Date.now() }],
  ['rotate', 'rotation.due', { shard: 0 }],
  ['notify', 'delivery.due', { shard: 0 }],
] as const;

function envelope(type: string, data: object) {
  const time = new Date().toISOString();
  return {
    version: '0',
    id: 'd3b3b5d6-6f5c-4c1e-8a54-2f3f7d1c9a10',
    'detail-type': type,
    source: 'leasekeeper',
    account: '123456789012',
    time,
    region: 'eu-central-1',
    resources: [],
    detail: { id: 'evt_given', schema_version: 1, time, data },
  };
}

describe('a warm function', () => {
  it('has logged in once, whatever it was given since', () => {
    expect(logins()).toBe(FUNCTIONS.length);
  });

  it('frozen past the end of its token, logs in before it asks anything', async () => {
    await request('POST', `${world.root}/auth/approle/role/leasekeeper-scan`, { token_ttl: '3s' });
    const lambda = await world.start('scan', client);
    payloadOf(await lambda.invoke(SCHEDULED_EVENT));
    lambda.freeze();
    await sleep(3_500);
    lambda.thaw();
    const before = world.vault.exchanges.length;
    payloadOf(await lambda.invoke(SCHEDULED_EVENT));
    const since = world.vault.exchanges.slice(before);
    expect(since[0]).toMatchObject({ path: expect.stringMatching(/\/auth\/approle\/login$/), status: 200 });
    expect(since.filter(({ status }) => status === 403)).toEqual([]);
  });

  it('renew renews the lease that was issued, once a scan finds it due', async () => {
    const lease = async () =>
      read(leaseLookup, 'PUT', `${world.root}/sys/leases/lookup`, { lease_id: leased });
    await until(async () => {
      await scan();
      await work('renew');
      return (await lease()).data.last_renewal !== null;
    }, 20_000);
    expect(Date.parse((await lease()).data.expire_time)).toBeGreaterThan(Date.now());
  });

  it('logs in again when its token was revoked', async () => {
    await sleep(Math.max(0, scannedAt + LOOKED_INTO_AFTER_MS - Date.now()));
    await revokeTokensOf('scan');
    const before = logins();
    expect((await scan()).entries).toBeGreaterThan(0);
    expect(logins()).toBe(before + 1);
  });
});

/** A refusal so soon after a login is not looked into (lib/vault/session.ts), and neither is this second more. */
const LOOKED_INTO_AFTER_MS = 31_000;
let scannedAt = 0;

const leaseLookup = z.object({
  data: z.object({ last_renewal: z.string().nullable(), expire_time: z.string() }),
});
const keysSchema = z.object({ data: z.object({ keys: z.array(z.string()) }) });
const metaSchema = z.object({ data: z.object({ meta: z.record(z.string(), z.string()).nullish() }) });

/** Ends every token of a function's role. */
async function revokeTokensOf(name: FunctionName): Promise<void> {
  const tokens = `${world.root}/auth/token`;
  const { keys } = (await read(keysSchema, 'LIST', `${tokens}/accessors`)).data;
  for (const accessor of keys) {
    const found = await read(metaSchema, 'POST', `${tokens}/lookup-accessor`, { accessor }).catch(
      () => undefined,
    );
    if (found?.data.meta?.role_name !== `leasekeeper-${name}`) continue;
    await request('POST', `${tokens}/revoke-accessor`, { accessor });
  }
}

it('the client whose compiled part is replaced by ours does the same', async () => {
  const scanning = await world.start('scan', await findUncompiledClient(process.env));
  expect(scanReport.parse(payloadOf(await scanning.invoke(SCHEDULED_EVENT)))).toBeDefined();
  const renewing = await world.start('renew', await findUncompiledClient(process.env));
  const outcome = await renewing.invoke({});
  expect(outcome).toMatchObject({ error: { errorType: 'ZodError' } });
  expect(payloadOf(await renewing.invoke(queueEvent(documents, ['null'])))).toEqual({
    batchItemFailures: [{ itemIdentifier: 'message-1' }],
  });
});
