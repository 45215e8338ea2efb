import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { Book } from '../../../lib/agenda/book.ts';
import { codeOf } from '../../../lib/errors.ts';
import { Secret, SecretsManager } from '../../../lib/index.ts';
import { LEASES } from '../../../lib/leases/entry.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { appRoleAuth } from '../../../lib/vault/auth/approle.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { createTransport, type Transport } from '../../../lib/vault/transport.ts';
import { adminOf } from '../../support/admin.ts';
import { type OwnServer, startOwnServer } from '../../support/own-server.ts';
import { withPostgres } from '../../support/postgres.ts';
import { startTcpGate, type TcpGate } from '../../support/tcp-gate.ts';
import { type Functions, openFunctions } from '../access/access-world.ts';

/**
 * What callers see while Vault is sealed, ended, cut off and frozen: a real server, really sealed. docs/outages.md has the same table; this
 * fills it in and compares.
 */
const NAMESPACE = 'ns';
const HOUR = 3_600_000;
/** What a request may take here: 15 s in earnest. */
const ANSWER_TIMEOUT_MS = 1_000;
const QUICK = { attempts: 2, baseMs: 1 };
const KEPT_MS = 300_000;

let own: OwnServer;
let gate: TcpGate;
let callers: Record<'ada' | 'bob', string>;
let steady: Service;
let ageing: Service;
let ended: Service;
type Service = ReturnType<typeof openService>;
let newService: () => Service;
let functions: Functions;

beforeAll(async () => {
  own = await startOwnServer(inject('binaries').openbao);
  // Another start may bring another port: the gate stays where it is.
  gate = await startTcpGate({
    host: '127.0.0.1',
    get port() {
      return Number(new URL(own.current().address).port);
    },
  });
  const identity = await prepare();
  callers = { ada: await tokenOf('ada'), bob: await tokenOf('bob') };
  newService = () => openService(identity);
  [steady, ageing, ended] = [newService(), newService(), newService()];
}, 60_000);
afterAll(async () => {
  await Promise.all([steady, ageing, ended].map(({ manager }) => manager.cleanup()));
  await gate.close();
  await own.stop();
});

const transport = (): Transport =>
  createTransport({ address: `http://127.0.0.1:${gate.port}`, answerTimeoutMs: ANSWER_TIMEOUT_MS });

const roleIdSchema = z.object({ data: z.object({ role_id: z.string() }) });
const secretIdSchema = z.object({ data: z.object({ secret_id: z.string() }) });
const tokenSchema = z.object({ auth: z.object({ client_token: z.string() }) });

