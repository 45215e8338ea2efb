import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { type HttpHandler, startHttpServer } from '../../../lib/host/local/http-server.ts';

const LISTEN = { host: '127.0.0.1', port: 0 };
const DAY_MS = 86_400_000;
const OK: HttpHandler = async () => ({ statusCode: 200, body: 'ok' });

/** A server with one request under way, which is answered when `answer` is called. Every other is answered at once. */
async function startBusy() {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
  const handler: HttpHandler = async (event) => {
    ask();
    await answered;
    return OK(event);
  };
  return { server: await startHttpServer(LISTEN, [{ prefix: '', handler }], DAY_MS), asked, answer };
}

it('ends although a proxy keeps its connection and always has one more request', async () => {
  const { server, asked, answer } = await startBusy();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const { promise: refused, resolve } = Promise.withResolvers<void>();
  const askOn = (): void => {
    get(`${server.address}/`, { agent }, (answered) => {
      answered.resume();
      answered.once('end', askOn);
    }).once('error', () => resolve());
  };
  askOn();
  await asked;

  const closed = server.close();
  answer();

  await closed;
  await refused;
});

it('lets a request that is under way have its answer', async () => {
  const { server, asked, answer } = await startBusy();
  const request = fetch(server.address);
  await asked;

  const closed = server.close();
  answer();

  expect((await request).status).toBe(200);
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
