import { isTransient, isVaultError } from '../vault/errors.ts';

/** Times in milliseconds. */
export interface CachePolicy {
  /** How long past its TTL a value may stand in while Vault cannot be reached. */
  readonly staleMs: number;
  /** How long it is known that there is nothing under a key. */
  readonly absentMs: number;
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

/** Vault has said that there is nothing. */
interface Absence {
  readonly error: unknown;
  readonly askedAt: number;
}

const SPREAD = 0.1;
/** How long a stale value is handed out before Vault is tried again. */
const STALE_RETRY_MS = 2_000;

/**
 * Keeps what was loaded for a time, the least recently used goes first; many who ask for the same key at once share one load. When a
 * load fails because Vault is away, the last value stands in for a bounded time; a refusal is always passed on, and what was refused
 * is forgotten. That there is nothing under a key is remembered for a short time too, apart from the values: whoever asks for keys that
 * do not exist pushes no value out.
 */
export class SecretCache<T> {
  readonly #policy: CachePolicy;
  readonly #now: () => number;
  readonly #random: () => number;
  /** In order of use, the oldest first. */
  readonly #entries = new Map<string, Entry<T>>();
  readonly #flights = new Map<string, Flight<T>>();
  readonly #absent = new Map<string, Absence>();

  constructor(policy: CachePolicy, now: () => number, random: () => number) {
    this.#policy = policy;
    this.#now = now;
    this.#random = random;
  }

  /** The value under `key` if it is there and at most `ttlMs` old (up to a tenth less). Most calls end here. */
  peek(key: string, ttlMs: number): T | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (!isWithin(entry.loadedAt, this.#now(), entry.loadedAt + ttlMs * entry.share)) return undefined;
    this.#touch(key, entry);
    return entry.value;
  }

  /**
   * The value under `key`, at most `ttlMs` old (up to a tenth less), loaded if need be; `load` is given the value it replaces. Throws
   * what `load` throws.
   */
  async get(key: string, ttlMs: number, load: Load<T>): Promise<CacheAnswer<T>> {
    const fresh = this.peek(key, ttlMs);
    if (fresh !== undefined) return { value: fresh, source: 'cache' };
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#touch(key, entry);
      const now = this.#now();
      const standsInUntil = entry.loadedAt + ttlMs * entry.share + this.#policy.staleMs;
      if (now < entry.retryAt && isWithin(entry.loadedAt, now, standsInUntil)) {
        return { value: entry.value, source: 'stale' };
      }
    }
    const flight = this.#flights.get(key);
    if (flight !== undefined) return flight.answer;
    const absence = this.#absent.get(key);
    const { absentMs } = this.#policy;
    if (absence !== undefined) {
      if (isWithin(absence.askedAt, this.#now(), absence.askedAt + Math.min(absentMs, ttlMs)))
        throw absence.error;
      this.#absent.delete(key);
    }
    return this.#fly(key, ttlMs, load);
  }

  /**
   * Loads anew, whatever is kept or under way: a load that has begun may have read the value of before. Throws what `load` throws, unless
   * the last value stands in.
   */
  renew(key: string, ttlMs: number, load: Load<T>): Promise<CacheAnswer<T>> {
    this.#absent.delete(key);
    return this.#fly(key, ttlMs, load);
  }

  has(key: string): boolean {
    return this.#entries.has(key) || this.#flights.has(key) || this.#absent.has(key);
  }

  /** What is kept, and how much of it stands in for what Vault could not be asked for. */
  count(): { readonly entries: number; readonly stale: number } {
    const stale = [...this.#entries.values()].filter(({ retryAt }) => retryAt > 0).length;
    return { entries: this.#entries.size, stale };
  }

  /** Forgets these keys. A load that is under way for one of them is not kept: it may have read the old value. */
  delete(matches: (key: string) => boolean): void {
    for (const keys of [this.#entries, this.#flights, this.#absent]) {
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
      if (this.#isWanted(key, ticket) && isVaultError(error, 'vault_not_found'))
        this.#noteAbsence(key, { error, askedAt });
      if (previous === undefined || !this.#isWanted(key, ticket)) throw error;
      if (!isTransient(error)) {
        this.#entries.delete(key);
        throw error;
      }
      const now = this.#now();
      previous.retryAt = now + STALE_RETRY_MS;
      const usableUntil = previous.loadedAt + ttlMs * previous.share + this.#policy.staleMs;
      if (!isWithin(previous.loadedAt, now, usableUntil)) throw error;
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

  #noteAbsence(key: string, absence: Absence): void {
    this.#absent.delete(key);
    this.#absent.set(key, absence);
    const [oldest] = this.#absent.keys();
    if (oldest !== undefined && this.#absent.size > this.#policy.maxEntries) this.#absent.delete(oldest);
  }

  #touch(key: string, entry: Entry<T>): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }
}

/** A clock that was set back must not make an old entry fresh for ever. */
function isWithin(since: number, now: number, until: number): boolean {
  return now >= since && now < until;
}
