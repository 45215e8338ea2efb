import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createSecureServer, type Http2ServerRequest } from 'node:http2';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { probeSchema } from '../../lib/rotation/probes/probe.ts';
import { examples } from '../bus/examples.ts';
import { issue } from '../rotation/probes/certificates.ts';
import { startProtocolServer } from '../rotation/probes/mysql-protocol-server.ts';
import { listening } from '../support/listening.ts';

const run = promisify(execFile);
const root = path.dirname(path.dirname(import.meta.dirname));
const ENTRIES = ['lib/bus/eventbridge.ts', 'lib/vault/transport.ts', 'lib/rotation/probes/probe.ts'];
let folder = '';

const inFolder = (name: string) => pathToFileURL(path.join(folder, name, 'index.mjs')).href;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-parts-'));
  await run(process.execPath, [path.join(root, 'scripts/bundle.mjs'), '--outdir', folder, ...ENTRIES]);
}, 60_000);
afterAll(async () => rm(folder, { recursive: true, force: true }));

describe('AWS’s SDK in a bundle', () => {
  it('publishes with the credentials that Lambda puts into the environment', async () => {
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
      const { createEventBridgeBus } = await import(${JSON.stringify(inFolder('eventbridge'))});
      const bus = createEventBridgeBus({ busName: 'lk' });
      const taken = await bus.publish([${JSON.stringify(event)}]);
      console.log(JSON.stringify([...taken]));`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], {
      timeout: 25_000,
      env: {
        AWS_REGION: 'eu-central-1',
        AWS_ACCESS_KEY_ID: 'key-of-the-function',
        AWS_SECRET_ACCESS_KEY: 'secret-of-the-function',
        AWS_SESSION_TOKEN: 'session-of-the-function',
        AWS_ENDPOINT_URL: `http://127.0.0.1:${aws.port}`,
      },
    });
    expect(JSON.parse(stdout)).toEqual([event.id]);
    expect(requests).toHaveLength(1);
    expect(requests[0]?.headers.authorization).toContain('Credential=key-of-the-function/');
    expect(requests[0]?.headers['x-amz-security-token']).toBe('session-of-the-function');
    expect(requests[0]?.body).toContain(event.id);
  });
});

const REQUEST = {
  method: 'POST',
  path: '/v1/echo',
  headers: {},
  body: undefined,
  signal: undefined,
} as const;

/** A transport made of the bundled code. */
async function bundledTransport(address: string, ca?: string) {
  const bundled: Pick<typeof import('../../lib/vault/transport.ts'), 'createTransport'> = await import(
    inFolder('transport')
  );
  const transport = bundled.createTransport({ address, connections: 1, ...(ca === undefined ? {} : { ca }) });
  onTestFinished(() => transport.close());
  return transport;
}

/** Answers with what it was sent; what asks for `/v1/never` gets no answer, and for `/v1/half` the half of one. */
async function echo() {
  let connections = 0;
  const server = createServer((request, response) => {
    if (request.url === '/v1/never') return;
    if (request.url === '/v1/half') {
      response.writeHead(200, { 'content-length': 100 });
      response.write('half', () => response.destroy());
      return;
    }
    request.pipe(response);
  });
  server.on('connection', () => {
    connections += 1;
  });
  const { port, ...disposable } = await listening(server);
  onTestFinished(() => disposable[Symbol.asyncDispose]());
  return { address: `http://127.0.0.1:${port}`, connections: () => connections };
}

describe('undici in a bundle', () => {
  it('sends and reads megabytes, over one connection', async () => {
    const server = await echo();
    const transport = await bundledTransport(server.address);
    // Letters of more than one byte, which packets cut through.
    for (const body of ['ä'.repeat(1_000_000), '', 'ß'.repeat(3)]) {
      expect(await transport.exchange({ ...REQUEST, body })).toMatchObject({ status: 200, body });
    }
    expect(server.connections()).toBe(1);
  });

  it('gives up a request that is aborted, and goes on', async () => {
    const transport = await bundledTransport((await echo()).address);
    const reason = new Error('no longer wanted');
    const aborted = new AbortController();
    const asked = transport.exchange({ ...REQUEST, path: '/v1/never', signal: aborted.signal });
    setTimeout(() => aborted.abort(reason), 50);
    await expect(asked).rejects.toBe(reason);
    expect(await transport.exchange({ ...REQUEST, body: 'after it' })).toMatchObject({ body: 'after it' });
  });

  it('says that an answer broke off, and goes on', async () => {
    const transport = await bundledTransport((await echo()).address);
    await expect(transport.exchange({ ...REQUEST, path: '/v1/half' })).rejects.toMatchObject({
      code: 'vault_unreachable',
    });
    expect(await transport.exchange({ ...REQUEST, body: 'after it' })).toMatchObject({ body: 'after it' });
  });

  it('trusts a private CA and no other, and speaks HTTP/1.1 to a server that would rather have HTTP/2', async () => {
    const authority = issue({ subject: '/CN=authority', authority: true });
    const other = issue({ subject: '/CN=other', authority: true });
    const { key, certificate: cert } = issue({ names: 'IP:127.0.0.1', signedBy: authority });
    const server = createSecureServer(
      { key, cert, allowHTTP1: true },
      (request: Http2ServerRequest, response) => {
        response.end(request.httpVersion);
      },
    );
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    onTestFinished(() => void server.close());
    const bound = server.address();
    const address = `https://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`;
    const trusting = await bundledTransport(address, authority.certificate);
    expect(await trusting.exchange(REQUEST)).toMatchObject({ status: 200, body: '1.1' });
    const distrusting = await bundledTransport(address, other.certificate);
    await expect(distrusting.exchange(REQUEST)).rejects.toMatchObject({ code: 'vault_unreachable' });
  });
});

describe('mysql2 in a bundle', () => {
  it.each([
    ['in UTF-8', 45],
    ['in UTF-8 of at most three bytes', 33],
    ['as bytes', 63],
  ])('logs in, is refused, and reads rows %s', async (_, characterSet) => {
    const user = { username: 'app', password: 'hunter2' };
    const server = await startProtocolServer(user, characterSet);
    onTestFinished(() => server.stop());
    const bundled: Pick<typeof import('../../lib/rotation/probes/probe.ts'), 'runProbe'> = await import(
      inFolder('probe')
    );
    const probe = (more: object = {}) =>
      probeSchema.parse({ kind: 'mysql', host: '127.0.0.1', port: server.port, tls: false, ...more });
    expect(await bundled.runProbe(probe(), user)).toEqual({ ok: true });
    const refused = { ok: false, code: 'test_login_refused', refused: true };
    expect(await bundled.runProbe(probe(), { ...user, password: 'hunter3' })).toEqual(refused);
    const failed = { ok: false, code: 'test_failed', refused: false };
    expect(await bundled.runProbe(probe({ query: 'SELECT 2' }), user)).toEqual(failed);
  });
});
