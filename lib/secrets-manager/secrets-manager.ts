import { codeOf } from '../errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createPrometheusMetrics, type PrometheusMetrics } from '../telemetry/prometheus-metrics.ts';
import { Secret } from '../telemetry/secret.ts';
import { joinPath } from '../vault/addressing.ts';
import type { Served } from './access-log.ts';
import { type Assembled, assemble, type SecretsManagerParts } from './assemble.ts';
import {
  type Configuration,
  configurationOf,
  type Environment,
  type SecretsManagerSettings,
} from './configuration.ts';
import type { HeldAnswer } from './dynamic-secrets.ts';
import type { SecretsManagerEventName, SecretsManagerHandler } from './events.ts';
import { type HealthFacts, healthOf, type SecretsManagerHealth } from './health.ts';
import { endOf } from './lease-decision.ts';
import { createNoticeReceiver, type NoticeReceiver, type NoticeReceiverOptions } from './notice-receiver.ts';
import {
  acknowledgeNotConfigured,
  assertPath,
  cleanupTooSlow,
  managerClosed,
  notReady,
  versionAmbiguous,
} from './refusals.ts';
import type {
  DynamicSecret,
  GetDynamicSecretOptions,
  GetSecretOptions,
  InitOptions,
  SecretGenerations,
  StaticSecret,
} from './secret-types.ts';
import type { StaticAnswer } from './static-secrets.ts';
import { untilAborted, waitAtMost } from './waiting.ts';

/** Settings, and the parts that may be replaced. */
export interface SecretsManagerOptions extends SecretsManagerSettings, SecretsManagerParts {
  /** Where unset settings are looked up; the process's environment when left out. */
  readonly env?: Environment;
  /** Where to count; a Prometheus registry of its own when left out. */
  readonly metrics?: Metrics | PrometheusMetrics;
}

/** An answer to a caller of `getDynamicSecret`, with what its audit line needs. */
interface DynamicAnswer {
  readonly secret: DynamicSecret;
  readonly served: Served;
  readonly leaseId?: string | undefined;
  readonly vaultRequestId: string;
}

/**
 * The secrets of one service. Logs in when first asked, keeps static secrets for a time and leases renewed for as long as it lives,
 * and leaves nothing behind:
 *
 * ```ts
 * await using secrets = new SecretsManager();
 * const apiKey = await secrets.getSecret('nvidia/api-key', { field: 'key' });
 * const { data } = await secrets.getDynamicSecret('database/creds/api-gateway');
 * connect({ user: data.get('username'), password: data.get('password') });
 * ```
 *
 * Its timers do not keep a process alive, and nothing depends on their being on time: every call looks at the clock first. Methods throw
 * VaultError (`vault_denied`, `vault_not_found`, `vault_unreachable`, …), `service_account_token_unreadable` from a login,
 * `secret_path_invalid`, and after `cleanup` `secrets_manager_closed`.
 */
export class SecretsManager implements AsyncDisposable {
  readonly #configuration: Configuration;
  readonly #metrics: Metrics | PrometheusMetrics;
  readonly #parts: Assembled;
  readonly #now: () => number;
  #cleanup: Promise<void> | undefined;

  /** Throws `secrets_manager_configuration_invalid`. Sends nothing. */
  constructor(options: SecretsManagerOptions = {}) {
    const { env, metrics, auth, audit, retry, now, random, transport, ...settings } = options;
    this.#configuration = configurationOf(settings, env);
    this.#now = now ?? Date.now;
    this.#metrics = metrics ?? createPrometheusMetrics();
    this.#parts = assemble(this.#configuration, this.#metrics, options);
  }

  /**
   * Logs in, if that has not been done, and reads what is named, all at once. Every other method logs in too; this one says early what does
   * not work. Throws what the login throws; `secrets_manager_not_ready`, naming every path that could not be had and why.
   */
  async init(options: InitOptions = {}): Promise<void> {
    const { secrets = [], dynamicSecrets = [], signal } = options;
    this.#assertOpen();
    signal?.throwIfAborted();
    await this.#unlessClosed(untilAborted(this.#parts.session.held(), signal));
    const reads = [
      ...secrets.map((path) => ({ path, read: () => this.getSecret(path, options) })),
      ...dynamicSecrets.map((path) => ({ path, read: () => this.getDynamicSecret(path, options) })),
    ];
    const ends = await Promise.allSettled(reads.map(async ({ read }) => read()));
    signal?.throwIfAborted();
    this.#assertOpen();
    const failures = ends.flatMap((end, index) =>
      end.status === 'rejected' ? [{ path: reads[index]?.path ?? '', error: end.reason as unknown }] : [],
    );
    if (failures.length > 0) throw notReady(failures);
  }