async function prepare() {
  const { request, read } = adminOf(own.current());
  const { host, port, database, user, password } = inject('postgres');
  await request('POST', `sys/mounts/${NAMESPACE}/app`, { type: 'kv', options: { version: '2' } });
  await request('POST', `sys/mounts/${NAMESPACE}/database`, { type: 'database' });
  await request('POST', 'sys/mounts/leasekeeper', { type: 'kv', options: { version: '2' } });
  for (const name of ['kept', 'expired', 'unread', 'ada', 'bob'])
    await request('POST', `${NAMESPACE}/app/data/${name}`, { data: { value: `value of ${name}` } });
  await request('POST', `${NAMESPACE}/database/config/pg`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}?sslmode=disable`,
    username: user,
    password,
  });
  for (const role of ['held', 'other'])
    await request('POST', `${NAMESPACE}/database/roles/${role}`, {
      db_name: 'pg',
      creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
      default_ttl: '1h',
      max_ttl: '24h',
    });
  const rule = (path: string) => `path "${path}" { capabilities = ["read", "update"] }\n`;
  for (const [name, paths] of Object.entries({
    service: ['app/*', 'database/*'],
    ada: ['app/data/ada', 'database/creds/other'],
    bob: ['app/data/bob', 'database/creds/other'],
  })) {
    const policy = paths.map((path) => rule(`${NAMESPACE}/${path}`)).join('');
    await request('PUT', `sys/policies/acl/${name}`, { policy });
  }
  await request('POST', 'sys/auth/approle', { type: 'approle' });
  await request('POST', 'auth/approle/role/service', { token_policies: ['service'], token_ttl: '24h' });
  const { data: role } = await read(roleIdSchema, 'GET', 'auth/approle/role/service/role-id');
  const { data: secret } = await read(secretIdSchema, 'POST', 'auth/approle/role/service/secret-id', {});
  const client = new VaultClient({ transport: createTransport(own.current()) });
  const store = new KvStore(actingWith(client, new Secret(own.current().rootToken)), 'leasekeeper');
  await new Book({ store, now: Date.now, random: Math.random, kind: LEASES }).create(1);
  await client.close();
  return { roleId: role.role_id, secretId: new Secret(secret.secret_id) };
}

async function tokenOf(policy: string): Promise<string> {
  const { read } = adminOf(own.current());
  return (await read(tokenSchema, 'POST', 'auth/token/create', { policies: [policy], ttl: '24h' })).auth
    .client_token;
}

/** A service that runs through all of it without a restart. Its clock can be moved on. */
function openService(identity: { readonly roleId: string; readonly secretId: Secret }) {
  let ahead = 0;
  const real = transport();
  const manager = new SecretsManager({
    address: `http://127.0.0.1:${gate.port}`,
    namespace: NAMESPACE,
    env: {},
    auth: appRoleAuth(identity),
    // Without Vault's `Date`, which would take back what is moved here.
    transport: {
      exchange: async (request) => ({ ...(await real.exchange(request)), headers: {} }),
      close: () => real.close(),
    },
    retry: QUICK,
    background: false,
    cacheTtlMs: KEPT_MS,
    staleMs: KEPT_MS,
    now: () => Date.now() + ahead,
    random: () => 0,
  });
  return {
    manager,
    pass: (ms: number) => {
      ahead += ms;
    },
  };
}

/** In a word: what was given, or the code of the error. Anything but the caller's own secret throws. */
async function seen(ask: () => Promise<string>): Promise<string> {
  try {
    return await ask();
  } catch (error) {
    const code = codeOf(error);
    if (!code.startsWith('vault_')) throw error;
    return `\`${code}\``;
  }
}

async function staticSecret(manager: SecretsManager, path: string): Promise<string> {
  const secret = await manager.getSecret(`app/${path}`);
  expect(secret.data.get('value')).toBe(`value of ${path}`);
  return secret.stale ? 'last value' : 'value';
}

async function credential(manager: SecretsManager, role: string): Promise<string> {
  const { data } = await manager.getDynamicSecret(`database/creds/${role}`);
  await logsIn(data.get('username'), data.get('password'));
  return 'works';
}

const logsIn = (user: string, password: string) =>
  withPostgres(inject, (client) => client.query('SELECT 1'), { user, password });

const readSchema = z.object({ data: z.object({ value: z.string() }) });
const issueSchema = z.object({ data: z.object({ username: z.string(), password: z.string() }) });
const problemSchema = z.object({ code: z.string() });

/** Two callers ask at once; each gets its own, and both see the same. */
async function overHttp(ask: (name: 'ada' | 'bob', token: string) => Promise<string>): Promise<string> {
  const [ada, bob] = await Promise.all([ask('ada', callers.ada), ask('bob', callers.bob)]);
  expect(ada).toBe(bob);
  return ada;
}

const read = () =>
  overHttp(async (name, token) => {
    const { status, body } = await functions.fetch('GET', `/v1/secrets/app/${name}`, {
      headers: { 'x-vault-token': token },
    });
    if (status !== 200) return `${status} \`${problemSchema.parse(body).code}\``;
    expect(readSchema.parse(body).data.value).toBe(`value of ${name}`);
    return '200';
  });

