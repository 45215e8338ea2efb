import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { closedPort, receiveHttp, receiveHttps, receiveTcp } from './receiver.ts';
import { failure, local, loopback, notice, resolver, sender } from './sending.ts';

describe('send', () => {
  it('posts the notice as it is and gives the answer', async () => {
    const seen: Array<{ request: IncomingMessage; body: string }> = [];
    const { port } = await receiveHttp(async (request, response) => {
      seen.push({ request, body: await text(request) });
      response.writeHead(202).end('thank you');
    });

    const answer = await sender().send(notice(local(port, '/hook?a=b')));

    expect(answer).toEqual({ status: 202, durationMs: expect.any(Number), excerpt: 'thank you' });
    expect(seen).toHaveLength(1);
    expect(seen[0]?.body).toBe('{"a":1}');
    expect(seen[0]?.request).toMatchObject({
      method: 'POST',
      url: '/hook?a=b',
      headers: { 'content-type': 'application/json', 'webhook-id': 'evt_1', host: `127.0.0.1:${port}` },
    });
  });

  it('keeps a connection for the next notice', async () => {
    const receiver = await receiveHttp((_request, response) => response.end('ok'));
    const one = sender({ connections: 1 });
    for (let n = 0; n < 3; n += 1) await one.send(notice(local(receiver.port)));

    expect(receiver.connections()).toBe(1);
  });

  it('gives every status as an answer, with Retry-After', async () => {
    const { port } = await receiveHttp((request, response) => {
      const status = Number(request.url?.slice(1));
      response.writeHead(status, { 'retry-after': '120' }).end();
    });
    const one = sender();

    for (const status of [200, 204, 400, 404, 410, 429, 500, 503]) {
      expect(await one.send(notice(local(port, `/${status}`)))).toMatchObject({
        status,
        retryAfter: '120',
        excerpt: '',
      });
    }
  });

  it('takes no longer Retry-After than a date needs', async () => {
    const { port } = await receiveHttp((_request, response) => {
      response.writeHead(503, { 'retry-after': '1'.repeat(1_000) }).end();
    });

    expect(await sender().send(notice(local(port)))).toMatchObject({ retryAfter: '1'.repeat(64) });
  });

  it('follows no redirect', async () => {
    const elsewhere = await receiveHttp((_request, response) => response.end('elsewhere'));
    const { port } = await receiveHttp((_request, response) => {
      response.writeHead(307, { location: local(elsewhere.port) }).end();
    });

    expect(await sender().send(notice(local(port)))).toMatchObject({ status: 307 });
    expect(elsewhere.connections()).toBe(0);
  });
});

describe('the answer', () => {
  it('is cut off when it does not end, and counts by its status', async () => {
    let closed = false;
    let sent = 0;
    const { port } = await receiveHttp((_request, response) => {
      response.writeHead(200);
      response.on('close', () => {
        closed = true;
      });
      const more = (): void => {
        while (!closed && response.write('x'.repeat(16_384))) sent += 16_384;
        if (!closed) response.once('drain', more);
      };
      more();
    });

    const answer = await sender({ maxAnswerBytes: 100_000 }).send(notice(local(port)));

    expect(answer).toMatchObject({ status: 200, excerpt: 'x'.repeat(256) });
    await expect.poll(() => closed).toBe(true);
    // What was under way in buffers beside what was read; a gigabyte it is not.
    expect(sent).toBeLessThan(50_000_000);
  });

  it.each<[string, (end: () => void) => void]>([
    ['breaks off', (end) => end()],
    ['stalls', () => {}],
  ])('counts by its status when its body %s', async (_how, then) => {
    const { port } = await receiveHttp((_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('begun', () => setTimeout(() => then(() => response.destroy()), 50));
    });

    expect(await sender({ timeoutMs: 500 }).send(notice(local(port)))).toMatchObject({
      status: 200,
      excerpt: 'begun',
    });
  });

  it('is shown as text without control or invisible characters', async () => {
    const { port } = await receiveHttp((_request, response) => {
      response.end('\u001b[31mred\u0000\r\n\u202eesrever\u200b \tend');
    });

    expect(await sender().send(notice(local(port)))).toMatchObject({ excerpt: '[31mred esrever end' });
  });

  it('is not cut through a character', async () => {
    const { port } = await receiveHttp((_request, response) => response.end('€'.repeat(100)));

    expect(await sender().send(notice(local(port)))).toMatchObject({ excerpt: '€'.repeat(85) });
  });
});

