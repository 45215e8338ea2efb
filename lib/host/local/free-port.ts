import { createServer } from 'node:net';
import { LocalServerError } from './server-error.ts';

/**
 * Free TCP ports on 127.0.0.1, `count` different ones. A preferred port comes first if it is free, so that a server
 * can come back where it was. Another process may take a port before it is used: the caller tries again with others.
 */
export async function freePorts(count: number, preferred: readonly number[] = []): Promise<number[]> {
  const held = [];
  try {
    for (const port of preferred) {
      const server = await listen(port).catch(() => undefined);
      if (server) held.push(server);
    }
    while (held.length < count) held.push(await listen(0));
    return held.slice(0, count).map((server) => server.port);
  } finally {
    await Promise.all(held.map((server) => server.close()));
  }
}

function listen(port: number): Promise<{ port: number; close(): Promise<void> }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ port: number; close(): Promise<void> }>();
  const server = createServer();
  server.once('error', reject);
  server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
    const address = server.address();
    if (address === null || typeof address === 'string') {
      reject(new LocalServerError('server_start_failed', 'The system gave no TCP port on 127.0.0.1.'));
      return;
    }
    const close = () => new Promise<void>((done) => server.close(() => done()));
    resolve({ port: address.port, close });
  });
  return promise;
}
