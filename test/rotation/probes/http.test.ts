import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { probeSchema, runProbe } from '../../../lib/rotation/probes/probe.ts';
import { issue } from './certificates.ts';
import { closedPort, listen, silentPort } from './local-servers.ts';

const failure = (code: string, refused = false) => ({ ok: false, code, refused });
const KEY = 'hunter2';
const value = { key: KEY, username: 'app', password: 'p"w&\\' };

interface Seen {
  readonly request: IncomingMessage;
  readonly body: string;
}

/** A server that answers as it is told, and what it was asked. */
async function answering(status: number, answer = '', headers: Record<string, string> = {}) {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    seen.push({ request, body: await text(request) });
    response.writeHead(status, headers).end(answer);
  });
  return { seen, url: `http://127.0.0.1:${await listen(server)}/v1/me?verbose=1` };
}

const probe = (url: string, more: object = {}) =>
  probeSchema.parse({
    kind: 'http',
    url,
    insecure_http: true,
    headers: { 'x-api-key': '{{key}}' },
    ...more,
  });

describe('the request', () => {
  it('holds the value where the placeholders stand, and nothing of it in the URL', async () => {
    const { seen, url } = await answering(204);
    expect(await runProbe(probe(url), value)).toEqual({ ok: true });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.request.headers['x-api-key']).toBe(KEY);
    expect(seen[0]?.request.url).toBe('/v1/me?verbose=1');
    expect(seen[0]?.request.method).toBe('GET');
  });

  it.each([
    ['application/json', '{"login":{"name":"{{username}}","pass":"{{password}}"}}'],
    ['application/problem+json; charset=utf-8', '{"login":{"name":"{{username}}","pass":"{{password}}"}}'],
  ])('writes fields into %s as parts of its strings', async (type, body) => {
    const { seen, url } = await answering(200);
    const asked = probe(url, { method: 'POST', headers: { 'Content-Type': type }, body });
    expect(await runProbe(asked, value)).toEqual({ ok: true });
    expect(JSON.parse(seen[0]?.body ?? '')).toEqual({ login: { name: 'app', pass: value.password } });
  });

  it('writes fields into a form percent-encoded', async () => {
    const { seen, url } = await answering(200);
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const asked = probe(url, { method: 'POST', headers, body: 'user={{username}}&pass={{password}}' });
    expect(await runProbe(asked, value)).toEqual({ ok: true });
    expect([...new URLSearchParams(seen[0]?.body)]).toEqual([
      ['user', 'app'],
      ['pass', value.password],
    ]);
  });

  it('writes fields into other bodies as they are, and looks for no placeholders in them', async () => {
    const { seen, url } = await answering(200);
    const asked = probe(url, { method: 'PUT', headers: { 'content-type': 'text/plain' }, body: '<{{a}}>' });
    expect(await runProbe(asked, { a: '{{key}}&"', key: KEY })).toEqual({ ok: true });
    expect(seen[0]?.body).toBe('<{{key}}&">');
  });

  it('logs in by basic_auth', async () => {
    const { seen, url } = await answering(200);
    const asked = probe(url, { headers: {}, basic_auth: { password_field: 'pw' } });
    expect(await runProbe(asked, { username: 'app', pw: 'pä:ss' })).toEqual({ ok: true });
    const [scheme, credentials] = seen[0]?.request.headers.authorization?.split(' ') ?? [];
    expect([scheme, Buffer.from(credentials ?? '', 'base64').toString()]).toEqual(['Basic', 'app:pä:ss']);
  });
});

describe('a value that does not fit', () => {
  it.each<[string, object, object, string]>([
    ['no such field', {}, {}, 'test_value_incomplete'],
    ['an empty field', {}, { key: '' }, 'test_value_incomplete'],
    ['a line break for a header', {}, { key: 'a\r\nx-admin: 1' }, 'test_value_unusable'],
    ['a line end at its end', {}, { key: 'a\n' }, 'test_value_unusable'],
    ['a NUL', {}, { key: 'a\0' }, 'test_value_unusable'],
    ['no ASCII for a header', {}, { key: 'schlüssel' }, 'test_value_unusable'],
    [
      'no text for a form',
      { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'k={{key}}' },
      { key: '\ud800' },
      'test_value_unusable',
    ],
    [
      'no such field for the body',
      { headers: { 'content-type': 'text/plain' }, body: '{{key}}' },
      {},
      'test_value_incomplete',
    ],
    ['no password', { headers: {}, basic_auth: {} }, { username: 'a' }, 'test_value_incomplete'],
    [
      'a colon in the user',
      { headers: {}, basic_auth: {} },
      { username: 'a:b', password: 'p' },
      'test_value_unusable',
    ],
  ])('is not sent: %s', async (_, more, unfit, code) => {
    const { seen, url } = await answering(200);
    expect(await runProbe(probe(url, more), { ...unfit })).toEqual(failure(code));
    expect(seen).toEqual([]);
  });
});