describe('certificate authorities', () => {
  const roots = getCACertificates('default');
  const resolve = resolver([loopback]);
  const allow = ['127.0.0.1'];
  const at = (port: number) => notice(`https://hooks.example.com:${port}/`);

  afterEach(() => {
    setDefaultCACertificates(roots);
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  it('of our own are trusted besides those that Node trusts', async () => {
    const known = await receiveHttps((_request, response) => response.end('known to Node'));
    const ours = await receiveHttps((_request, response) => response.end('ours'));
    const other = await receiveHttps((_request, response) => response.end('of nobody'));
    setDefaultCACertificates([...roots, known.ca]);
    const one = sender({ allow, resolve, ca: ours.ca });

    expect(await one.send(at(known.port))).toMatchObject({ status: 200, excerpt: 'known to Node' });
    expect(await one.send(at(ours.port))).toMatchObject({ status: 200, excerpt: 'ours' });
    await expect(one.send(at(other.port))).rejects.toEqual(failure('tls'));
    await expect(sender({ allow, resolve }).send(at(ours.port))).rejects.toEqual(failure('tls'));
  });

  it('may be several, in one text or in many', async () => {
    const first = await receiveHttps((_request, response) => response.end());
    const second = await receiveHttps((_request, response) => response.end());

    for (const ca of [`${first.ca}\n${second.ca}`, [first.ca, second.ca]]) {
      const one = sender({ allow, resolve, ca });
      expect(await one.send(at(first.port))).toMatchObject({ status: 200 });
      expect(await one.send(at(second.port))).toMatchObject({ status: 200 });
    }
  });

  it('are asked for whatever NODE_TLS_REJECT_UNAUTHORIZED says', async () => {
    const { port } = await receiveHttps((_request, response) => response.end());
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    vi.spyOn(process, 'emitWarning').mockImplementation(() => {});

    await expect(sender({ allow, resolve }).send(at(port))).rejects.toEqual(failure('tls'));
  });
});

describe('failures', () => {
  it('refused', async () => {
    await expect(sender().send(notice(local(await closedPort())))).rejects.toEqual(failure('refused'));
  });

  it('timeout, when nothing is answered', async () => {
    const { port } = await receiveHttp(() => {});

    const signal = new AbortController().signal;

    await expect(sender({ timeoutMs: 200 }).send(notice(local(port)))).rejects.toEqual(failure('timeout'));
    await expect(sender({ timeoutMs: 200 }).send(notice(local(port), { signal }))).rejects.toEqual(
      failure('timeout'),
    );
  });

  it('timeout, when headers come drop by drop', async () => {
    const { port } = await receiveTcp((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const timer = setInterval(() => socket.write('x: y\r\n'), 20);
      socket.on('close', () => clearInterval(timer));
    });

    await expect(sender({ timeoutMs: 300 }).send(notice(local(port)))).rejects.toEqual(failure('timeout'));
  });

  it('timeout, when a TLS handshake is never answered', async () => {
    const { port } = await receiveTcp(() => {});
    const one = sender({ timeoutMs: 200, allow: ['127.0.0.1'] });

    await expect(one.send(notice(`https://127.0.0.1:${port}/`))).rejects.toEqual(failure('timeout'));
  });

  it('reset, when the connection is closed instead of answered', async () => {
    const { port } = await receiveHttp((request) => request.socket.destroy());
    const { port: abrupt } = await receiveTcp((socket) =>
      socket.once('data', () => socket.resetAndDestroy()),
    );

    await expect(sender().send(notice(local(port)))).rejects.toEqual(failure('reset'));
    await expect(sender().send(notice(local(abrupt)))).rejects.toEqual(failure('reset'));
  });

  it('protocol, when the answer is not HTTP, or all header', async () => {
    const { port } = await receiveTcp((socket) =>
      socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.2\r\n')),
    );
    const { port: wordy } = await receiveHttp((_request, response) => {
      response.writeHead(200, { 'x-long': 'x'.repeat(100_000) }).end();
    });

    await expect(sender().send(notice(local(port)))).rejects.toEqual(failure('protocol'));
    await expect(sender().send(notice(local(wordy)))).rejects.toEqual(failure('protocol'));
  });

  it('tls, when the certificate is not trusted or the host is not its own', async () => {
    const { port, ca } = await receiveHttps((_request, response) => response.end('ok'));
    const resolve = resolver([loopback]);
    const allow = ['127.0.0.1'];

    await expect(sender({ allow, resolve }).send(notice(`https://localhost:${port}/`))).rejects.toEqual(
      failure('tls'),
    );
    await expect(
      sender({ allow, resolve, ca }).send(notice(`https://other.example:${port}/`)),
    ).rejects.toEqual(failure('tls'));
    const plain = await receiveHttp((_request, response) => response.end('ok'));
    await expect(sender({ allow }).send(notice(`https://127.0.0.1:${plain.port}/`))).rejects.toEqual(
      failure('tls'),
    );
  });

  it('dns, when the host does not resolve', async () => {
    const notFound = async () => {
      throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
    };

    await expect(sender({ resolve: notFound }).send(notice('https://nowhere.invalid/'))).rejects.toEqual(
      failure('dns'),
    );
  });

  it('aborted, when the caller gives up or the sender is closed', async () => {
    const { port } = await receiveHttp(() => {});
    const one = sender();
    await expect(one.send(notice(local(port), { signal: AbortSignal.abort() }))).rejects.toEqual(
      failure('aborted'),
    );
    const controller = new AbortController();
    const sending = one.send(notice(local(port), { signal: controller.signal }));
    controller.abort(new DOMException('stop', 'AbortError'));
    await expect(sending).rejects.toEqual(failure('aborted'));

    await one.close();
    await expect(one.send(notice(local(port)))).rejects.toEqual(failure('aborted'));
  });

  it('say nothing of the request', async () => {
    const canary = 'canary-7f3a';
    const request = notice(`http://127.0.0.1:${await closedPort()}/?k=${canary}`, {
      body: canary,
      headers: { x: canary },
    });
    const error: unknown = await sender()
      .send(request)
      .catch((thrown: unknown) => thrown);

    expect(error).toMatchObject({ message: 'The endpoint refused the connection (ECONNREFUSED).' });
    expect(error).not.toHaveProperty('cause');
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(canary);
  });
});
