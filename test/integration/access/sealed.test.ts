import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, inject, it, onTestFinished } from 'vitest';
import { Book } from '../../../lib/agenda/book.ts';
import { DELIVERIES, ROTATIONS } from '../../../lib/agenda/hint.ts';
import { startServer } from '../../../lib/host/local/child-process.ts';
import { freePorts } from '../../../lib/host/local/free-port.ts';
import { startOneProcess } from '../../../lib/host/local/one-process.ts';
import { LEASES } from '../../../lib/leases/entry.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { KvStore } from '../../../lib/vault/kv-store.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { adminOf } from '../../support/admin.ts';
import { hostOn } from '../../support/host-on.ts';

const ROOT = 'root-of-a-server-of-its-own';

/** An OpenBao that stays sealed until it gets its key: the local one unseals itself. */
async function startShamirSealed(): Promise<{ address: string; unsealKey: string }> {
  const cwd = await mkdtemp(path.join(tmpdir(), 'leasekeeper-sealed-'));
  onTestFinished(() => rm(cwd, { recursive: true }));
  const [port = 0] = await freePorts(1);
  const logFile = path.join(cwd, 'openbao.log');
  const child = await startServer({
    command: inject('binaries').openbao,
    args: [
      'server',
      '-dev',
      `-dev-root-token-id=${ROOT}`,
      `-dev-listen-address=127.0.0.1:${port}`,
      '-dev-no-store-token',
    ],
    env: { HOME: cwd },
    cwd,
    logFile,
    stopSignal: 'SIGTERM',
    stopWithinMs: 15_000,
  });
  onTestFinished(() => child.stop());
  const key = async () => /^Unseal Key: (\S+)$/m.exec(await readFile(logFile, 'utf8'))?.[1];
  await expect.poll(key, { timeout: 20_000 }).toBeDefined();
  return { address: `http://127.0.0.1:${port}`, unsealKey: (await key()) ?? '' };
}

it('a sealed Vault is told as such, with a time to come back; once it is unsealed all goes on', async () => {
  const rootToken = ROOT;
  const { address, unsealKey } = await startShamirSealed();
  const { request } = adminOf({ address, rootToken });
  await request('POST', 'sys/mounts/ns/app', { type: 'kv', options: { version: '2' } });
  await request('POST', 'sys/mounts/leasekeeper', { type: 'kv', options: { version: '2' } });
  await request('POST', 'ns/app/data/static', { data: { word: 'plain' } });
  await createBooks(address, rootToken);
  const host = await startOneProcess({
    ...hostOn({ address, rootToken, namespace: 'ns' }, { LEASEKEEPER_SCAN_INTERVAL: '0.2' }),
    onScan: () => {},
  });
  onTestFinished(() => host.close());
  const read = () =>
    fetch(`${host.address}/v1/secrets/app/static`, { headers: { 'x-vault-token': rootToken } });
  const health = async () => {
    const answer = await fetch(`${host.address}/healthz`);
    return { status: answer.status, body: await answer.json() };
  };
  expect((await read()).status).toBe(200);
  await expect.poll(health).toMatchObject({ status: 200 });

  await request('PUT', 'sys/seal');

  const refused = await read();
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await refused.json()).toMatchObject({ code: 'vault_sealed', hint: expect.any(String) });
  // A scan that was under way when it was sealed may wait for its answer until it times out.
  await expect.poll(health, { timeout: 40_000 }).toMatchObject({ status: 503, body: { status: 'failing' } });
  // Nothing is better for a restart, or for callers who are told nothing.
  for (const probe of ['livez', 'readyz']) expect((await fetch(`${host.address}/${probe}`)).status).toBe(200);

  await request('PUT', 'sys/unseal', { key: unsealKey });
  await expect.poll(async () => (await read()).status, { timeout: 20_000 }).toBe(200);
  await expect.poll(health, { timeout: 40_000 }).toMatchObject({ status: 200 });
}, 120_000);

async function createBooks(address: string, rootToken: string): Promise<void> {
  const client = new VaultClient({ transport: createTransport({ address }) });
  const store = new KvStore(actingWith(client, new Secret(rootToken)), 'leasekeeper');
  const options = { store, now: Date.now, random: Math.random };
  await new Book({ ...options, kind: LEASES }).create(1);
  await new Book({ ...options, kind: ROTATIONS }).create(1);
  await new Book({ ...options, kind: DELIVERIES }).create(1);
  await client.close();
}
