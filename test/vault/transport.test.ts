import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createTransport } from '../../lib/vault/transport.ts';

const REQUEST = {
  method: 'GET',
  path: '/v1/sys/health',
  headers: {},
  body: undefined,
  signal: undefined,
} as const;

/** A real server that counts its connections; and a transport to it whose clock can be turned. */
async function harness() {
  let now = 1_000_000;
  let connections = 0;
  let hold: Promise<void> | undefined;
  const server = createServer((_request, response) => {
    void Promise.resolve(hold).then(() => response.end('{}'));
  });
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  const transport = createTransport({ address: `http://127.0.0.1:${port}`, connections: 1, now: () => now });
  onTestFinished(async () => {
    await transport.close();
    server.closeAllConnections();
    server.close();
  });
  return {
    ask: () => transport.exchange(REQUEST),
    pass: (ms: number) => {
      now += ms;
    },
    connections: () => connections,
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      hold = promise;
      return resolve;
    },
  };
}

describe('a process that was frozen', () => {
  it('makes a new connection after half a minute, and keeps the old one until then', async () => {
    const { ask, pass, connections } = await harness();
    await ask();
    pass(29_999);
    await ask();
    expect(connections()).toBe(1);
    pass(30_000);
    await ask();
    expect(connections()).toBe(2);
  });

  it('lets a request that is under way finish', async () => {
    const { ask, pass, connections, hold } = await harness();
    const letGo = hold();
    const slow = ask();
    await expect.poll(connections).toBe(1);
    pass(60_000);
    const other = ask();
    letGo();
    expect((await slow).status).toBe(200);
    expect((await other).status).toBe(200);
  });
});
