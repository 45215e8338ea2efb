import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Stands between two programs and lets a test take the way away. */
export interface TcpGate {
  readonly port: number;
  /** Breaks every connection, and refuses new ones. */
  shut(): void;
  open(): void;
  close(): Promise<void>;
}

/** A gate, open at first, before a server. */
export async function startTcpGate(target: {
  readonly host: string;
  readonly port: number;
}): Promise<TcpGate> {
  const sockets = new Set<Socket>();
  let isOpen = true;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    keep(near);
    if (!isOpen) {
      near.destroy();
      return;
    }
    const far = connect(target.port, target.host);
    keep(far);
    near.pipe(far).pipe(near);
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  const shut = () => {
    isOpen = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : 0,
    shut,
    open: () => {
      isOpen = true;
    },
    close: async () => {
      shut();
      server.close();
      await once(server, 'close');
    },
  };
}
