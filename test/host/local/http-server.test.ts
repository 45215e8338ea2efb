import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { type HttpHandler, startHttpServer } from '../../../lib/host/local/http-server.ts';

const LISTEN = { host: '127.0.0.1', port: 0 };
const DAY_MS = 86_400_000;
const OK: HttpHandler = async () => ({ statusCode: 200, body: 'ok' });

it('ends although a proxy keeps its connection and always has one more request', async () => {
  const server = await startHttpServer(LISTEN, [{ prefix: '', handler: OK }], DAY_MS);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  let answers = 0;
  const { promise: refused, resolve } = Promise.withResolvers<void>();
  const askOn = (): void => {
    get(`${server.address}/`, { agent }, (answer) => {
      answers += 1;
      answer.resume();
      answer.once('end', askOn);
    }).once('error', () => resolve());
  };
  askOn();
  await expect.poll(() => answers).toBeGreaterThan(10);

  await server.close();

  await refused;
});

it('lets a request that is under way have its answer', async () => {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  const handler: HttpHandler = async (event) => {
    ask();
    await answered;
    return OK(event);
  };
  const server = await startHttpServer(LISTEN, [{ prefix: '', handler }], DAY_MS);
  const request = fetch(server.address);
  await asked;

  const closed = server.close();
  answer();

  const { status, headers } = await request;
  expect([status, headers.get('connection')]).toEqual([200, 'close']);
  await closed;
});

it('ends although somebody never finishes a request', async () => {
  const server = await startHttpServer(LISTEN, [{ prefix: '', handler: OK }], 1_000);
  const socket = connect(Number(new URL(server.address).port), LISTEN.host);
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  // Answered, so that it is known to be looked at when the next one begins.
  socket.write(
    'GET / HTTP/1.1\r\nhost: here\r\n\r\nPOST / HTTP/1.1\r\nhost: here\r\ncontent-length: 9\r\n\r\nhal',
  );
  await once(socket, 'data');

  await server.close();
});
