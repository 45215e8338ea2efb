import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Book } from '../../agenda/book.ts';
import { ROTATIONS } from '../../agenda/hint.ts';
import { codeOf } from '../../errors.ts';
import { ManagedSecrets } from '../../rotation/managed-secrets.ts';
import { createLogger } from '../../telemetry/log.ts';
import { Secret } from '../../telemetry/secret.ts';
import { actingWith } from '../../vault/acting-with.ts';
import { appRoleAuth } from '../../vault/auth/approle.ts';
import type { AuthMethod } from '../../vault/auth/login.ts';
import { VaultClient } from '../../vault/client.ts';
import { KvStore } from '../../vault/kv-store.ts';
import { createTransport } from '../../vault/transport.ts';
import { type Config, readConfig } from '../config.ts';
import { FUNCTIONS, type FunctionName } from '../identities.ts';
import { issueFunctionCredentials } from '../setup/function-credentials.ts';
import { DEFAULT_STATE } from '../setup/options.ts';
import { Account } from './account.ts';
import { startOneProcess } from './one-process.ts';
import { startOpenBao } from './openbao.ts';
import { findOpenBao } from './openbao-binary.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { findPostgres } from './postgres-binaries.ts';
import { makePrivateFolder, writePrivateFile } from './private-file.ts';
import { startConsumers } from './sample-consumers.ts';
import { SAMPLE_SERVICE_ACCOUNT_NAMESPACE } from './sample-plan.ts';
import { setUpSample } from './sample-setup.ts';
import { signingSecretOf, writeSampleSubscription } from './sample-subscription.ts';
import { startTokenReview, type TokenReviewServer } from './token-review.ts';
import { startWebhookReceiver } from './webhook-receiver.ts';

export interface StartOptions {
  /** Milliseconds to run for; without it, until Ctrl-C. */
  readonly forMs?: number;
  readonly json: boolean;
}

const DATA_FOLDER = '.leasekeeper';
const SCAN_INTERVAL_SECONDS = 5;
const CURRENT_WITHIN_MS = 30_000;
const CONSUMERS = ['inference-service', 'api-gateway'] as const;
type Consumer = (typeof CONSUMERS)[number];

/**
 * `npm start`: the whole system on servers of its own, with sample consumers at work. It never touches another Vault. Resolves to the
 * exit code: of a bounded run, 0 only when everything that must happen did.
 */
export async function runStart(options: StartOptions): Promise<number> {
  const account = new Account({
    json: options.json,
    write: (text) => process.stdout.write(text),
    isTerminal: process.stdout.isTTY === true && !options.json,
    now: Date.now,
  });
  const stopped = stopSignal();
  const closers: (() => Promise<void>)[] = [];
  let working = false;
  let started = Date.now();
  try {
    const begun = begin(account, closers, stopped);
    // Ctrl-C while the servers are being fetched or started ends what there is by then.
    const beginning = await Promise.race([begun, once(stopped, 'abort').then(() => undefined)]);
    if (beginning === undefined) await begun.catch(() => {});
    working = beginning !== undefined;
    started = Date.now();
    if (working) await waitForEnd(options, stopped);
  } finally {
    if (working && stopped.aborted) account.note('stopping; the next start goes on from here');
    await closeAll(closers, account);
  }
  if (!working) return 130;
  const ok = account.summary(Math.round((Date.now() - started) / 1_000));
  return options.forMs === undefined || ok ? 0 : 1;
}

function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = () => controller.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  return controller.signal;
}

async function waitForEnd(options: StartOptions, stopped: AbortSignal): Promise<void> {
  if (stopped.aborted) return;
  if (options.forMs === undefined) await once(stopped, 'abort');
  else await sleep(options.forMs, undefined, { signal: stopped }).catch(() => {});
}

/** In the opposite order of the start; one that fails does not keep the others from being ended. */
async function closeAll(closers: (() => Promise<void>)[], account: Account): Promise<void> {
  for (const close of closers.toReversed()) {
    await close().catch((error: unknown) => account.fault(codeOf(error), 'stopping'));
  }
}

