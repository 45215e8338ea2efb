import { once } from 'node:events';
import type { Server } from 'node:http';

/** A server that listens on a free port of this machine until it is disposed of. */
export interface ListeningServer extends AsyncDisposable {
  readonly port: number;
}

/** Has a server listen on 127.0.0.1. */
export async function listening(server: Server): Promise<ListeningServer> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.');
  return {
    port: address.port,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
