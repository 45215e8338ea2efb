import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import * as z from 'zod';
import { main } from '../../lib/cli/main.ts';
import { FUNCTIONS } from '../../lib/host/identities.ts';
import { admin } from '../support/admin.ts';
import { withPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { type Deployment, deploy, GRACE_MS, parameterOf, STAGE } from './deployment-world.ts';
import { type Logs, logsOf } from './logs.ts';
import { type Queues, queuesOf } from './queues.ts';

const { request, read, rootToken } = admin(inject);
const NAME = 'api-gateway-database';
const ARCHIVE = 'outcomes';
/** Milliseconds: the schedule runs once a minute, and may take its time on a busy machine. */
const TWO_SCANS = 150_000;

let found: Deployment | { readonly missing: string };
let deployment: Deployment;
let queues: Queues;
let logs: Logs;

beforeAll(async () => {
  found = await deploy();
  if ('missing' in found) return;
  deployment = found;
  queues = queuesOf(deployment);
  logs = logsOf(deployment);
}, 300_000);
beforeEach((context) => {
  if ('missing' in found) context.skip(`There is no local AWS: ${found.missing}.`);
});
/** What the functions say of a failure is gone with the local AWS. */
afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail' || 'missing' in found) return;
  for (const name of FUNCTIONS) {
    const entries = await logs.entriesOf(name);
    for (const entry of entries.filter(({ level }) => level === 'error').slice(-5))
      console.error(name, JSON.stringify(entry));
  }
});
afterAll(async () => {
  if (!('missing' in found)) await found.close();
}, 60_000);

const leaseSchema = z.object({
  lease_id: z.string(),
  kept: z.boolean(),
  data: z.object({ username: z.string(), password: z.string() }),
});
const subscriptionSchema = z.object({ id: z.string(), secret: z.string() });
const secretSchema = z.object({
  data: z.object({ username: z.string(), password: z.string() }),
  version: z.number(),
});
const lookedUp = z.object({
  data: z.object({ last_renewal: z.string().nullable(), expire_time: z.string() }),
});

const OPERATOR = () => ({ 'x-vault-token': rootToken });
const SERVICE = () => ({
  authorization: `Bearer ${deployment.serviceToken}`,
  'x-vault-role': 'api-gateway',
});

