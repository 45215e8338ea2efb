import { setTimeout as sleep } from 'node:timers/promises';
import { type Caller, Callers } from '../access/callers.ts';
import type { IssueDependencies } from '../access/issue.ts';
import type { ReadDependencies } from '../access/read.ts';
import { Book, type BookKind } from '../agenda/book.ts';
import { DELIVERIES, type Hint, ROTATIONS } from '../agenda/hint.ts';
import type { AgendaEntry } from '../agenda/shard.ts';
import type { Bus } from '../bus/bus.ts';
import { codeOf } from '../errors.ts';
import type { LeasePolicy } from '../leases/decide.ts';
import { type CareEntry, LEASES } from '../leases/entry.ts';
import type { RenewDependencies } from '../leases/renew.ts';
import type { ScanDependencies } from '../leases/scan.ts';
import { createAddressGuard } from '../notices/address-guard.ts';
import type { DeliverDependencies } from '../notices/deliver.ts';
import { NoticeStore } from '../notices/notice-store.ts';
import { type NotifyDependencies, openNotify } from '../notices/notify.ts';
import { createSender } from '../notices/sender.ts';
import { gatherEvidence } from '../rotation/evidence/evidence.ts';
import { ManagedSecrets } from '../rotation/managed-secrets.ts';
import { runProbe } from '../rotation/probes/probe.ts';
import type { RotateDependencies } from '../rotation/rotate.ts';
import { createHttpSender } from '../rotation/rotators/http/send-request.ts';
import { openRotators } from '../rotation/rotators/kinds.ts';
import type { Audit } from '../telemetry/audit.ts';
import type { Logger } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AuthMethod } from '../vault/auth/login.ts';
import type { VaultClient } from '../vault/client.ts';
import { isVaultError } from '../vault/errors.ts';
import { KvStore } from '../vault/kv-store.ts';
import { Leases } from '../vault/leases.ts';
import { type Mount, Mounts } from '../vault/mounts.ts';
import { VaultSession } from '../vault/session.ts';
import type { Config } from './config.ts';
import type { FunctionName } from './identities.ts';

/** What the functions of one host share. */
export interface Parts {
  readonly config: Config;
  readonly client: VaultClient;
  readonly bus: Bus;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly audit: Audit;
  readonly identityOf: (name: FunctionName) => AuthMethod;
  readonly random: () => number;
  /** For people who watch. */
  readonly onRenewed?: RenewDependencies['onRenewed'];
  readonly onDelivered?: DeliverDependencies['onDelivered'];
}

/** A function's rooms, and what must be closed with it. */
export interface Wired {
  readonly session: VaultSession;
}

/** The only place where the rooms meet: for each function, its dependencies with an identity of its own in Vault. */
export function wireScan(parts: Parts): ScanDependencies & Wired {
  const base = baseOf(parts, 'scan');
  return {
    ...base,
    bus: parts.bus,
    leases: bookOf(base, LEASES),
    rotations: bookOf(base, ROTATIONS),
    deliveries: bookOf(base, DELIVERIES),
  };
}

export function wireRenew(parts: Parts): RenewDependencies & Wired {
  const base = baseOf(parts, 'renew');
  return {
    ...base,
    bus: parts.bus,
    vault: base.session,
    book: bookOf(base, LEASES, aliveIn(base.session)),
    authNamespace: parts.config.authNamespace,
    ...(parts.onRenewed === undefined ? {} : { onRenewed: parts.onRenewed }),
  };
}

export function wireRotate(parts: Parts): RotateDependencies & Wired {
  const base = baseOf(parts, 'rotate');
  const { namespace, authNamespace } = parts.config;
  const book = bookOf(base, ROTATIONS);
  const mounts = new Mounts(base.session, authNamespace);
  return {
    ...base,
    bus: parts.bus,
    vault: base.session,
    book,
    namespace,
    secrets: new ManagedSecrets({ store: base.store, book, now: base.now }),
    mounts,
    runProbe,
    gatherEvidence,
    rotatorOf: openRotators({
      ...base,
      client: parts.client,
      vault: base.session,
      mounts,
      http: createHttpSender({ now: base.now }),
      leases: bookOf(base, LEASES),
      namespace,
      authNamespace,
    }),
  };
}

export function wireNotify(parts: Parts): NotifyDependencies & Wired {
  const base = baseOf(parts, 'notify');
  const notify = openNotify({
    ...base,
    bus: parts.bus,
    notices: new NoticeStore(base.store),
    book: bookOf(base, DELIVERIES),
    sender: createSender({
      allow: parts.config.noticeAllow,
      ...(parts.config.noticeCa !== undefined && { ca: parts.config.noticeCa }),
    }),
    sleep: (ms) => sleep(ms),
    ...(parts.onDelivered === undefined ? {} : { onDelivered: parts.onDelivered }),
  });
  return { ...notify, session: base.session };
}

export interface FetchDependencies extends IssueDependencies, ReadDependencies, Wired {
  readonly callers: Callers;
  readonly metrics: Metrics;
  readonly audit: Audit;
  readonly logger: Logger;
}

