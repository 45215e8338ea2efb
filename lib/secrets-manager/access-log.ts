import { randomUUID } from 'node:crypto';
import { codeOf } from '../errors.ts';
import type { Audit, AuditInput } from '../telemetry/audit.ts';
import { correlated, correlationId } from '../telemetry/correlation.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { isVaultError } from '../vault/errors.ts';

export interface AccessLogDependencies {
  readonly metrics: Metrics;
  /** Undefined writes no audit lines. */
  readonly audit: Audit | undefined;
  readonly who: () => AuditInput['who'];
  readonly now: () => number;
}

/** What is known of an access once it has been answered. */
export interface Accessed {
  readonly leaseId?: string | undefined;
  readonly vaultRequestId?: string | undefined;
}

/** How a secret that was asked for was come by. */
export type Served = 'cache' | 'load' | 'stale';

/** Counts accesses and writes their audit lines. Neither ever holds a value. */
export class AccessLog {
  readonly #deps: AccessLogDependencies;

  constructor(deps: AccessLogDependencies) {
    this.#deps = deps;
  }

  /** One secret that a caller asked for, however it was come by. Throws what `work` throws. */
  asked<T extends Accessed>(
    kind: 'static' | 'dynamic',
    path: string,
    work: () => Promise<T & { readonly served: Served }>,
  ): Promise<T & { readonly served: Served }> {
    return correlated(randomUUID(), () => this.#asked(kind, path, work));
  }

  /** One secret that was answered from the cache: what `asked` records, at a hundredth of its price, because nothing leaves. */
  cached(kind: 'static' | 'dynamic', path: string): void {
    const { audit, now } = this.#deps;
    if (audit !== undefined) this.#write(randomUUID(), { action: 'read', path }, { outcome: 'ok' }, now());
    this.#count(kind, path, 'cache');
  }

  /**
   * One thing done with Vault: an audit line, and nothing counted. What is done because a secret was asked for has the request id of that.
   * Throws what `work` throws.
   */
  done<T>(
    access: Pick<AuditInput, 'action' | 'path'> & Accessed,
    work: () => Promise<T>,
    describe: (answer: T) => Accessed = () => ({}),
  ): Promise<T> {
    const id = correlationId() ?? randomUUID();
    return correlated(id, () => this.#done(id, access, work, describe));
  }

  async #asked<T extends Accessed>(
    kind: 'static' | 'dynamic',
    path: string,
    work: () => Promise<T & { readonly served: Served }>,
  ): Promise<T & { readonly served: Served }> {
    try {
      const answer = await this.done({ action: 'read', path }, work, (it) => it);
      this.#count(kind, path, answer.served);
      return answer;
    } catch (error) {
      this.#deps.metrics.increment('vault_secret_requests_total', { path, kind, outcome: outcomeOf(error) });
      throw error;
    }
  }

  #count(kind: 'static' | 'dynamic', path: string, served: Served): void {
    const { metrics } = this.#deps;
    const outcome = served === 'stale' ? 'stale' : 'ok';
    metrics.increment('vault_secret_requests_total', { path, kind, outcome });
    if (served !== 'load') metrics.increment('vault_secret_cache_hits_total', { path });
  }

  async #done<T>(
    id: string,
    access: Pick<AuditInput, 'action' | 'path'> & Accessed,
    work: () => Promise<T>,
    describe: (answer: T) => Accessed,
  ): Promise<T> {
    const started = this.#deps.now();
    try {
      const answer = await work();
      this.#write(id, { ...access, ...describe(answer) }, { outcome: 'ok' }, started);
      return answer;
    } catch (error) {
      const outcome = isVaultError(error, 'vault_denied') ? 'denied' : 'error';
      this.#write(id, access, { outcome, code: codeOf(error) }, started);
      throw error;
    }
  }

  #write(
    id: string,
    { action, path, leaseId, vaultRequestId }: Pick<AuditInput, 'action' | 'path'> & Accessed,
    result: Pick<AuditInput, 'outcome' | 'code'>,
    started: number,
  ): void {
    const { audit, who, now } = this.#deps;
    audit?.({
      action,
      path,
      ...result,
      who: who(),
      latency_ms: Math.max(0, now() - started),
      request_id: id,
      ...(leaseId ? { lease_id: leaseId } : {}),
      ...(vaultRequestId ? { vault_request_id: vaultRequestId } : {}),
    });
  }
}

function outcomeOf(error: unknown): string {
  if (isVaultError(error, 'vault_denied')) return 'denied';
  return isVaultError(error, 'vault_not_found') ? 'not_found' : 'error';
}
