import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startServer } from '../../lib/host/local/child-process.ts';
import { freePorts } from '../../lib/host/local/free-port.ts';
import { VaultClient } from '../../lib/vault/client.ts';
import { createTransport } from '../../lib/vault/transport.ts';
import { until } from './until.ts';

/** An OpenBao behind TLS, which asks its clients for certificates. It keeps nothing. */
export interface TlsServer extends AsyncDisposable {
  /** `https://127.0.0.1:<port>`. */
  readonly address: string;
  /** PEM of the authority of its certificate. */
  readonly ca: string;
  /** A file with the same. */
  readonly caFile: string;
  /** As its administrator. */
  request(method: 'POST' | 'PUT', path: string, body: object): Promise<unknown>;
}

/** Starts OpenBao's dev server with TLS. */
export async function startTlsServer(binary: string): Promise<TlsServer> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-tls-'));
  const rootToken = randomBytes(16).toString('hex');
  const [port = 0] = await freePorts(1);
  const child = await startServer({
    command: binary,
    args: [
      'server',
      '-dev-tls',
      '-dev-no-store-token',
      `-dev-tls-cert-dir=${folder}`,
      `-dev-root-token-id=${rootToken}`,
      `-dev-listen-address=127.0.0.1:${port}`,
    ],
    env: { HOME: folder },
    cwd: folder,
    logFile: path.join(folder, 'openbao.log'),
    stopSignal: 'SIGTERM',
    stopWithinMs: 15_000,
  });
  const end = async () => {
    await child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const address = `https://127.0.0.1:${port}`;
    const caFile = path.join(folder, 'vault-ca.pem');
    await until(() => readFile(caFile, 'utf8').then(Boolean, () => false));
    const ca = await readFile(caFile, 'utf8');
    const client = new VaultClient({ transport: createTransport({ address, ca }) });
    const request: TlsServer['request'] = async (method, at, body) =>
      (await client.requestWith(rootToken, { method, path: at, body, repeatable: true })).body;
    const isUp = () =>
      client.requestWith(rootToken, { method: 'GET', path: 'sys/mounts', repeatable: true }).then(
        () => true,
        () => false,
      );
    await until(isUp, 30_000);
    return {
      address,
      ca,
      caFile,
      request,
      [Symbol.asyncDispose]: async () => {
        await client.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}
