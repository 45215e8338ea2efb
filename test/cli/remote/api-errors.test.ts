import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closedPort, receiveHttp, receiveHttps, receiveTcp } from '../../notices/receiver.ts';
import { CANARY, type Told, told } from './told.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-api-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** An API that gives one answer to whatever is asked, and counts. */
async function answering(answer: (response: ServerResponse) => void) {
  const asked: string[] = [];
  const { port } = await receiveHttp((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    answer(response);
  });
  return { url: `http://127.0.0.1:${port}`, asked };
}

const json = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  answering((response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body)),
  );
const problem = (status: number, code: string, more: object = {}, headers = {}) =>
  json(
    status,
    { type: `urn:${code}`, title: 'x', status, detail: 'It will not do.', code, request_id: 'r', ...more },
    headers,
  );

const failed =
  (code: string, ...said: readonly string[]) =>
  (ran: Told) => {
    expect([ran.code, ran.out]).toEqual([1, '']);
    expect(ran.error.split('\n')[0]).toMatch(new RegExp(`^leasekeeper: ${code}: `));
    for (const words of said) expect(ran.error).toContain(words);
    expect(ran.error).not.toContain(CANARY);
  };

describe('a problem document', () => {
  it('is told as the same fault is told of Vault', async () => {
    const { url } = await problem(410, 'managed_secret_removed', { hint: 'Apply it again.' });
    expect(await told(url, ['rotate', 'app'])).toEqual({
      code: 1,
      out: '',
      error: 'leasekeeper: managed_secret_removed: It will not do.\n  Apply it again.',
    });
  });

  it('has no words for the terminal to act on, and no token, whoever wrote it', async () => {
    const detail = `a\u001b[2Jb\nc\u009b ${CANARY} d`;
    const { url } = await problem(400, 'managed_secret_odd', { detail, hint: `\u0007${CANARY}` });
    expect((await told(url, ['list'])).error).toBe(
      'leasekeeper: managed_secret_odd: a [2Jb c  [secret] d\n   [secret]',
    );
  });

  it('is none when its code is none', async () => {
    const { url } = await problem(400, 'x: \u001b[2J');
    failed('api_answer_invalid', 'GET /v1/managed was answered 400')(await told(url, ['list']));
  });

  it('says for how long it asks to be left alone, where that is longer than is waited', async () => {
    const { url, asked } = await problem(
      429,
      'caller_rate_exceeded',
      { hint: 'Wait.' },
      { 'retry-after': '120' },
    );
    failed(
      'caller_rate_exceeded',
      '\n  Wait. It asks to be left alone for 120 s.',
    )(await told(url, ['list']));
    expect(asked).toHaveLength(1);
  });
});

describe('what stands before Leasekeeper', () => {
  it.each([
    [401, 'api_denied'],
    [403, 'api_denied'],
    [404, 'api_answer_invalid'],
    [500, 'api_unavailable'],
    [503, 'api_unavailable'],
    [504, 'api_unavailable'],
  ])('its answer %i is %s, and its words are not repeated', async (status, code) => {
    for (const answer of [json(status, { message: 'of a gateway' }), page(status)]) {
      const ran = await told((await answer).url, ['list']);
      failed(code, `GET /v1/managed was answered ${status}`)(ran);
      expect(ran.error).not.toContain('of a gateway');
    }
  });

  const page = (status: number) =>
    answering((response) =>
      response.writeHead(status, { 'content-type': 'text/html' }).end('<html>of a gateway</html>'),
    );

  it('its 429 is told when it asks for more time than is waited', async () => {
    const { url } = await json(429, { message: 'Too Many Requests' }, { 'retry-after': '3600' });
    failed('api_rate_limited', 'It asks to be left alone for 3600 s.')(await told(url, ['list']));
  });

  it.each([
    ['a page', '<html>of a portal</html>'],
    ['nothing', ''],
    ['other JSON', '{"managed":"no list"}'],
    ['a list of others', '{"managed":[{"name":1}]}'],
    ['no object', 'null'],
  ])('answers 200 with %s', async (_what, body) => {
    const { url } = await answering((response) => response.writeHead(200).end(body));
    failed(
      'api_answer_invalid',
      'GET /v1/managed was answered 200, with something other',
    )(await told(url, ['list']));
  });

  it('answers with more than anybody asks for', async () => {
    const { url } = await answering((response) => {
      response.on('error', () => {});
      response.writeHead(200).end(Buffer.alloc(9 * 1024 * 1024, ' '));
    });
    failed('api_answer_invalid', 'with more than is ever asked for')(await told(url, ['list']));
  });

  it('does not speak HTTP', async () => {
    const { port } = await receiveTcp((socket) => socket.end('220 mail.example.com ESMTP\r\n'));
    failed('api_answer_invalid', 'other than HTTP')(await told(`http://127.0.0.1:${port}`, ['list']));
  });

  it('sends us round in circles: a page that follows itself is asked for twice', async () => {
    const { url, asked } = await json(200, { managed: [], next: 'app' });
    expect((await told(url, ['list'])).out).toMatch(/^Nothing is managed yet/);
    expect(asked).toEqual([
      'GET /v1/managed?limit=200&removed=false',
      'GET /v1/managed?limit=200&after=app&removed=false',
    ]);
  });
});

