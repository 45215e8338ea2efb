import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type OpenBaoServer, startOpenBao } from '../../lib/host/local/openbao.ts';
import { AdminError, adminOf } from './admin.ts';
import { until } from './until.ts';

/** An OpenBao that one test has for itself, so that it may be sealed and stopped. */
export interface OwnServer {
  /** As it runs now: another start may bring another address. */
  readonly current: () => OpenBaoServer;
  /** With it, a second node may join. */
  readonly sealKeyFile: string;
  /** Seals it, and waits until it says that it is; it stays so until `restart`. */
  seal(): Promise<void>;
  /** Ends it by SIGKILL, whatever it is doing. */
  kill(): Promise<void>;
  /** Ends it if it runs, and starts it again on the same data; it unseals by itself. */
  restart(): Promise<OpenBaoServer>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

export async function startOwnServer(binary: string): Promise<OwnServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-own-'));
  const start = () => startOpenBao({ binary, dataDir: path.join(folder, 'openbao') });
  // A server that starts without data tries to unseal itself every 5 s until a try succeeds (OpenBao's command/server.go, runUnseal).
  // One of these tries is still to come after it was initialised, and would undo the seal of a test. With data the first try is the last.
  await (await start()).stop();
  let server = await start();
  return {
    current: () => server,
    sealKeyFile: path.join(folder, 'openbao', 'seal.key'),
    seal: async () => {
      try {
        await adminOf(server).request('PUT', 'sys/seal');
      } catch (error) {
        if (!(error instanceof AdminError)) throw error; // It is sealed already.
      }
      await until(() => isSealed(server));
    },
    kill: async () => {
      process.kill(server.pid, 'SIGKILL');
      await server.stop();
    },
    restart: async () => {
      await server.stop();
      server = await start();
      return server;
    },
    stop: async () => {
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function isSealed({ address }: OpenBaoServer): Promise<boolean> {
  const answer = await fetch(`${address}/v1/sys/health`);
  await answer.body?.cancel();
  return answer.status === 503;
}