const issue = () =>
  overHttp(async (_name, token) => {
    const { status, body } = await functions.fetch('POST', '/v1/leases', {
      headers: { 'x-vault-token': token },
      body: { path: 'database/creds/other' },
    });
    if (status !== 201) return `${status} \`${problemSchema.parse(body).code}\``;
    const { data } = issueSchema.parse(body);
    await logsIn(data.username, data.password);
    return '201';
  });

const COLUMNS: readonly [string, () => Promise<string>][] = [
  ['secret kept', () => seen(() => staticSecret(steady.manager, 'kept'))],
  ['past its TTL', () => later(ageing, KEPT_MS + 1, ({ manager }) => staticSecret(manager, 'expired'))],
  ['past `staleMs`', () => later(ageing, KEPT_MS + 1, ({ manager }) => staticSecret(manager, 'expired'))],
  ['credential held', () => seen(() => credential(steady.manager, 'held'))],
  ['past its end', () => later(ended, 2 * HOUR, ({ manager }) => credential(manager, 'held'))],
  ['first start', () => seen(newcomer)],
  ['`health()`', health],
  ['`GET /v1/secrets`', read],
  ['`POST /v1/leases`', issue],
];

function later(service: Service, ms: number, ask: (service: Service) => Promise<string>): Promise<string> {
  service.pass(ms);
  return seen(() => ask(service));
}

/** Of the service that needs nothing new, of the one whose secret has passed its TTL, and of the one whose credential has ended. */
async function health(): Promise<string> {
  const all = [steady, ageing, ended].map(({ manager }) => manager.health({ timeoutMs: 5_000 }));
  return (await Promise.all(all)).map(({ status }) => status).join(', ');
}

async function newcomer(): Promise<string> {
  const { manager } = newService();
  try {
    return await staticSecret(manager, 'unread');
  } finally {
    await manager.cleanup();
  }
}

const MOMENTS: readonly [string, () => Promise<unknown>][] = [
  ['well', async () => {}],
  ['sealed', () => own.seal()],
  ['unsealed by a restart', () => own.restart()],
  ['killed', () => own.kill()],
  ['started again', () => own.restart()],
  ['cut off', async () => gate.shut()],
  ['the way is back', async () => gate.open()],
  ['hangs', async () => process.kill(own.current().pid, 'SIGSTOP')],
  ['goes on', async () => process.kill(own.current().pid, 'SIGCONT')],
  ['slow', async () => pulse.start()],
];

/** Vault runs for a moment only, again and again. */
const pulse = {
  timer: undefined as NodeJS.Timeout | undefined,
  start: () => {
    pulse.timer = setInterval(() => {
      process.kill(own.current().pid, 'SIGSTOP');
      setTimeout(() => process.kill(own.current().pid, 'SIGCONT'), 30);
    }, 80);
  },
  stop: async () => {
    clearInterval(pulse.timer);
    await sleep(100);
  },
};

it('what callers see at each moment is what docs/outages.md says, with no restart of theirs', async () => {
  const { rootToken } = own.current();
  functions = openFunctions(
    {
      address: `http://127.0.0.1:${gate.port}`,
      namespace: NAMESPACE,
      stateMount: 'leasekeeper',
      identities: { fetch: rootToken, manage: rootToken },
    },
    { transport },
  );
  const rows: string[][] = [];
  for (const [moment, begin] of MOMENTS) {
    await begin();
    const row = [moment];
    for (const [, ask] of COLUMNS) row.push(await ask());
    rows.push(row);
  }
  await pulse.stop();
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [
    line(['Vault', ...COLUMNS.map(([name]) => name)]),
    line(Array.from({ length: COLUMNS.length + 1 }, () => '---')),
    ...rows.map(line),
  ];
  console.log(table.join('\n'));
  const document = await readFile(new URL('../../../docs/outages.md', import.meta.url), 'utf8');
  for (const row of table) expect(document).toContain(row);
}, 120_000);
