import { LeasekeeperError } from '../errors.ts';
import { VaultError } from '../vault/errors.ts';
import type { Dispatch } from './dispatch.ts';
import type { NoticeStore, Versioned } from './notice-store.ts';

/** Gives the dispatch as it should be, and what the caller wants to know of that. Runs again on each lost race. */
type Change<T> = (dispatch: Dispatch) => readonly [Dispatch, T];

interface Waiting {
  readonly run: (dispatch: Dispatch) => Dispatch;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Results that come within this, in milliseconds, are written together: a hundred endpoints do not answer at the same instant. */
const LINGER_MS = 1_000;
const MOST_TRIES = 20;

/**
 * Writes one dispatch on behalf of all that work on it: one check-and-set write at a time, and in each whatever is to be changed by then.
 * A change that finds the document deleted sees a dispatch without notices.
 */
export class DispatchWriter {
  readonly #store: NoticeStore;
  readonly #key: string;
  readonly #waiting: Waiting[] = [];
  #found: Versioned<Dispatch>;
  #writing = false;
  #linger: NodeJS.Timeout | undefined;

  constructor(store: NoticeStore, key: string, found: Versioned<Dispatch>) {
    this.#store = store;
    this.#key = key;
    this.#found = found;
  }

  /** As it was last read or written. */
  get found(): Versioned<Dispatch> {
    return this.#found;
  }

  /** Writes at once, and with it what waits. Throws VaultError. */
  change<T>(change: Change<T>): Promise<T> {
    const changed = this.#add(change);
    this.flush();
    return changed;
  }

  /** Writes soon: with the next change, when `flush` is called, or after a second. Throws VaultError. */
  changeSoon(change: (dispatch: Dispatch) => Dispatch): Promise<void> {
    const changed = this.#add((dispatch) => [change(dispatch), undefined] as const);
    this.#linger ??= setTimeout(() => this.flush(), LINGER_MS);
    return changed;
  }

  flush(): void {
    clearTimeout(this.#linger);
    this.#linger = undefined;
    if (this.#writing || this.#waiting.length === 0) return;
    this.#writing = true;
    void this.#write().finally(() => {
      this.#writing = false;
      // What came while it was written had no write of its own yet.
      this.flush();
    });
  }

  #add<T>(change: Change<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let outcome: { readonly told: T } | undefined;
      this.#waiting.push({
        run: (dispatch) => {
          const [changed, told] = change(dispatch);
          outcome = { told };
          return changed;
        },
        resolve: () => outcome && resolve(outcome.told),
        reject,
      });
    });
  }

  async #write(): Promise<void> {
    // Let all that is ready to change it do so in this write.
    await new Promise((resolve) => setImmediate(resolve));
    const now = this.#waiting.splice(0);
    try {
      await this.#apply((dispatch) => now.reduce((before, { run }) => run(before), dispatch));
      for (const { resolve } of now) resolve();
    } catch (error) {
      for (const { reject } of now) reject(error);
    }
  }

  async #apply(change: (dispatch: Dispatch) => Dispatch): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const { document, version } = this.#found;
      const changed = change(document);
      if (changed === document) return;
      const saved = await this.#tryToSave(changed, version);
      if (saved !== undefined) {
        this.#found = { document: changed, version: saved };
        return;
      }
      const read = await this.#store.dispatch(this.#key);
      this.#found = read ?? { document: { ...document, notices: {} }, version: Number.POSITIVE_INFINITY };
      if (read === undefined) {
        // Deleted meanwhile: there is nothing to change, and whoever asked must hear that.
        change(this.#found.document);
        return;
      }
    }
    throw new LeasekeeperError('dispatch_contended', `The dispatch ${this.#key} could not be written.`, {
      hint: 'Other workers kept writing first. The agenda brings it up again.',
    });
  }

  /** Undefined: the race was lost, or the outcome is unknown. Either way it is read again. */
  async #tryToSave(dispatch: Dispatch, version: number): Promise<number | undefined> {
    try {
      return await this.#store.saveDispatch(this.#key, dispatch, version);
    } catch (error) {
      if (error instanceof VaultError && error.processed === 'maybe') return undefined;
      throw error;
    }
  }
}
