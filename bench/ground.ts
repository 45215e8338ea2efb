import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { request } from 'undici';
import * as z from 'zod';
import { readConfig } from '../lib/host/config.ts';
import { FUNCTIONS, type FunctionName } from '../lib/host/identities.ts';
import { startOneProcess } from '../lib/host/local/one-process.ts';
import { startOpenBao } from '../lib/host/local/openbao.ts';
import { findOpenBao } from '../lib/host/local/openbao-binary.ts';
import { startPostgres } from '../lib/host/local/postgres.ts';
import { findPostgres } from '../lib/host/local/postgres-binaries.ts';
import { SAMPLE_SERVICE_ACCOUNT_NAMESPACE } from '../lib/host/local/sample-plan.ts';
import { setUpSample } from '../lib/host/local/sample-setup.ts';
import { startTokenReview } from '../lib/host/local/token-review.ts';
import { issueFunctionCredentials } from '../lib/host/setup/function-credentials.ts';
import { SecretsManager, type SecretsManagerOptions } from '../lib/secrets-manager/secrets-manager.ts';
import { createLogger, type Logger } from '../lib/telemetry/log.ts';
import { Secret } from '../lib/telemetry/secret.ts';
import { actingWith } from '../lib/vault/acting-with.ts';
import { appRoleAuth } from '../lib/vault/auth/approle.ts';
import type { AuthMethod } from '../lib/vault/auth/login.ts';
import { VaultClient } from '../lib/vault/client.ts';
import { createTransport } from '../lib/vault/transport.ts';

/** The consumer that asks: its policies allow it both what is shared and its database role. */
export const CONSUMER = 'api-gateway';
export const NAMESPACE = 'lotabots';
/** Secrets that are there, at `shared/bench-<n>`. */
export const SECRETS = 50;

/** Far apart, so that what is measured meets no scan; short enough for leases to be kept. */
const SCAN_INTERVAL_SECONDS = 600;
const LEASE_TTL_SECONDS = 3_600;
const READY_WITHIN_MS = 30_000;

/** A real OpenBao and PostgreSQL with the sample's mounts and roles, and Leasekeeper beside them in this process. */
export interface Ground {
  readonly vault: string;
  /** Where Leasekeeper answers HTTP. */
  readonly leasekeeper: string;
  /** Service account tokens of the consumer, no two alike. */
  jwts(count: number): Promise<readonly string[]>;
  /** What the consumer's service embeds. It logs in with a service account token. Closed with the ground. */
  secretsManager(options: SecretsManagerOptions): SecretsManager;
  /** Writes what `npm start` would, but for the last step: to nowhere. */
  readonly logger: Logger;
}

const loginAnswer = z.object({ auth: z.object({ client_token: z.string() }) });

/** Logs in at Vault as anyone would, with one bare request. */
export async function bareLogin(vault: string, jwt: string): Promise<string> {
  const answer = await request(`${vault}/v1/auth/kubernetes/login`, {
    method: 'POST',
    body: JSON.stringify({ role: CONSUMER, jwt }),
  });
  return loginAnswer.parse(await answer.body.json()).auth.client_token;
}

/** Reads a path of Vault with one bare request, and parses the answer. Throws when it is refused. */
export async function bareRead(vault: string, token: string, of: string): Promise<unknown> {
  const answer = await request(`${vault}/v1/${of}`, { headers: { 'x-vault-token': token } });
  const body = await answer.body.json();
  if (answer.statusCode !== 200) throw new Error(`${of} was answered ${answer.statusCode}`);
  return body;
}

/** Starts everything, lets `work` have it, and ends everything, also when that is aborted on the way. */
export async function withGround(
  signal: AbortSignal,
  work: (ground: Ground) => Promise<void>,
): Promise<void> {
  const closers: (() => Promise<unknown>)[] = [];
  try {
    const ground = await start(closers, signal);
    await work(ground);
  } finally {
    for (const close of closers.toReversed()) await close().catch((error: unknown) => console.error(error));
  }
}