describe('the answer', () => {
  it.each<[number, object, object]>([
    [200, {}, { ok: true }],
    [299, {}, { ok: true }],
    [401, {}, failure('test_refused', true)],
    [403, {}, failure('test_refused', true)],
    [404, {}, failure('test_unexpected_status')],
    [407, {}, failure('test_unexpected_status')],
    [429, {}, failure('test_unexpected_status')],
    [500, {}, failure('test_unexpected_status')],
    [503, {}, failure('test_unexpected_status')],
    [403, { expect_status: [200, 403] }, { ok: true }],
    [204, { expect_status: [200] }, failure('test_unexpected_status')],
    [401, { expect_status: [200] }, failure('test_refused', true)],
  ])('%i with %o', async (status, more, expected) => {
    const { url } = await answering(status, JSON.stringify({ echo: KEY }));
    const result = await runProbe(probe(url, more), value);
    expect(result).toEqual(expected);
    expect(JSON.stringify(result)).not.toContain(KEY);
  });

  it('is not followed elsewhere', async () => {
    const elsewhere = await answering(200);
    const { url } = await answering(302, '', { location: elsewhere.url });
    expect(await runProbe(probe(url), value)).toEqual(failure('test_unexpected_status'));
    expect(elsewhere.seen).toEqual([]);
  });

  it('is judged though its body never ends, and is not read on', async () => {
    let sent = 0;
    const server = createServer((_, response) => {
      const write = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) sent += 65_536;
      };
      response.on('drain', write).writeHead(200);
      write();
    });
    const port = await listen(server);
    expect(await runProbe(probe(`http://127.0.0.1:${port}/`, { timeout: '20s' }), value)).toEqual({
      ok: true,
    });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });
});

describe('a server that cannot be asked refuses nothing', () => {
  const unasked = failure('test_failed');

  it('closed', async () => {
    expect(await runProbe(probe(`http://127.0.0.1:${await closedPort()}/`), value)).toEqual(unasked);
  });

  it('silent, with and without TLS', async () => {
    const port = await silentPort();
    for (const scheme of ['http', 'https']) {
      const asked = probe(`${scheme}://127.0.0.1:${port}/`, { timeout: '300ms' });
      expect(await runProbe(asked, value)).toEqual(unasked);
    }
  });

  it('unknown by name', async () => {
    expect(await runProbe(probe('http://nowhere.invalid/'), value)).toEqual(unasked);
  });

  it('that speaks something else', async () => {
    const { createServer: createTcpServer } = await import('node:net');
    const port = await listen(createTcpServer((socket) => socket.end('401 Unauthorized\r\n')));
    expect(await runProbe(probe(`http://127.0.0.1:${port}/`), value)).toEqual(unasked);
  });
});

describe('over TLS', () => {
  it('trusts the authorities that are named, and Node’s own without them', async () => {
    const authority = issue({ subject: '/CN=authority', authority: true });
    const { key, certificate } = issue({ names: 'DNS:localhost', signedBy: authority });
    const seen: string[] = [];
    const server = createSecureServer({ key, cert: certificate }, (request, response) => {
      seen.push(request.headers['x-api-key']?.toString() ?? '');
      response.end();
    });
    const port = await listen(server);
    const ca = authority.certificate;
    expect(await runProbe(probe(`https://localhost:${port}/`), value)).toEqual(failure('test_failed'));
    expect(await runProbe(probe(`https://127.0.0.1:${port}/`, { ca }), value)).toEqual(
      failure('test_failed'),
    );
    expect(seen).toEqual([]);
    expect(await runProbe(probe(`https://localhost:${port}/`, { ca }), value)).toEqual({ ok: true });
    expect(seen).toEqual([KEY]);
  });
});
