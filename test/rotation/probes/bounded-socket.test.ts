import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { withBoundedSocket } from '../../../lib/rotation/probes/bounded-socket.ts';
import { silentPort } from './local-servers.ts';

it('ends a socket that nobody listens to yet, without ending the process', async () => {
  const ended = await withBoundedSocket(1, async (socket) => {
    while (!socket.closed) await sleep(1);
    return socket;
  });
  expect(ended.errored?.message).toBe('The server did not answer in time.');
});

it.each<[string, (socket: Socket) => Promise<void>]>([
  ['is done', async () => {}],
  ['has failed', () => Promise.reject(new Error('no'))],
])('ends it when the work %s', async (_, outcome) => {
  const port = await silentPort();
  const sockets: Socket[] = [];
  await withBoundedSocket(60_000, async (socket) => {
    sockets.push(socket);
    await once(socket.connect(port, '127.0.0.1'), 'connect');
    await outcome(socket);
  }).catch(() => {});
  expect(sockets.map(({ destroyed, errored }) => ({ destroyed, errored }))).toEqual([
    { destroyed: true, errored: null },
  ]);
});