describe('a redirect', () => {
  it.each([301, 302, 303, 307, 308])('%i is not followed, not to the same server either', async (status) => {
    const elsewhere = await json(200, { managed: [] });
    for (const location of [`${elsewhere.url}/v1/managed?key=hidden`, '/login']) {
      const { url, asked } = await answering((response) => response.writeHead(status, { location }).end());
      const ran = await told(url, ['list']);
      failed('api_redirected', `answered ${status}`, 'LEASEKEEPER_URL')(ran);
      expect(ran.error).not.toContain('hidden');
      expect(ran.error.includes(`to ${elsewhere.url}.`)).toBe(location.startsWith('http'));
      expect(asked).toHaveLength(1);
    }
    expect(elsewhere.asked).toEqual([]);
  });
});

describe('the way', () => {
  it('is closed', async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    const ran = await told(url, ['rotate', 'app']);
    failed('api_unreachable', 'ECONNREFUSED')(ran);
    // Nothing was sent, so there is no doubt.
    expect(ran.error).not.toContain('may have been done');
    failed('api_unreachable', 'ENOTFOUND')(await told('https://nowhere.invalid', ['list']));
  });

  it('breaks off: a change may have been done, and that is said', async () => {
    const { port } = await receiveTcp((socket) => socket.once('data', () => socket.destroy()));
    const url = `http://127.0.0.1:${port}`;
    failed('api_unreachable', 'It may have been done all the same')(await told(url, ['rotate', 'app']));
    expect((await told(url, ['list'])).error).not.toContain('may have been done');
  });

  it('is not trusted: nothing is sent', async () => {
    const asked: string[] = [];
    const { port, ca } = await receiveHttps((request, response) => {
      asked.push(String(request.headers['x-vault-token']));
      response.end('{"managed":[]}');
    });
    const file = path.join(folder, 'ca.pem');
    await writeFile(file, ca);

    failed(
      'api_tls_failed',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
    )(await told(`https://localhost:${port}`, ['list']));
    // A certificate for another name.
    const trusting = { LEASEKEEPER_CACERT: file };
    failed(
      'api_tls_failed',
      'ERR_TLS_CERT_ALTNAME_INVALID',
    )(await told(`https://127.0.0.1:${port}`, ['list'], trusting));
    expect(asked).toEqual([]);
    expect((await told(`https://localhost:${port}`, ['list'], trusting)).code).toBe(0);
    expect(asked).toEqual([CANARY]);
  });

  it('is no TLS although https is asked for', async () => {
    const { url, asked } = await json(200, { managed: [] });
    failed('api_tls_failed')(await told(url.replace('http:', 'https:'), ['list']));
    expect(asked).toEqual([]);
  });

  it('would be in the clear: nothing is sent', async () => {
    failed('api_url_insecure')(await told('http://leasekeeper.example.com', ['list']));
  });
});
