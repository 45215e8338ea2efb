import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type OpenBaoServer, startOpenBao } from '../../lib/host/local/openbao.ts';
import { AdminError, adminOf } from './admin.ts';

/** An OpenBao that one test has for itself, so that it may be sealed and stopped. */
export interface OwnServer {
  /** As it runs now: another start may bring another address. */
  readonly current: () => OpenBaoServer;
  /** With it, a second node may join. */
  readonly sealKeyFile: string;
  /** Seals it. In its first seconds it may unseal by itself once more: a test that needs it sealed then seals it again. */
  seal(): Promise<void>;
  /** Ends it and starts it again on the same data; it unseals by itself. */
  restart(): Promise<OpenBaoServer>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

export async function startOwnServer(binary: string): Promise<OwnServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-own-'));
  const start = () => startOpenBao({ binary, dataDir: path.join(folder, 'openbao') });
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
