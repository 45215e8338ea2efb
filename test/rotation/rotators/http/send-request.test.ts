import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { MockAgent } from 'undici';
import { describe, expect, it } from 'vitest';
import { closedPort, receiveHttp, receiveHttps, receiveTcp } from '../../../notices/receiver.ts';
import { answering, failureOf, HUSH, requestTo, sender } from './sending.ts';

describe('send', () => {
  it('sends the request as it is and gives the answer', async () => {
    const seen: { request: IncomingMessage; body: string }[] = [];
    const base = await answering(async (request, response) => {
      seen.push({ request, body: await text(request) });
      response.writeHead(201).end('{"apiKey":{"value":"v"}}');
    });

    const answer = await sender().send(requestTo(base));

    expect(answer).toEqual({ status: 201, body: { apiKey: { value: 'v' } } });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.body).toBe(`{"key":"${HUSH}"}`);
    expect(seen[0]?.request).toMatchObject({
      method: 'POST',
      url: `/${HUSH}/${HUSH}?q=${HUSH}`,
      headers: { authorization: `Bearer ${HUSH}`, 'content-type': 'application/json' },
    });
  });

  it.each(['', 'OK', '<html>', '{"a":'])('gives no body for the answer %j', async (body) => {
    const base = await answering((_request, response) => response.end(body));

    expect(await sender().send(requestTo(base))).toEqual({ status: 200, body: undefined });
  });

  it('gives a status that the request expects, and no other', async () => {
    const base = await answering((_request, response) => response.writeHead(404).end());

    expect(await sender().send(requestTo(base, { expect_status: [404] }))).toMatchObject({ status: 404 });
    expect(await failureOf(requestTo(base, { expect_status: [200] }))).toMatchObject({ status: 404 });
  });

  it('gives no 2xx that the request does not expect; it may have been done', async () => {
    const base = await answering((_request, response) => response.writeHead(202).end());

    expect(await failureOf(requestTo(base, { expect_status: [201] }))).toMatchObject({
      code: 'http_unexpected_status',
      processed: 'maybe',
    });
  });

  it('opens a connection for each request: none that waits can be closed by the other side', async () => {
    const receiver = await receiveHttp((_request, response) => response.end('{}'));
    const one = sender();
    for (let n = 0; n < 3; n += 1) await one.send(requestTo(`http://127.0.0.1:${receiver.port}`));

    expect(receiver.connections()).toBe(3);
  });
});

describe('an answer that was not expected', () => {
  it.each([
    [301, 'http_unexpected_status', 'maybe'],
    [400, 'http_unexpected_status', 'no'],
    [401, 'http_refused', 'no'],
    [403, 'http_refused', 'no'],
    [404, 'http_unexpected_status', 'no'],
    [408, 'http_unexpected_status', 'maybe'],
    [409, 'http_unexpected_status', 'maybe'],
    [422, 'http_unexpected_status', 'no'],
    [429, 'http_rate_limited', 'no'],
    [500, 'http_unavailable', 'maybe'],
    [502, 'http_unavailable', 'maybe'],
    [503, 'http_unavailable', 'maybe'],
  ])('%d is %s, done: %s', async (status, code, processed) => {
    const base = await answering((_request, response) =>
      response.writeHead(status, { 'x-secret': HUSH }).end(HUSH),
    );

    const error = await failureOf(requestTo(base));

    expect(error).toMatchObject({ code, status, processed, retryAfterMs: undefined });
    expect(error.message).toBe(`POST to ${new URL(base).host} was answered ${status}.`);
    expect(error.hint).toEqual(expect.any(String));
  });

  it('is no redirect that is followed', async () => {
    const elsewhere = await receiveHttp((_request, response) => response.end('{}'));
    const base = await answering((_request, response) =>
      response.writeHead(307, { location: `http://127.0.0.1:${elsewhere.port}/` }).end(),
    );

    expect(await failureOf(requestTo(base))).toMatchObject({ status: 307 });
    expect(elsewhere.connections()).toBe(0);
  });

  it('is left when its body goes on', async () => {
    let left = false;
    const base = await answering((_request, response) => {
      response.on('close', () => {
        left = true;
      });
      response.writeHead(403).write('begun');
    });

    expect(await failureOf(requestTo(base))).toMatchObject({ code: 'http_refused' });
    await expect.poll(() => left).toBe(true);
  });

  const NOW = Date.parse('2026-11-21T22:17:00Z');
  it.each([
    [429, '120', 120_000],
    [503, '120', 120_000],
    [429, 'Sat, 21 Nov 2026 22:18:00 GMT', 60_000],
    [429, 'Sat, 21 Nov 2026 22:16:00 GMT', 0],
    [429, '86400', 3_600_000],
    [429, 'Sun, 22 Nov 2026 22:17:00 GMT', 3_600_000],
    [429, 'later', undefined],
    [403, '120', undefined],
  ])('%d with Retry-After: %s asks to wait %s ms', async (status, retryAfter, retryAfterMs) => {
    const base = await answering((_request, response) =>
      response.writeHead(status, { 'retry-after': retryAfter }).end(),
    );

    expect(await failureOf(requestTo(base), { now: () => NOW })).toMatchObject({ status, retryAfterMs });
  });
});

