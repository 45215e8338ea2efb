import { execFileSync } from 'node:child_process';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { afterEach } from 'vitest';

const running = new Set<{ server: Server; sockets: Set<Socket> }>();

/** A server of the kind notices are sent to, on a free loopback port until the test ends. */
export interface Receiver {
  readonly port: number;
  /** How many connections it was given so far. */
  connections(): number;
}

async function listen(server: Server): Promise<Receiver> {
  const sockets = new Set<Socket>();
  running.add({ server, sockets });
  let connections = 0;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, connections: () => connections };
}

export function receiveHttp(listener: RequestListener): Promise<Receiver> {
  return listen(createServer(listener));
}

export function receiveTcp(listener: (socket: Socket) => void): Promise<Receiver> {
  return listen(createTcpServer(listener));
}

export async function receiveHttps(listener: RequestListener): Promise<Receiver & { ca: string }> {
  const { key, cert } = selfSigned();
  const receiver = await listen(createSecureServer({ key, cert }, listener));
  return { ...receiver, ca: cert };
}

/** Made anew each time, so that no key lies in the repository. */
export function selfSigned(): { key: string; cert: string } {
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost';
  const name = ['-addext', 'subjectAltName=DNS:localhost,DNS:hooks.example.com'];
  const pem = execFileSync('openssl', [...request.split(' '), ...name, '-keyout', '-', '-out', '-'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const begin = pem.indexOf('-----BEGIN CERTIFICATE-----');
  return { key: pem.slice(0, begin), cert: pem.slice(begin) };
}

/** A port that nothing listens on. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer();
  const { port } = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

afterEach(async () => {
  for (const { server, sockets } of running) {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
  running.clear();
});