  /**
   * How it is, for a readiness probe. Asks Vault for nothing, but for a login where there is none; waits for that for `timeoutMs`
   * (1000) at most. Never rejects.
   */
  async health({ timeoutMs = 1_000 }: { readonly timeoutMs?: number } = {}): Promise<SecretsManagerHealth> {
    const { isAnswering, dynamicSecrets, staticSecrets } = this.#parts;
    return healthOf({
      login: await this.#login(timeoutMs),
      isAnswering: isAnswering(),
      leases: dynamicSecrets.conditions(),
      cache: staticSecrets.count(),
    });
  }

  /**
   * Does what is due now and waits for everything under way: renewals, revocations, handlers, acknowledgements. For a process that is frozen
   * between calls (`background: false`): call it before each answer. Takes `handlerTimeoutMs` at most; never rejects.
   */
  async settle(): Promise<void> {
    const { dynamicSecrets, events, acknowledgements } = this.#parts;
    const settling = dynamicSecrets
      .settle()
      .then(() => Promise.all([events.settle(), acknowledgements?.settle()]));
    await waitAtMost(settling, this.#configuration.handlerTimeoutMs);
  }

  /**
   * A secret in KV, either version, by its path after VAULT_NAMESPACE. Kept for `cacheTtlMs`; while Vault cannot be reached it stands in
   * for `staleMs` more, but never after a denial. With `field`, that field alone, as a {@link Secret}. Throws
   * `secret_field_missing`, `generation_unknown`, `secret_version_ambiguous`.
   */
  getSecret(path: string, options: GetSecretOptions & { readonly field: string }): Promise<Secret>;
  getSecret(path: string, options?: GetSecretOptions & { readonly field?: undefined }): Promise<StaticSecret>;
  getSecret(path: string, options?: GetSecretOptions): Promise<StaticSecret | Secret>;
  async getSecret(path: string, options: GetSecretOptions = {}): Promise<StaticSecret | Secret> {
    const { field, version, generation, signal } = options;
    this.#assertAskable(path, signal);
    if (version !== undefined && generation !== undefined) throw versionAmbiguous();
    const { staticSecrets, accesses } = this.#parts;
    const maxAgeMs = this.#configuration.cacheTtlMs;
    const isNewest = version === undefined && generation === undefined;
    const kept = isNewest ? staticSecrets.peek(path, maxAgeMs) : undefined;
    if (kept !== undefined) {
      accesses.cached('static', path);
      return field === undefined ? kept : new Secret(kept.data.get(field));
    }
    const reading = accesses.asked('static', path, () =>
      generation === undefined
        ? staticSecrets.read(path, { version, maxAgeMs })
        : staticSecrets.readGeneration(path, generation, maxAgeMs),
    );
    const { secret } = await this.#unlessClosed(untilAborted(reading, signal));
    return field === undefined ? secret : new Secret(secret.data.get(field));
  }

  /**
   * The newest value at a path in KV and that of the generation before it, for what readers must accept both of, such as keys that sign.
   * Each at most `refreshMs` old, because a new key is used as soon as it is published, and a leaked one must no longer be accepted.
   */
  async getGenerations(
    path: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<SecretGenerations> {
    const { signal } = options;
    this.#assertAskable(path, signal);
    const { staticSecrets, accesses } = this.#parts;
    const reading = accesses.asked('static', path, async () => {
      const { current, previous } = await staticSecrets.readGenerations(path, this.#configuration.refreshMs);
      return { ...current, previous: previous?.secret };
    });
    const { secret, previous } = await this.#unlessClosed(untilAborted(reading, signal));
    return { current: secret, previous };
  }

  /**
   * Says that this service uses a secret that it was given, so that the generation before it may be retired. It happens by itself when the
   * handlers of `rotated` have finished; this is for a process that starts with a generation and is told of none. Throws
   * `acknowledge_not_configured`, `generation_unknown` for what Leasekeeper has not published.
   */
  async acknowledge({
    path,
    version = 0,
  }: Pick<StaticSecret | DynamicSecret, 'path' | 'version'>): Promise<void> {
    this.#assertAskable(path, undefined);
    const { acknowledgements, staticSecrets } = this.#parts;
    if (acknowledgements === undefined) throw acknowledgeNotConfigured();
    const acknowledging = async () =>
      acknowledgements.acknowledge(
        await staticSecrets.naming(path, version, this.#configuration.cacheTtlMs),
        version,
      );
    await this.#unlessClosed(acknowledging());
  }

  /**
   * A leased secret, such as database credentials: issued once for all callers, renewed, and replaced before it ends. Ask again whenever
   * it is used, or at each `rotated`. At a path in KV, where Leasekeeper publishes generations: the newest, at most `refreshMs`
   * old.
   */
  async getDynamicSecret(path: string, options: GetDynamicSecretOptions = {}): Promise<DynamicSecret> {
    const { fresh = false, signal } = options;
    this.#assertAskable(path, signal);
    const answering = this.#parts.accesses.asked('dynamic', path, () => this.#answer(path, fresh));
    return (await this.#unlessClosed(untilAborted(answering, signal))).secret;
  }

  /**
   * Takes notices of Leasekeeper: each is verified, and what it says to be rotated is read anew at once, where this process uses it.
   * Throws `signing_secret_invalid`.
   */
  noticeReceiver(options: NoticeReceiverOptions): NoticeReceiver {
    const { staticSecrets, events } = this.#parts;
    return createNoticeReceiver(options, {
      refresh: async (path) =>
        this.#cleanup !== undefined || staticSecrets.refresh(path, this.#configuration.cacheTtlMs),
      onFault: (path, error) => void events.emit('fault', { operation: 'refresh', path, error }),
    });
  }

  /** Forgets a static secret: the next call reads it anew, whatever is under way. */
  invalidate(path: string): void {
    this.#parts.staticSecrets.invalidate(path);
  }

  /**
   * Ends a lease before its time, one of `fresh` above all. Throws `lease_unknown`; `lease_not_revocable` when the policy does not
   * allow it, and the lease then ends at its TTL.
   */
  async release(leaseId: string): Promise<void> {
    this.#assertOpen();
    await this.#parts.dynamicSecrets.release(leaseId);
  }

  /** Adds a handler for an event; the function it returns takes it away again. Handlers may be asynchronous. */
  on<Name extends SecretsManagerEventName>(name: Name, handler: SecretsManagerHandler<Name>): () => void {
    return this.#parts.events.on(name, handler);
  }

  /** What was counted, as Prometheus text; empty when `metrics` was given something else than PrometheusMetrics. */
  async metrics(): Promise<string> {
    return 'text' in this.#metrics ? this.#metrics.text() : '';
  }

  /**
   * Stops renewing and revokes what is held: each lease where the policy allows it, and the manager's own token with all that still hangs
   * on it. Never rejects, takes `cleanupTimeoutMs` at most, and may be called again.
   */
  cleanup(): Promise<void> {
    this.#cleanup ??= this.#close();
    return this.#cleanup;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.cleanup();
  }

  async #answer(path: string, fresh: boolean): Promise<DynamicAnswer> {
    const { mounts, staticSecrets, dynamicSecrets } = this.#parts;
    const mount = await mounts.find(joinPath(this.#configuration.namespace, path));
    if (mount.kvVersion === undefined) {
      return leasedAnswer(await (fresh ? dynamicSecrets.issue(path) : dynamicSecrets.get(path)));
    }
    if (fresh) staticSecrets.invalidate(path);
    return storedAnswer(await staticSecrets.read(path, { maxAgeMs: this.#configuration.refreshMs }));
  }

  async #close(): Promise<void> {
    const { events } = this.#parts;
    const inTime = await waitAtMost(this.#end(), this.#configuration.cleanupTimeoutMs);
    if (!inTime) void events.emit('fault', { operation: 'cleanup', error: cleanupTooSlow() });
  }

  async #end(): Promise<void> {
    const { client, session, events, acknowledgements, dynamicSecrets, stopLogins } = this.#parts;
    stopLogins();
    await Promise.all([dynamicSecrets.close(), acknowledgements?.close()]);
    try {
      await session.close();
    } catch (error) {
      void events.emit('fault', { operation: 'cleanup', error });
    }
    await client.close();
  }

  async #login(timeoutMs: number): Promise<HealthFacts['login']> {
    if (this.#cleanup !== undefined) return { code: codeOf(managerClosed()) };
    const { session } = this.#parts;
    const login = session.held().then(
      // By this process's clock, as all other times that are told.
      ({ expiresAt }) => ({ expiresAt: this.#now() + (expiresAt - session.now()) }),
      (error: unknown) => ({ code: codeOf(error) }),
    );
    return (await waitAtMost(login, timeoutMs)) ? login : { code: 'vault_timeout' };
  }

  #assertAskable(path: string, signal: AbortSignal | undefined): void {
    this.#assertOpen();
    assertPath(path);
    signal?.throwIfAborted();
  }

  /** What cleanup cuts off fails in many ways; for the caller it is one. */
  async #unlessClosed<T>(answering: Promise<T>): Promise<T> {
    try {
      return await answering;
    } catch (error) {
      this.#assertOpen(error);
      throw error;
    }
  }

  #assertOpen(cause?: unknown): void {
    if (this.#cleanup !== undefined) throw managerClosed(cause);
  }
}

function storedAnswer({ secret, served, vaultRequestId }: StaticAnswer): DynamicAnswer {
  const { path, data, version, generation, stale } = secret;
  return {
    secret: { path, data, version, generation, stale, leaseId: undefined, expiresAt: undefined },
    served,
    vaultRequestId,
  };
}

function leasedAnswer({ lease, served }: HeldAnswer): DynamicAnswer {
  const { path, data, state, parent } = lease;
  const leaseId = lease.leaseId === '' ? undefined : lease.leaseId;
  const expiresAt = leaseId === undefined ? undefined : endOf(state, parent);
  return {
    secret: { path, data, leaseId, expiresAt, version: undefined, generation: undefined, stale: false },
    served,
    leaseId,
    vaultRequestId: served === 'load' ? lease.vaultRequestId : '',
  };
}
