import { Socket } from 'node:net';

/**
 * Runs `work` with a socket that does not outlive it, and that is destroyed when the work has taken `timeoutMs`: a database client that
 * waits for a silent server then fails, whatever it waits for (name, connection, TLS, login, answer, goodbye).
 */
export async function withBoundedSocket<Result>(
  timeoutMs: number,
  work: (socket: Socket) => Promise<Result>,
): Promise<Result> {
  const socket = new Socket();
  // Clients listen themselves once they use it; before that an unheard error would end the process.
  socket.on('error', () => {});
  const deadline = setTimeout(
    () => socket.destroy(new Error('The server did not answer in time.')),
    timeoutMs,
  );
  try {
    return await work(socket);
  } finally {
    clearTimeout(deadline);
    socket.destroy();
  }
}