async function begin(
  account: Account,
  closers: (() => Promise<void>)[],
  stopped: AbortSignal,
): Promise<'working'> {
  const report = (line: string) => account.note(line);
  if (process.env.VAULT_ADDR !== undefined || process.env.VAULT_TOKEN !== undefined) {
    report('VAULT_ADDR and VAULT_TOKEN are ignored here: this works only on servers that it starts itself');
  }
  const folder = path.resolve(DATA_FOLDER);
  await makePrivateFolder(folder);
  const keep = <T extends { stop(): Promise<void> }>(server: T): T => {
    closers.push(() => server.stop());
    return server;
  };
  const binaries = await Promise.all([findOpenBao(process.env, report), findPostgres(process.env, report)]);
  stopped.throwIfAborted();
  const starting = [
    startOpenBao({ binary: binaries[0], dataDir: path.join(folder, 'openbao'), report }).then(keep),
    startPostgres({ binaries: binaries[1], dataDir: path.join(folder, 'postgres'), report }).then(keep),
    startTokenReview({ dataDir: path.join(folder, 'kubernetes') }).then(keep),
  ] as const;
  // All three are waited for, so that one that fails leaves none of the others running unknown.
  await Promise.allSettled(starting);
  const [openbao, postgres, kubernetes] = await Promise.all(starting);
  const logger = createLogger({ level: 'warn', name: 'leasekeeper', destination: logOf(account) });
  const rootToken = new Secret(openbao.rootToken);
  const client = new VaultClient({ transport: createTransport({ address: openbao.address }) });
  closers.push(() => client.close());
  const root = actingWith(client, rootToken);
  const store = new KvStore(root, DEFAULT_STATE);

  const signingSecret = await signingSecretOf(store);
  const receiver = keep(await startWebhookReceiver(signingSecret, (notice) => account.notice(notice)));
  const sample = await setUpSample({
    client,
    rootToken,
    postgres: { ...postgres, password: new Secret(postgres.password) },
    tokenReviewUrl: kubernetes.url,
    writeSubscriptions: (state) => writeSampleSubscription(state, receiver.url, signingSecret),
  });
  report(
    `Vault is prepared: ${sample.steps.length} things checked, ${sample.steps.filter(({ outcome }) => outcome === 'made').length} made`,
  );
  const identities = new Map<FunctionName, AuthMethod>();
  for (const name of FUNCTIONS) identities.set(name, await identityFor(root, name));
  const host = await startOneProcess({
    config: configFor(openbao.address),
    identityOf: (name) => identities.get(name) ?? unknownFunction(name),
    logger,
    onEvent: (event) => account.event(event),
    onScan: (scan) => account.scanned(scan),
    onRenewed: (lease) => account.renewed(lease),
  });
  closers.push(() => host.close());
  // What fell due while it was down comes first: a generation that has died meanwhile is no use to anybody.
  if (!(await untilCurrent(store, () => client.now(), stopped)))
    report('the managed secrets are not current yet');
  const consumers = await startSample(account, {
    openbao: openbao.address,
    host: host.address,
    postgres,
    kubernetes,
    folder,
  });
  closers.push(() => consumers.stop());
  report(
    `OpenBao at ${openbao.address}, Leasekeeper at ${host.address} (/healthz, /metrics, /v1); Ctrl-C ends everything`,
  );
  return 'working';
}

/** Waits until each managed secret has a generation that is not due. False when that takes too long. */
async function untilCurrent(store: KvStore, now: () => number, stopped: AbortSignal): Promise<boolean> {
  const book = new Book({ kind: ROTATIONS, store, now, random: Math.random });
  const secrets = new ManagedSecrets({ store, book, now });
  const isCurrent = async (name: string) => {
    const state = (await secrets.read(name))?.state;
    return state?.cur !== undefined && state.phase === 'idle' && (state.due ?? 0) > now();
  };
  const end = now() + CURRENT_WITHIN_MS;
  while (now() < end && !stopped.aborted) {
    const current = await Promise.all((await secrets.names()).map(isCurrent));
    if (current.every(Boolean)) return true;
    await sleep(200, undefined, { signal: stopped }).catch(() => {});
  }
  return false;
}

async function identityFor(root: ReturnType<typeof actingWith>, name: FunctionName): Promise<AuthMethod> {
  return appRoleAuth(await issueFunctionCredentials(root, { authNamespace: '', mount: 'approle', name }));
}

function unknownFunction(name: string): never {
  throw new Error(`No identity was made for ${name}.`);
}

/** The configuration that `leasekeeper serve` would read, for the local servers. */
function configFor(vaultAddress: string): Config {
  return readConfig({
    VAULT_ADDR: vaultAddress,
    LEASEKEEPER_AUTH: 'token',
    VAULT_TOKEN: 'not-used',
    LEASEKEEPER_SCAN_INTERVAL: String(SCAN_INTERVAL_SECONDS),
    LEASEKEEPER_LISTEN: '127.0.0.1:0',
    LEASEKEEPER_REPLACE_GRACE: '10',
    LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.0/8',
  });
}

interface SampleServers {
  readonly openbao: string;
  readonly host: string;
  readonly postgres: PostgresServer;
  readonly kubernetes: TokenReviewServer;
  readonly folder: string;
}

async function startSample(account: Account, servers: SampleServers) {
  const { host, port, database } = servers.postgres;
  const tokenOf = (name: Consumer) =>
    servers.kubernetes.sign({ namespace: SAMPLE_SERVICE_ACCOUNT_NAMESPACE, name });
  const fileOf = (name: Consumer) => path.join(servers.folder, 'service-accounts', `${name}.jwt`);
  await makePrivateFolder(path.join(servers.folder, 'service-accounts'));
  for (const name of CONSUMERS) await writePrivateFile(fileOf(name), (await tokenOf(name)).expose());
  return startConsumers({
    vaultAddress: servers.openbao,
    namespace: 'lotabots',
    leasekeeper: servers.host,
    database: { host, port, database },
    tokenFiles: { 'inference-service': fileOf('inference-service'), 'api-gateway': fileOf('api-gateway') },
    tokenOf,
    onEvent: (event) => account.consumer(event),
    onFault: (error, consumer) => account.fault(codeOf(error), consumer),
  });
}

/** Warnings and errors of the functions appear in the account as faults, by their codes. */
function logOf(account: Account): NonNullable<Parameters<typeof createLogger>[0]['destination']> {
  return {
    write: (line) => {
      const entry: unknown = JSON.parse(line);
      if (typeof entry !== 'object' || entry === null || 'audit' in entry) return;
      const code = 'err' in entry ? codeOf(Object.assign(new Error(), entry.err)) : 'warning';
      const where = 'function' in entry ? String(entry.function) : 'host';
      account.fault(code, 'msg' in entry ? `${where}, ${String(entry.msg)}` : where);
    },
  };
}
