import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FUNCTIONS } from '../../lib/host/identities.ts';
import { examples } from '../bus/examples.ts';
import { listening } from '../support/listening.ts';

const run = promisify(execFile);
const root = path.dirname(path.dirname(import.meta.dirname));
let folder = '';

const bundle = (...args: string[]) =>
  run(process.execPath, [path.join(root, 'scripts/bundle.mjs'), '--outdir', folder, ...args]);
const inFolder = (name: string) => pathToFileURL(path.join(folder, name)).href;

/**
 * Runs a program that may read the bundles and nothing else, may start nothing, and has the environment that is given. It must come to
 * its end without being told to. Gives what it printed, line by line.
 */
async function alone(program: string, env: Record<string, string> = {}): Promise<unknown[]> {
  const limits = ['--permission', `--allow-fs-read=${folder}`];
  const { stdout } = await run(process.execPath, [...limits, '--input-type=module', '--eval', program], {
    cwd: folder,
    env,
    timeout: 25_000,
  });
  return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-bundles-'));
  await bundle();
}, 60_000);
afterAll(async () => rm(folder, { recursive: true, force: true }));

describe('the bundles', () => {
  it('are one file for each function, with its map beside it', async () => {
    const expected = FUNCTIONS.flatMap((name) => [`${name}.mjs`, `${name}.mjs.map`]);
    expect((await readdir(folder)).toSorted()).toEqual(expected.toSorted());
  });

  it.each(FUNCTIONS)('%s loads by itself, and starts nothing', async (name) => {
    const program = `
      import dns from 'node:dns';
      import net from 'node:net';
      let asked = 0;
      for (const [owner, method] of [[net.Socket.prototype, 'connect'], [net.Server.prototype, 'listen'], [dns, 'lookup']])
        owner[method] = () => { asked += 1; };
      const { handler } = await import(${JSON.stringify(inFolder(`${name}.mjs`))});
      process.on('exit', () => console.log(JSON.stringify({ handler: typeof handler, asked })));`;
    expect(await alone(program)).toEqual([{ handler: 'function', asked: 0 }]);
  });

  it('leave the AWS SDK out of fetch, which publishes nothing', async () => {
    const holds = async (name: string) =>
      (await readFile(path.join(folder, `${name}.mjs`), 'utf8')).includes('PutEvents');
    expect(await holds('fetch')).toBe(false);
    expect(await holds('scan')).toBe(true);
  });

  it('leave PostgreSQL out of all but rotate', async () => {
    const holds = async (name: string) =>
      (await readFile(path.join(folder, `${name}.mjs`), 'utf8')).includes('SCRAM-SHA-256');
    const holders = await Promise.all(FUNCTIONS.map(async (name) => ((await holds(name)) ? [name] : [])));
    expect(holders.flat()).toEqual(['rotate']);
  });

  it('keep the names of errors, which logs tell apart by', async () => {
    const event = {
      version: '2.0',
      rawPath: '/v1/secrets/a',
      headers: { 'x-vault-token': 'hunter2' },
      requestContext: { requestId: 'request-1', http: { method: 'GET', path: '/v1/secrets/a' } },
    };
    const program = `
      const { handler } = await import(${JSON.stringify(inFolder('fetch.mjs'))});
      console.log(JSON.stringify(await handler(${JSON.stringify(event)}, { awsRequestId: 'lambda-1' })));`;
    const lines = await alone(program, {
      VAULT_ADDR: 'http://127.0.0.1:1',
      LEASEKEEPER_APPROLE_PARAMETER: '/lk/fetch',
      AWS_REGION: 'eu-west-1',
    });
    expect(lines).toContainEqual(expect.objectContaining({ statusCode: 503 }));
    expect(lines).toContainEqual(
      expect.objectContaining({
        msg: 'request failed',
        request_id: 'request-1',
        // That the connection was refused shows that the bundle tried one, with the parts of undici that it has.
        err: expect.objectContaining({
          name: 'VaultError',
          message: 'Vault cannot be reached (ECONNREFUSED).',
        }),
      }),
    );
    expect(JSON.stringify(lines)).not.toContain('hunter2');
  });
});

describe('the parts that take another’s place in a bundle', () => {
  it('let the AWS SDK publish with the credentials that Lambda puts into the environment', async () => {
    await bundle('lib/bus/eventbridge.ts');
    const requests: { headers: IncomingHttpHeaders; body: string }[] = [];
    await using aws = await listening(
      createServer((request, response) => {
        let body = '';
        request.on('data', (chunk) => {
          body += chunk;
        });
        request.on('end', () => {
          requests.push({ headers: request.headers, body });
          response.setHeader('content-type', 'application/x-amz-json-1.1');
          response.end(JSON.stringify({ FailedEntryCount: 0, Entries: [{ EventId: 'aws-1' }] }));
        });
      }),
    );
    const event = examples['secret.rotated'];
    const program = `
      const { createEventBridgeBus } = await import(${JSON.stringify(inFolder('eventbridge.mjs'))});
      const bus = createEventBridgeBus({ busName: 'lk' });
      const taken = await bus.publish([${JSON.stringify(event)}]);
      console.log(JSON.stringify([...taken]));`;
    const taken = await alone(program, {
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'key-of-the-function',
      AWS_SECRET_ACCESS_KEY: 'secret-of-the-function',
      AWS_SESSION_TOKEN: 'session-of-the-function',
      AWS_ENDPOINT_URL: `http://127.0.0.1:${aws.port}`,
    });
    expect(taken).toEqual([[event.id]]);
    expect(requests).toHaveLength(1);
    expect(requests[0]?.headers.authorization).toContain('Credential=key-of-the-function/');
    expect(requests[0]?.headers['x-amz-security-token']).toBe('session-of-the-function');
    expect(requests[0]?.body).toContain(event.id);
  });
});