describe('no answer', () => {
  it('was surely not done when nobody listens', async () => {
    const port = await closedPort();
    const error = await failureOf(requestTo(`http://127.0.0.1:${port}`));

    expect(error).toMatchObject({ code: 'http_unavailable', processed: 'no', status: undefined });
    expect(error.message).toBe(`POST to 127.0.0.1:${port} got no answer (ECONNREFUSED).`);
  });

  it('was surely not done when the name does not resolve', async () => {
    expect(await failureOf(requestTo('http://nowhere.invalid'))).toMatchObject({
      code: 'http_unavailable',
      processed: 'no',
    });
  });

  it('was surely not done when the certificate is not trusted', async () => {
    const { port, ca } = await receiveHttps((_request, response) => response.end('{}'));
    const request = requestTo(`https://localhost:${port}`);

    expect(await failureOf(request)).toMatchObject({ code: 'http_unavailable', processed: 'no' });
    expect(await sender({ ca }).send(request)).toMatchObject({ status: 200 });
  });

  it('was surely not done when TLS is not begun in time', async () => {
    // Would end as ECONNRESET if it were waited for.
    const { port } = await receiveTcp((socket) => void setTimeout(() => socket.resetAndDestroy(), 5_000));
    const error = await failureOf(requestTo(`https://127.0.0.1:${port}`), { connectTimeoutMs: 100 });

    expect(error).toMatchObject({ code: 'http_unavailable', processed: 'no' });
    expect(error.message).toContain('UND_ERR_CONNECT_TIMEOUT');
  });

  it('was surely not done when the connection breaks off before TLS', async () => {
    const { port } = await receiveTcp((socket) => socket.resetAndDestroy());

    expect(await failureOf(requestTo(`https://127.0.0.1:${port}`))).toMatchObject({ processed: 'no' });
  });

  it('may have been done when the connection breaks off', async () => {
    const base = await answering((request) => void request.socket.destroy());

    expect(await failureOf(requestTo(base))).toMatchObject({
      code: 'http_unavailable',
      processed: 'maybe',
      status: undefined,
    });
  });

  it('may have been done when the connection is reset', async () => {
    const base = await answering((request) => void request.socket.resetAndDestroy());

    expect(await failureOf(requestTo(base))).toMatchObject({ code: 'http_unavailable', processed: 'maybe' });
  });

  it('may have been done when an error of the network comes late, whatever its code', async () => {
    // The kernel reports EHOSTUNREACH for a connection that was made long ago, too.
    const agent = new MockAgent();
    agent.disableNetConnect();
    const error = Object.assign(new Error(HUSH), { code: 'EHOSTUNREACH' });
    agent.get('http://host.example').intercept({ path: /.*/, method: 'POST' }).replyWithError(error);

    expect(await failureOf(requestTo('http://host.example'), { dispatcher: agent })).toMatchObject({
      code: 'http_unavailable',
      processed: 'maybe',
    });
    await agent.close();
  });

  it.each<[string, string]>([
    ['nothing comes', ''],
    ['the body stalls', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun'],
    ['the head stalls', 'HTTP/1.1 200 OK\r\n'],
  ])('is not waited for when %s', async (_how, sent) => {
    const { port } = await receiveTcp((socket) => socket.write(sent));

    const error = await failureOf(requestTo(`http://127.0.0.1:${port}`, { timeout: '300ms' }));

    expect(error).toMatchObject({ code: 'http_unavailable', processed: 'maybe' });
    expect(error.message).toContain('TimeoutError');
  });

  it('is none that breaks off half way', async () => {
    const { port } = await receiveTcp((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}'),
    );

    expect(await failureOf(requestTo(`http://127.0.0.1:${port}`))).toMatchObject({
      code: 'http_unavailable',
      processed: 'maybe',
    });
  });
});

describe('an answer that cannot be used', () => {
  it('is one that is not HTTP', async () => {
    const { port } = await receiveTcp((socket) => socket.end(`SSH-2.0-${HUSH}\r\n`));

    expect(await failureOf(requestTo(`http://127.0.0.1:${port}`))).toMatchObject({
      code: 'http_answer_invalid',
      processed: 'maybe',
    });
  });

  it('is one with endless headers', async () => {
    const header = `x-a: ${HUSH.repeat(10_000)}\r\n`;
    const { port } = await receiveTcp((socket) => void socket.write(`HTTP/1.1 200 OK\r\n${header}`));

    expect(await failureOf(requestTo(`http://127.0.0.1:${port}`))).toMatchObject({
      code: 'http_answer_invalid',
      processed: 'maybe',
    });
  });

  it('is one that is too large, and it is not read to its end', async () => {
    let closed = false;
    const base = await answering((_request, response) => {
      response.on('close', () => {
        closed = true;
      });
      const more = (): void => {
        while (!closed && response.write(HUSH.repeat(2_000)));
        if (!closed) response.once('drain', more);
      };
      more();
    });

    expect(await failureOf(requestTo(base))).toMatchObject({
      code: 'http_answer_invalid',
      status: 200,
      processed: 'maybe',
    });
    await expect.poll(() => closed).toBe(true);
  });

  it('is none of 256 KiB', async () => {
    const body = JSON.stringify('x'.repeat(256 * 1024 - 2));
    const base = await answering((_request, response) => response.end(body));

    expect(await sender().send(requestTo(base))).toMatchObject({ status: 200 });
    expect(await failureOf(requestTo(base), { maxAnswerBytes: body.length - 1 })).toMatchObject({
      code: 'http_answer_invalid',
    });
  });
});
