import type { LookupAddress } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { createSender } from '../../lib/notices/sender.ts';
import { receiveHttp, receiveHttps, receiveTcp } from './receiver.ts';
import { loopback, notice, refusal, resolver, sender } from './sending.ts';

// What is refused without an allow list: hostile-endpoints.ts.

describe('where notices may go', () => {
  it('sends https to a host whose addresses are allowed, and checks its certificate', async () => {
    const { port, ca } = await receiveHttps((_request, response) => response.end('secure'));
    const one = sender({ allow: ['hooks.example.com'], resolve: resolver([loopback]), ca });

    expect(await one.send(notice(`https://hooks.example.com:${port}/`))).toMatchObject({
      status: 200,
      excerpt: 'secure',
    });
  });

  it.each<[string, string, string[], string]>([
    ['plain http', 'http://127.0.0.1', ['127.0.0.1'], 'plain_http'],
    ['a user name', 'https://x@127.0.0.1', ['127.0.0.1'], 'credentials'],
  ])('connects to nothing for %s', async (_what, base, allow, reason) => {
    const receiver = await receiveTcp(() => {});

    await expect(sender({ allow }).send(notice(`${base}:${receiver.port}/`))).rejects.toEqual(
      refusal(reason),
    );
    expect(receiver.connections()).toBe(0);
  });

  it('refuses localhost as the system resolves it', async () => {
    const receiver = await receiveTcp(() => {});

    await expect(sender({ allow: [] }).send(notice(`https://localhost:${receiver.port}/`))).rejects.toEqual(
      refusal('loopback'),
    );
    expect(receiver.connections()).toBe(0);
  });

  it('asks again at each connection, so that a name which moves is caught', async () => {
    const receiver = await receiveHttp((_request, response) =>
      response.writeHead(200, { connection: 'close' }).end(),
    );
    const moved: LookupAddress = { address: '127.0.0.2', family: 4 };
    const one = sender({ allow: ['http://127.0.0.1'], resolve: resolver([loopback], [moved]) });
    const url = `http://hooks.example.com:${receiver.port}/`;

    expect(await one.send(notice(url))).toMatchObject({ status: 200 });
    await expect(one.send(notice(url))).rejects.toEqual(refusal('plain_http'));
  });

  it('resolves once for a connection, and connects to what was checked', async () => {
    const receiver = await receiveHttp((_request, response) => response.end('checked'));
    let asked = 0;
    const resolve = async () => {
      asked += 1;
      return asked === 1 ? [loopback] : [{ address: '127.0.0.2', family: 4 }];
    };

    const answer = await sender({ resolve }).send(notice(`http://hooks.example.com:${receiver.port}/`));
    expect(answer).toMatchObject({ status: 200, excerpt: 'checked' });
    expect(asked).toBe(1);
  });

  it('keeps plain http to the ranges that permit it, once a host has resolved', async () => {
    const receiver = await receiveHttp((_request, response) => response.end());
    const one = sender({ allow: ['127.0.0.1', 'http://10.0.0.0/8'], resolve: resolver([loopback]) });

    await expect(one.send(notice(`http://hooks.example.com:${receiver.port}/`))).rejects.toEqual(
      refusal('plain_http'),
    );
    expect(receiver.connections()).toBe(0);
  });

  it('refuses a wrong allow list when it is made', () => {
    expect(() => createSender({ allow: ['10.0.0.0/99'] })).toThrow(
      expect.objectContaining({ code: 'allow_list_invalid' }),
    );
  });
});
