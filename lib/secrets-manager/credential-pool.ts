import { LeasekeeperError } from '../errors.ts';
import type { DynamicSecret } from './secret-types.ts';
import type { SecretsManager } from './secrets-manager.ts';

export interface CredentialPoolOptions<Pool> {
  /** What `getDynamicSecret` gives the credential for. */
  readonly path: string;
  /**
   * Opens a pool with a credential. Should it connect once before it resolves, a credential that does not work yet never replaces one that
   * does.
   */
  readonly open: (credential: DynamicSecret) => Pool | Promise<Pool>;
  /** Closes a pool that nobody uses any more. */
  readonly close: (pool: Pool) => unknown;
}

interface Opened<Pool> {
  /** The lease or version that it was opened with. */
  readonly credential: string;
  readonly pool: Pool;
  users: number;
  /** Set once it has a successor: called when the last user has gone. */
  unused: (() => void) | undefined;
}

/** A credential that could not be opened is not tried again before every query. */
const OPEN_AGAIN_AFTER_MS = 1_000;

/**
 * A connection pool (of `pg`, `mysql2` or any other) whose credential changes under load without a query dropped: the new pool is opened
 * first, new work goes there, and the old one is closed when its last user has finished. The `rotated` event waits for that, within
 * `handlerTimeoutMs`, so the old credential is revoked only afterwards.
 *
 * Work that takes longer than what is left of the old credential then, a fifth to a quarter of its TTL, outlives it: give such work a role
 * with a longer TTL.
 */
export class CredentialPool<Pool> implements AsyncDisposable {
  readonly #secrets: Pick<SecretsManager, 'getDynamicSecret' | 'on'>;
  readonly #options: CredentialPoolOptions<Pool>;
  readonly #now: () => number;
  readonly #off: () => void;
  readonly #closing = new Set<Promise<void>>();
  #current: Opened<Pool> | undefined;
  #switching: Promise<void> | undefined;
  #notBefore = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** Opens nothing yet. */
  constructor(
    secrets: Pick<SecretsManager, 'getDynamicSecret' | 'on'>,
    options: CredentialPoolOptions<Pool>,
    now: () => number = Date.now,
  ) {
    this.#secrets = secrets;
    this.#options = options;
    this.#now = now;
    this.#off = secrets.on('rotated', async ({ path }) => {
      if (path !== options.path || this.#current === undefined) return;
      await this.#refresh();
      await Promise.all(this.#closing);
    });
  }

  /**
   * Gives `work` a pool with a credential that works, and keeps that pool open until it has finished. Throws what `getDynamicSecret`, `open`
   * and `work` throw; `credential_pool_closed`.
   */
  async use<T>(work: (pool: Pool) => Promise<T>): Promise<T> {
    await this.#refresh();
    const opened = this.#current;
    if (opened === undefined) throw closed();
    opened.users += 1;
    try {
      return await work(opened.pool);
    } finally {
      opened.users -= 1;
      if (opened.users === 0) opened.unused?.();
    }
  }

  /** Takes no more work and resolves when all pools are closed, after their last users. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#off();
    await this.#switching?.catch(() => undefined);
    if (this.#current !== undefined) this.#retire(this.#current);
    this.#current = undefined;
    await Promise.all(this.#closing);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Has the pool opened that belongs to the credential of now. */
  async #refresh(): Promise<void> {
    if (this.#closed) throw closed();
    const secret = await this.#secrets.getDynamicSecret(this.#options.path);
    const credential = secret.leaseId ?? `version ${secret.version}`;
    if (this.#current?.credential === credential) return;
    if (this.#current !== undefined && this.#now() < this.#notBefore) return;
    this.#switching ??= this.#switch(secret, credential).finally(() => {
      this.#switching = undefined;
    });
    await this.#switching;
  }

  async #switch(secret: DynamicSecret, credential: string): Promise<void> {
    const old = this.#current;
    let pool: Pool;
    try {
      pool = await this.#options.open(secret);
    } catch (error) {
      if (old === undefined) throw error;
      // The old one still works for a time: whether the database is away or only the new credential does not work is seen by its users.
      this.#notBefore = this.#now() + OPEN_AGAIN_AFTER_MS;
      return;
    }
    this.#current = { credential, pool, users: 0, unused: undefined };
    if (old !== undefined) this.#retire(old);
  }

  #retire(opened: Opened<Pool>): void {
    const { promise: unused, resolve } = Promise.withResolvers<void>();
    opened.unused = resolve;
    if (opened.users === 0) resolve();
    const closing = unused
      .then(() => this.#options.close(opened.pool))
      // A connection that is broken already is as good as closed.
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

function closed(): LeasekeeperError {
  return new LeasekeeperError('credential_pool_closed', 'The pool has been closed.', {
    hint: 'Make a new CredentialPool; one is enough for a whole process.',
  });
}