export function wireFetch(parts: Omit<Parts, 'bus'>): FetchDependencies {
  const base = baseOf(parts, 'fetch');
  const known: Mount[] = [];
  const { namespace, authNamespace, replaceGraceMs } = parts.config;
  return {
    ...base,
    vault: base.session,
    book: bookOf(base, LEASES),
    namespace,
    authNamespace,
    replaceGraceMs,
    callers: callersOf(parts),
    mountsOf: (caller) => new Mounts(caller.vault, authNamespace, known),
    audit: parts.audit,
  };
}

export interface ManageDependencies extends Wired {
  readonly callers: Callers;
  readonly audit: Audit;
  readonly bus: Bus;
  readonly now: () => number;
  readonly onError: (error: unknown, subject: string) => void;
  /** The documents, read and written as the caller. */
  readonly secretsOf: (caller: Caller) => ManagedSecrets;
  /** The state mount, as the caller. */
  readonly storeOf: (caller: Caller) => KvStore;
  readonly shardOfSecret: (name: string) => Promise<number>;
  /** With `manage`'s own identity: has the next scan, too, send a worker to a managed secret. */
  readonly postHint: (name: string) => Promise<void>;
  /** Subscriptions, read and written as the caller. */
  readonly noticesOf: (caller: Caller) => NoticeStore;
  /** Dispatches, with `manage`'s own identity. */
  readonly ownNotices: NoticeStore;
  /** The book `deliveries`, with `manage`'s own identity. */
  readonly deliveries: Book<Hint>;
  /** Throws `endpoint_refused`. */
  readonly checkUrl: (url: string) => void;
}

export function wireManage(parts: Parts): ManageDependencies {
  const base = baseOf(parts, 'manage');
  const own = bookOf(base, ROTATIONS);
  const guard = createAddressGuard(parts.config.noticeAllow);
  const storeOf = (caller: Caller) => new KvStore(caller.vault, parts.config.stateMount);
  return {
    ...base,
    bus: parts.bus,
    callers: callersOf(parts),
    audit: parts.audit,
    shardOfSecret: (name) => own.shardOf(name),
    // For version 1: it says nothing of the document that its worker does not find out.
    postHint: (name) => own.add({ id: name, due: base.now(), for: 1 }),
    storeOf,
    noticesOf: (caller) => new NoticeStore(storeOf(caller)),
    ownNotices: new NoticeStore(base.store),
    deliveries: bookOf(base, DELIVERIES),
    checkUrl: (url) => void guard.checkUrl(url),
    secretsOf: (caller) => {
      const store = storeOf(caller);
      return new ManagedSecrets({ store, book: bookOf({ ...base, store }, ROTATIONS), now: base.now });
    },
  };
}

function callersOf(parts: Omit<Parts, 'bus'>): Callers {
  return new Callers({
    client: parts.client,
    authNamespace: parts.config.authNamespace,
    mounts: parts.config.callerMounts,
    rate: parts.config.callerRate,
    metrics: parts.metrics,
  });
}

export function policyOf(config: Config): LeasePolicy {
  return { scanIntervalMs: config.scanIntervalMs, lookAheadMs: config.lookAheadMs };
}

function baseOf(parts: Omit<Parts, 'bus'>, name: FunctionName) {
  const { client, config, metrics, random } = parts;
  const logger = parts.logger.child({ function: name });
  const session = new VaultSession({
    client,
    method: parts.identityOf(name),
    authNamespace: config.authNamespace,
    onAuthFailure: (error, method) =>
      metrics.increment('vault_auth_failures_total', { method, reason: codeOf(error) }),
  });
  return {
    session,
    store: new KvStore(session, config.stateMount),
    policy: policyOf(config),
    metrics,
    logger,
    random,
    now: () => client.now(),
    onError: (error: unknown, subject: string) => logger.error({ err: error, subject }, 'work failed'),
  };
}

function bookOf<E extends AgendaEntry>(
  base: Pick<ReturnType<typeof baseOf>, 'store' | 'now' | 'random' | 'logger' | 'metrics'>,
  kind: BookKind<E>,
  isAlive?: (entry: E) => Promise<boolean>,
): Book<E> {
  return new Book<E>({
    kind,
    store: base.store,
    now: base.now,
    random: base.random,
    onTrouble: (trouble) => {
      base.logger.error({ book: kind.name, ...trouble }, 'the agenda needs a person');
      base.metrics.increment('leasekeeper_agenda_troubles_total', { book: kind.name, kind: trouble.kind });
    },
    ...(isAlive === undefined ? {} : { isAlive }),
  });
}

/** Whether a lease whose message is very old still exists. A token's own end is found out by renewing it. */
function aliveIn(session: VaultSession): (entry: CareEntry) => Promise<boolean> {
  return async (entry) => {
    if (entry.kind === 'token') return true;
    try {
      await new Leases(session, entry.ns).lookup(entry.id);
      return true;
    } catch (error) {
      if (isVaultError(error, 'vault_lease_not_found')) return false;
      throw error;
    }
  };
}
