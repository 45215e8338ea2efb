import { isTransient } from '../vault/errors.ts';

/** Times in milliseconds. */
export interface CachePolicy {
  /** How long past its TTL a value may stand in while Vault cannot be reached. */
  readonly staleMs: number;
  readonly maxEntries: number;
}

/** Where an answer came from. */
export type CacheSource = 'cache' | 'load' | 'stale';

export interface CacheAnswer<T> {
  readonly value: T;
  readonly source: CacheSource;
}

/** How a value is got; told the value it replaces. */
export type Load<T> = (previous: T | undefined) => Promise<T>;

interface Flight<T> {
  readonly ticket: object;
  readonly answer: Promise<CacheAnswer<T>>;
}

interface Entry<T> {
  readonly value: T;
  readonly loadedAt: number;
  /** Shortens each entry's life differently, so that what was loaded together is not reloaded together. */
  readonly share: number;
  /** While Vault is away: no try before this. */
  retryAt: number;
}

const SPREAD = 0.1;
/** How long a stale value is handed out before Vault is tried again. */
const STALE_RETRY_MS = 2_000;

/**
 * Keeps what was loaded for a time, the least recently used goes first; many who ask for the same key at once share one load. When a
 * load fails because Vault is away, the last value stands in for a bounded time; a refusal is always passed on, and what was refused
 * is forgotten.
 */
export class SecretCache<T> {
  readonly #policy: CachePolicy;
  readonly #now: () => number;
  readonly #random: () => number;
  /** In order of use, the oldest first. */
  readonly #entries = new Map<string, Entry<T>>();
  readonly #flights = new Map<string, Flight<T>>();

  constructor(policy: CachePolicy, now: () => number, random: () => number) {
    this.#policy = policy;
    this.#now = now;
    this.#random = random;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * The value under `key`, at most `ttlMs` old (up to a tenth less), loaded if need be; `load` is given the value it replaces. Throws
   * what `load` throws.
   */
  async get(key: string, ttlMs: number, load: Load<T>): Promise<CacheAnswer<T>> {
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#touch(key, entry);
      const now = this.#now();
      const freshUntil = entry.loadedAt + ttlMs * entry.share;
      if (isWithin(entry, now, freshUntil)) return { value: entry.value, source: 'cache' };
      if (now < entry.retryAt && isWithin(entry, now, freshUntil + this.#policy.staleMs)) {
        return { value: entry.value, source: 'stale' };
      }
    }
    return this.#flights.get(key)?.answer ?? this.#fly(key, ttlMs, load);
  }

  /** Forgets these keys. A load that is under way for one of them is not kept: it may have read the old value. */
  delete(matches: (key: string) => boolean): void {
    for (const keys of [this.#entries, this.#flights]) {
      for (const key of [...keys.keys()].filter(matches)) keys.delete(key);
    }
  }

  #fly(key: string, ttlMs: number, load: Load<T>): Promise<CacheAnswer<T>> {
    const ticket = {};
    const answer = this.#load(key, ttlMs, load, ticket).finally(() => {
      if (this.#isWanted(key, ticket)) this.#flights.delete(key);
    });
    this.#flights.set(key, { ticket, answer });
    return answer;
  }

  async #load(key: string, ttlMs: number, load: Load<T>, ticket: object): Promise<CacheAnswer<T>> {
    const askedAt = this.#now();
    const previous = this.#entries.get(key);
    try {
      const value = await load(previous?.value);
      const share = 1 - SPREAD * this.#random();
      if (this.#isWanted(key, ticket)) this.#keep(key, { value, loadedAt: askedAt, share, retryAt: 0 });
      return { value, source: 'load' };
    } catch (error) {
      if (previous === undefined || !this.#isWanted(key, ticket)) throw error;
      if (!isTransient(error)) {
        this.#entries.delete(key);
        throw error;
      }
      const now = this.#now();
      previous.retryAt = now + STALE_RETRY_MS;
      const usableUntil = previous.loadedAt + ttlMs * previous.share + this.#policy.staleMs;
      if (!isWithin(previous, now, usableUntil)) throw error;
      return { value: previous.value, source: 'stale' };
    }
  }

  /** False once the key was forgotten while the load was under way. */
  #isWanted(key: string, ticket: object): boolean {
    return this.#flights.get(key)?.ticket === ticket;
  }

  #keep(key: string, entry: Entry<T>): void {
    this.#touch(key, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#policy.maxEntries) return;
      this.#entries.delete(oldest);
    }
  }

  #touch(key: string, entry: Entry<T>): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }
}

/** A clock that was set back must not make an old entry fresh for ever. */
function isWithin(entry: { readonly loadedAt: number }, now: number, until: number): boolean {
  return now >= entry.loadedAt && now < until;
}