async function ask<Schema extends z.ZodType>(
  schema: Schema,
  status: number,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body?: unknown,
): Promise<z.infer<Schema>> {
  const answer = await fetch(`${deployment.api}${path}`, {
    method,
    headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.status, text).toBe(status);
  return schema.parse(text === '' ? undefined : JSON.parse(text));
}

/** What an operator does, far from Vault; gives what is printed. */
async function command(...args: readonly string[]): Promise<string> {
  const out: string[] = [];
  const io = {
    environment: { LEASEKEEPER_URL: deployment.api, VAULT_TOKEN: rootToken },
    out: (text: string) => out.push(text),
    error: (text: string) => out.push(text),
  };
  const code = await main(args, io);
  expect(code, out.join('\n')).toBe(0);
  return out.join('\n');
}

/** Logs in to PostgreSQL, and gives who one is there. */
const loginAs = ({ username, password }: { username: string; password: string }) =>
  withPostgres(
    inject,
    async (client) => {
      const { rows } = await client.query('SELECT current_user AS name');
      return z.array(z.object({ name: z.string() })).parse(rows)[0]?.name;
    },
    { user: username, password },
  );

const published = () => ask(secretSchema, 200, 'GET', '/v1/secrets/api-gateway/database', SERVICE());
const noticesOf = (type: string) => deployment.receiver.notices.filter((notice) => notice.type === type);
const about = (generation: number) => ({ data: { name: NAME, generation } });

/** One after another, as things happen. Nothing is invoked but by what AWS invokes it with. */
describe('the deployed system', () => {
  let lease: z.infer<typeof leaseSchema>;
  let issuedUntil = 0;
  let first: z.infer<typeof secretSchema>;

  it('could be deployed', () => {
    expect(deployment.stack).toBe('leasekeeper-test');
  });

  it('has outcomes archived, as the stack does where there are archives', async () => {
    await deployment.aws.client.json(z.unknown(), 'events', 'AWSEvents.CreateArchive', {
      ArchiveName: ARCHIVE,
      EventSourceArn: await deployment.output('BusArn'),
      EventPattern: JSON.stringify({
        source: ['leasekeeper'],
        'detail-type': [{ 'anything-but': ['leases.due', 'rotation.due', 'delivery.due'] }],
      }),
    });
  });

  it('takes a subscription of an operator, and refuses strangers', async () => {
    await ask(z.unknown(), 401, 'GET', '/v1/managed', {});
    await ask(z.unknown(), 401, 'GET', '/v1/managed', { 'x-vault-token': 's.nobody' });
    await ask(z.unknown(), 403, 'GET', '/v1/managed', SERVICE());
    const options = ['--url', deployment.receiver.url, '--type', 'secret.*', '--type', 'lease.*'];
    const made = subscriptionSchema.parse(
      JSON.parse(await command('subscribe', 'create', ...options, '--json')),
    );
    deployment.receiver.secret = made.secret;
    deployment.canaries.set('the signing secret', made.secret);
  });

  it('issues a credential that works, to a service account', async () => {
    const body = { path: 'database/creds/api-gateway' };
    lease = await ask(leaseSchema, 201, 'POST', '/v1/leases', SERVICE(), body);
    deployment.canaries.set('the password of the lease', lease.data.password);
    expect(lease.kept).toBe(true);
    expect(await loginAs(lease.data)).toBe(lease.data.username);
    issuedUntil = Date.parse((await lookUp()).expire_time);
  });

  it('is scanned by the schedule alone', { timeout: TWO_SCANS + 30_000 }, async () => {
    const scanned = async () =>
      (await logs.entriesOf('scan')).some((entry) => 'leasekeeper_last_scan_timestamp_seconds' in entry);
    await until(scanned, TWO_SCANS);
  });

  it('publishes a first generation, and tells it signed', {
    timeout: TWO_SCANS + 30_000,
  }, async () => {
    await until(() => noticesOf('secret.rotated').some(({ data }) => data.name === NAME), TWO_SCANS);
    expect(noticesOf('secret.rotated')).toContainEqual(
      expect.objectContaining({ data: expect.objectContaining(about(1).data) }),
    );
    first = await published();
    deployment.canaries.set('the password of generation 1', first.data.password);
    expect(await loginAs(first.data)).toBe(first.data.username);
  });

  it('renews the lease before it ends', { timeout: TWO_SCANS + 30_000 }, async () => {
    await until(async () => (await lookUp()).last_renewal !== null, TWO_SCANS);
    expect(Date.parse((await lookUp()).expire_time)).toBeGreaterThan(issuedUntil);
    expect(await loginAs(lease.data)).toBe(lease.data.username);
  });

  it('rotates on demand: both generations work, until the old one has been adopted from', {
    timeout: 2 * TWO_SCANS,
  }, async () => {
    await command('rotate', NAME);
    await until(async () => (await published()).version > first.version, TWO_SCANS);
    const second = await published();
    deployment.canaries.set('the password of generation 2', second.data.password);
    expect(await loginAs(second.data)).toBe(second.data.username);
    expect(await loginAs(first.data)).toBe(first.data.username);
    // Looked at once the grace is over: else the next scan would be the first to retire it.
    await sleep(GRACE_MS + 1_000);
    const acknowledged = { consumer: 'api-gateway', generation: 2 };
    await ask(z.unknown(), 202, 'POST', `/v1/secrets/${NAME}/acks`, SERVICE(), acknowledged);
    await until(() => noticesOf('secret.retired').length > 0, TWO_SCANS);
    await expect(loginAs(first.data)).rejects.toThrow(/authentication failed/);
    expect(await loginAs(second.data)).toBe(second.data.username);
    expect(deployment.receiver.refused()).toBe(0);
    expect(await command('list')).toContain(NAME);
    expect(await command('status')).toContain('nothing fails');
  });

  it('puts a message that nobody can work on among the dead letters, whole', {
    timeout: 90_000,
  }, async () => {
    for (const queue of ['RenewQueue', 'RotateQueue', 'NotifyQueue'])
      await queues.setVisibilityTimeout(queue, 1);
    await queues.send('RenewQueue', '{"poison":true}');
    await until(async () => (await queues.count('RenewDeadLetters')) === 1, 60_000);
    expect((await queues.receive('RenewDeadLetters')).map(({ body }) => body)).toEqual(['{"poison":true}']);
    expect(await logs.entriesOf('renew')).toContainEqual(
      expect.objectContaining({
        msg: 'message failed',
        err: expect.objectContaining({ code: 'event_malformed' }),
      }),
    );
  });

  it('delivers what had become a dead letter, once it is redriven', {
    timeout: 2 * TWO_SCANS,
  }, async () => {
    const policy = await read(
      z.object({ data: z.object({ policy: z.string() }) }),
      'GET',
      'sys/policies/acl/leasekeeper-notify',
    );
    await request('PUT', 'sys/policies/acl/leasekeeper-notify', {
      policy: 'path "nothing" { capabilities = ["deny"] }',
    });
    await command('rotate', NAME);
    await until(async () => (await queues.count('NotifyDeadLetters')) > 0, TWO_SCANS);
    const rotated = () =>
      noticesOf('secret.rotated').filter(({ data }) => data.name === NAME && data.generation === 3);
    expect(rotated()).toEqual([]);

    await request('PUT', 'sys/policies/acl/leasekeeper-notify', policy.data);
    expect(await queues.redrive('NotifyDeadLetters', 'NotifyQueue')).toBeGreaterThan(0);
    await until(() => rotated().length > 0, 60_000);
    expect(new Set(rotated().map(({ id }) => id)).size).toBe(1);
  });

  it('does nothing twice when all of that is replayed', { timeout: 120_000 }, async () => {
    const { client } = deployment.aws;
    const told = deployment.receiver.notices.map(({ id }) => id);
    const version = (await published()).version;
    const invoked = await invocationsOf('notify');
    const bus = await deployment.output('BusArn');
    await client.json(z.unknown(), 'events', 'AWSEvents.StartReplay', {
      ReplayName: 'again',
      EventSourceArn: `arn:aws:events:${deployment.aws.region}:000000000000:archive/${ARCHIVE}`,
      EventStartTime: Date.now() / 1_000 - 3_600,
      EventEndTime: Date.now() / 1_000,
      Destination: { Arn: bus },
    });
    await until(async () => (await invocationsOf('notify')) > invoked, 60_000);
    await until(async () => (await queues.waiting('NotifyQueue')) === 0, 60_000);
    await until(async () => (await queues.waiting('RotateQueue')) === 0, 60_000);
    expect(deployment.receiver.notices.map(({ id }) => id)).toEqual(told);
    expect((await published()).version).toBe(version);
  });

  it('is deployed anew with another login, and goes on', { timeout: 120_000 }, async () => {
    const { client } = deployment.aws;
    for (const [name, login] of deployment.logins) {
      const secret = { Name: `leasekeeper/${STAGE}/approle/${name}`, SecretString: login };
      await client.json(z.unknown(), 'secretsmanager', 'secretsmanager.CreateSecret', secret);
      await client.json(z.unknown(), 'ssm', 'AmazonSSM.DeleteParameter', { Name: parameterOf(name) });
    }
    await deployment.serverless('deploy', '--param=vaultAuth=approle-secret');
    const body = { path: 'database/creds/api-gateway', replaces: lease.lease_id };
    const next = await ask(leaseSchema, 201, 'POST', '/v1/leases', SERVICE(), body);
    deployment.canaries.set('the password of the second lease', next.data.password);
    expect(await loginAs(next.data)).toBe(next.data.username);
    lease = next;
  });

  it('has metrics from every function, and no secret in any log', async () => {
    for (const name of FUNCTIONS) {
      const entries = await logs.entriesOf(name);
      expect(
        entries.filter((entry) => '_aws' in entry && entry.service === name).length,
        name,
      ).toBeGreaterThan(0);
    }
    const third = await published();
    deployment.canaries.set('the password of generation 3', third.data.password);
    const written = (await Promise.all((await logs.groups()).map(logs.linesOf))).flat();
    written.push(await deployment.aws.log());
    expect(written.length).toBeGreaterThan(50);
    for (const name of FUNCTIONS) {
      const own = (await logs.entriesOf(name)).filter((entry) => 'level' in entry);
      expect(
        own.filter((entry) => typeof entry.invocation_id !== 'string'),
        name,
      ).toEqual([]);
    }
    const leaked = [...deployment.canaries].filter(([, value]) =>
      written.some((line) => line.includes(value)),
    );
    expect(leaked.map(([what]) => what)).toEqual([]);
  });

  it('goes without a trace, and leaves Vault and what was issued alone', {
    timeout: 120_000,
  }, async () => {
    await deployment.serverless('remove');
    expect(await queues.names()).toEqual([]);
    expect(await logs.groups()).toEqual([]);
    expect((await fetch(`${deployment.api}/v1/managed`, { headers: OPERATOR() })).status).toBe(404);
    expect(await loginAs(lease.data)).toBe(lease.data.username);
  });

  /** How often Lambda has run a function to its end. */
  async function invocationsOf(name: string): Promise<number> {
    const lines = await logs.linesOf(`/aws/lambda/${deployment.stack}-${name}`);
    return lines.filter((line) => line.startsWith('REPORT ')).length;
  }

  async function lookUp() {
    const body = { lease_id: lease.lease_id };
    return (await read(lookedUp, 'PUT', 'sys/leases/lookup', body)).data;
  }
});