async function start(closers: (() => Promise<unknown>)[], signal: AbortSignal): Promise<Ground> {
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-bench-'));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  // Run by root, PostgreSQL is another user, who must get to its folder.
  await chmod(folder, 0o711);
  const [openbao, postgres, kubernetes] = await startServers(folder, closers);
  signal.throwIfAborted();
  const client = new VaultClient({ transport: createTransport({ address: openbao.address }) });
  closers.push(() => client.close());
  const rootToken = new Secret(openbao.rootToken);
  const root = actingWith(client, rootToken);
  await setUpSample({
    client,
    rootToken,
    postgres: { ...postgres, password: new Secret(postgres.password) },
    tokenReviewUrl: kubernetes.url,
    databaseTtlSeconds: LEASE_TTL_SECONDS,
    databaseMaxTtlSeconds: 24 * LEASE_TTL_SECONDS,
    rotation: { every: '24h', grace: '1h', deadline: '2h' },
  });
  for (let n = 0; n < SECRETS; n += 1) {
    const body = { data: { api_key: `value-${n}`.padEnd(48, '.'), user: CONSUMER } };
    await root.request({
      method: 'POST',
      path: `${NAMESPACE}/shared/data/bench-${n}`,
      body,
      repeatable: true,
    });
  }
  signal.throwIfAborted();
  const identities = new Map<FunctionName, AuthMethod>();
  for (const name of FUNCTIONS) {
    const at = { authNamespace: '', mount: 'approle', name };
    identities.set(name, appRoleAuth(await issueFunctionCredentials(root, at)));
  }
  const logger = createLogger({ level: 'info', name: 'leasekeeper', destination: { write: () => {} } });
  const leasekeeper = await startLeasekeeper(openbao.address, identities, logger, closers);
  let signed = 0;
  const sign = async () => {
    // Signed within one second they differ in nothing but their life.
    signed += 1;
    const account = { namespace: SAMPLE_SERVICE_ACCOUNT_NAMESPACE, name: CONSUMER };
    return (await kubernetes.sign({ ...account, expiresInSeconds: 3_600 + signed })).expose();
  };
  const serviceAccountTokenFile = path.join(folder, 'consumer.jwt');
  await writeFile(serviceAccountTokenFile, await sign(), { mode: 0o600 });
  return {
    vault: openbao.address,
    leasekeeper,
    logger,
    jwts: (count) => Promise.all(Array.from({ length: count }, sign)),
    secretsManager: (options) => {
      const manager = new SecretsManager({
        env: {},
        address: openbao.address,
        namespace: NAMESPACE,
        role: CONSUMER,
        serviceAccountTokenFile,
        ...options,
      });
      closers.push(() => manager.cleanup());
      return manager;
    },
  };
}

async function startServers(folder: string, closers: (() => Promise<unknown>)[]) {
  const keep = <T extends { stop(): Promise<void> }>(server: T): T => {
    closers.push(() => server.stop());
    return server;
  };
  const [binary, binaries] = await Promise.all([findOpenBao(process.env), findPostgres(process.env)]);
  const at = (name: string) => ({ dataDir: path.join(folder, name) });
  const starting = [
    startOpenBao({ binary, ...at('openbao') }).then(keep),
    // The faster the database, the more of the whole is Leasekeeper's.
    startPostgres({ binaries, fsync: false, ...at('postgres') }).then(keep),
    startTokenReview(at('kubernetes')).then(keep),
  ] as const;
  // All three are waited for, so that one that fails leaves none of the others running unknown.
  await Promise.allSettled(starting);
  return Promise.all(starting);
}

/** Resolves when its first scan is done with, and the sample's two secrets have been rotated: nothing is due for the next ten minutes. */
async function startLeasekeeper(
  vault: string,
  identities: ReadonlyMap<FunctionName, AuthMethod>,
  logger: Logger,
  closers: (() => Promise<unknown>)[],
): Promise<string> {
  const ready = Promise.withResolvers<void>();
  let rotated = 0;
  const host = await startOneProcess({
    config: readConfig({
      VAULT_ADDR: vault,
      VAULT_NAMESPACE: NAMESPACE,
      LEASEKEEPER_AUTH: 'token',
      VAULT_TOKEN: 'not-used',
      LEASEKEEPER_SCAN_INTERVAL: String(SCAN_INTERVAL_SECONDS),
      LEASEKEEPER_CALLER_RATE: '100000',
      LEASEKEEPER_CALLER_BURST: '100000',
      LEASEKEEPER_LISTEN: '127.0.0.1:0',
    }),
    logger,
    identityOf: (name) => {
      const identity = identities.get(name);
      if (identity === undefined) throw new Error(`no identity was made for ${name}`);
      return identity;
    },
    onEvent: ({ type }) => {
      if (type === 'secret.rotated') rotated += 1;
      if (rotated === 2) ready.resolve();
    },
  });
  closers.push(() => host.close());
  const late = setTimeout(() => ready.reject(new Error('nothing was rotated')), READY_WITHIN_MS);
  await ready.promise.finally(() => clearTimeout(late));
  return host.address;
}
