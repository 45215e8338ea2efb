import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { startServer } from '../../lib/host/local/child-process.ts';
import { freePorts } from '../../lib/host/local/free-port.ts';
import { openBaoConfig } from '../../lib/host/local/openbao-config.ts';
import { until } from './until.ts';

const configSchema = z.looseObject({ storage: z.object({ raft: z.looseObject({}) }) });

/** A second node, which has joined another and stands by. */
export interface Standby {
  readonly address: string;
  stop(): Promise<void>;
}

/** Starts a node with the same seal key as the one at `leader`, has it join, and waits until it stands by with all there is. */
export async function startStandby(options: {
  readonly binary: string;
  readonly leader: string;
  readonly sealKeyFile: string;
}): Promise<Standby> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-standby-'));
  const raftFolder = path.join(folder, 'raft');
  await mkdir(raftFolder, { mode: 0o700 });
  const [port = 0, clusterPort = 0] = await freePorts(2);
  const { sealKeyFile } = options;
  const config = configSchema.parse(
    JSON.parse(openBaoConfig({ raftFolder, sealKeyFile, port, clusterPort })),
  );
  const raft = {
    ...config.storage.raft,
    node_id: 'standby',
    retry_join: [{ leader_api_addr: options.leader }],
  };
  const file = path.join(folder, 'openbao.json');
  await writeFile(file, JSON.stringify({ ...config, storage: { raft } }), { mode: 0o600 });
  const child = await startServer({
    command: options.binary,
    args: ['server', `-config=${file}`],
    env: { HOME: folder },
    logFile: path.join(folder, 'openbao.log'),
    stopSignal: 'SIGTERM',
    stopWithinMs: 15_000,
  });
  const address = `http://127.0.0.1:${port}`;
  const stop = async () => {
    await child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await until(async () => (await health(address)) === 429, 30_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, stop };
}

/** 429: it stands by. */
async function health(address: string): Promise<number> {
  return fetch(`${address}/v1/sys/health`).then(
    ({ status }) => status,
    () => 0,
  );
}
