import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Book } from '../lib/agenda/book.ts';
import { DELIVERIES, type Hint } from '../lib/agenda/hint.ts';
import { startOpenBao } from '../lib/host/local/openbao.ts';
import { findOpenBao } from '../lib/host/local/openbao-binary.ts';
import { Secret } from '../lib/telemetry/secret.ts';
import { actingWith } from '../lib/vault/acting-with.ts';
import { VaultClient } from '../lib/vault/client.ts';
import { KvStore } from '../lib/vault/kv-store.ts';
import { createTransport } from '../lib/vault/transport.ts';

/** A state mount in an OpenBao that was started for the benchmark, and how often Vault was asked. */
export interface BenchState {
  readonly store: KvStore;
  readonly deliveries: Book<Hint>;
  readonly now: () => number;
  requests(): number;
}

/** Starts an OpenBao, lets `work` have as many state mounts as it likes, and ends it. */
export async function withOpenBao(work: (state: () => Promise<BenchState>) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-bench-'));
  const binary = await findOpenBao(process.env);
  const server = await startOpenBao({ binary, dataDir: path.join(folder, 'openbao') });
  let requests = 0;
  const client = new VaultClient({
    transport: createTransport({ address: server.address, connections: 64 }),
    onExchange: () => {
      requests += 1;
    },
  });
  const vault = actingWith(client, new Secret(server.rootToken));
  try {
    await work(async () => {
      const mount = `state-${randomUUID()}`;
      const body = { type: 'kv', options: { version: '2' } };
      await vault.request({ method: 'POST', path: `sys/mounts/${mount}`, body, repeatable: false });
      const store = new KvStore(vault, mount);
      const now = () => vault.now();
      const deliveries = new Book({ kind: DELIVERIES, store, now, random: Math.random });
      await deliveries.create(1);
      const before = requests;
      return { store, deliveries, now, requests: () => requests - before };
    });
  } finally {
    await client.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}
