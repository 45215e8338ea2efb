import { joinPath } from '../vault/addressing.ts';
import type { Vault } from '../vault/client.ts';
import { isVaultError } from '../vault/errors.ts';
import type { Mounts } from '../vault/mounts.ts';
import { type GenerationChoice, generationOf, versionHolding } from '../vault/published-generation.ts';
import { readStatic } from '../vault/secrets.ts';
import type { Served } from './access-log.ts';
import type { Acknowledgements, PublishedRead } from './acknowledgements.ts';
import type { SecretIdentity, SecretsManagerEmitter } from './events.ts';
import { generationUnknown } from './refusals.ts';
import { type CacheAnswer, SecretCache } from './secret-cache.ts';
import { SecretData } from './secret-data.ts';
import type { StaticSecret } from './secret-types.ts';

/** Times in milliseconds. */
export interface StaticSecretsSettings {
  readonly namespace: string;
  readonly staleMs: number;
  readonly notFoundTtlMs: number;
  readonly maxEntries: number;
}

export interface StaticSecretsDependencies {
  readonly vault: Vault;
  readonly mounts: Mounts;
  readonly events: SecretsManagerEmitter;
  /** Undefined: nothing is acknowledged. */
  readonly acknowledgements: Acknowledgements | undefined;
  readonly now: () => number;
  readonly random: () => number;
}

/** How a secret is to be read. */
export interface StaticRead {
  readonly version?: number | undefined;
  /** Milliseconds: no older than this, but for a time in which Vault cannot be reached. */
  readonly maxAgeMs: number;
}

export interface StaticAnswer {
  readonly secret: StaticSecret;
  readonly served: Served;
  readonly vaultRequestId: string;
}

/** The generations at a path. */
export interface GenerationsAnswer {
  readonly current: StaticAnswer;
  readonly previous: StaticAnswer | undefined;
}

interface Kept {
  readonly secret: StaticSecret;
  readonly customMetadata: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** Between a path and a version in a cache key; no path holds it. */
const SEPARATOR = '\n';

/** Secrets in KV, kept for a time. One entry serves every way to read a path, each with the age it allows. */
export class StaticSecrets {
  readonly #settings: StaticSecretsSettings;
  readonly #deps: StaticSecretsDependencies;
  readonly #cache: SecretCache<Kept>;

  constructor(settings: StaticSecretsSettings, deps: StaticSecretsDependencies) {
    this.#settings = settings;
    this.#deps = deps;
    const { staleMs, notFoundTtlMs: absentMs, maxEntries } = settings;
    this.#cache = new SecretCache({ staleMs, absentMs, maxEntries }, deps.now, deps.random);
  }

  /** The newest version as it is kept, if it is no older than that. */
  peek(path: string, maxAgeMs: number): StaticSecret | undefined {
    return this.#cache.peek(path, maxAgeMs)?.secret;
  }

  /**
   * Throws VaultError: `vault_not_found`, `vault_denied`, `vault_bad_request` for a path that is not in KV, and what
   * happens on the way there.
   */
  async read(path: string, read: StaticRead): Promise<StaticAnswer> {
    return answerOf(await this.#get(path, read));
  }

  /**
   * The version that holds a generation. Where that is comes with every read of the path, so that it costs no request of its own. Throws
   * as `read` does, and `generation_unknown`.
   */
  async readGeneration(path: string, choice: GenerationChoice, maxAgeMs: number): Promise<StaticAnswer> {
    let newest = await this.#get(path, { maxAgeMs });
    let version = versionHolding(newest.value.customMetadata, choice);
    if (version === undefined && newest.source === 'cache') {
      // Whoever has been told of a generation may ask for it sooner than the cache would look.
      newest = await this.#get(path, { maxAgeMs: 0 });
      version = versionHolding(newest.value.customMetadata, choice);
    }
    if (version === undefined) throw generationUnknown(path);
    if (version === newest.value.secret.version) return answerOf(newest);
    try {
      return await this.read(path, { version, maxAgeMs });
    } catch (error) {
      throw isVaultError(error, 'vault_not_found') ? generationUnknown(path, error) : error;
    }
  }

  /** The newest version and the generation before it. Throws as `read` does. */
  async readGenerations(path: string, maxAgeMs: number): Promise<GenerationsAnswer> {
    const newest = await this.#get(path, { maxAgeMs });
    const { secret, customMetadata } = newest.value;
    // Between the write of a value and that of its metadata the newest has no generation: then the newest that has one came before it.
    const version = versionHolding(customMetadata, secret.generation === undefined ? 'current' : 'previous');
    const current = answerOf(newest);
    if (version === undefined) return { current, previous: undefined };
    try {
      return { current, previous: await this.read(path, { version, maxAgeMs }) };
    } catch (error) {
      if (isVaultError(error, 'vault_not_found')) return { current, previous: undefined };
      throw error;
    }
  }

  /** What the metadata at a path say; read anew when they do not yet name the generation of a version. Throws as `read` does. */
  async naming(path: string, version: number, maxAgeMs: number): Promise<PublishedRead> {
    const known = publishedIn((await this.#get(path, { maxAgeMs })).value);
    if (generationOf(known.customMetadata, version) !== undefined) return known;
    return publishedIn((await this.#get(path, { maxAgeMs: 0 })).value);
  }

  /**
   * Reads a path anew, whatever the cache has or is about to have, so that a new version is told as `rotated`. What nobody has asked for is
   * left alone. False when Vault could not be asked and the last value stands in. Throws as `read` does.
   */
  async refresh(path: string, maxAgeMs: number): Promise<boolean> {
    if (!this.#cache.has(path)) return true;
    const load = (previous: Kept | undefined) => this.#load(path, undefined, previous);
    return (await this.#cache.renew(path, maxAgeMs, load)).source !== 'stale';
  }

  /** What the cache holds. */
  count(): { readonly entries: number; readonly stale: number } {
    return this.#cache.count();
  }

  /** Forgets every version of a path. */
  invalidate(path: string): void {
    this.#cache.delete((key) => key === path || key.startsWith(`${path}${SEPARATOR}`));
  }

  #get(path: string, { version, maxAgeMs }: StaticRead): Promise<CacheAnswer<Kept>> {
    const key = version === undefined ? path : `${path}${SEPARATOR}${version}`;
    return this.#cache.get(key, maxAgeMs, (previous) => this.#load(path, version, previous));
  }

  async #load(path: string, version: number | undefined, previous: Kept | undefined): Promise<Kept> {
    const { vault, mounts, acknowledgements } = this.#deps;
    const fullPath = joinPath(this.#settings.namespace, path);
    const read = await readStatic(vault, mounts, fullPath, version === undefined ? {} : { version });
    const secret: StaticSecret = {
      path,
      data: new SecretData(read.data),
      version: read.version,
      generation: generationOf(read.customMetadata, read.version),
      createdTime: read.createdTime,
      stale: false,
    };
    const kept: Kept = { secret, customMetadata: read.customMetadata, requestId: read.requestId };
    if (previous !== undefined && previous.secret.version !== secret.version) this.#rotated(previous, kept);
    acknowledgements?.seen(publishedIn(kept));
    return kept;
  }

  #rotated(previous: Kept, current: Kept): void {
    const { events, acknowledgements } = this.#deps;
    const handled = events.tell('rotated', {
      path: current.secret.path,
      previous: identityOf(previous.secret),
      current: identityOf(current.secret),
    });
    void acknowledgements?.rotated(publishedIn(current), handled);
  }
}

function answerOf({ value, source }: CacheAnswer<Kept>): StaticAnswer {
  const secret = source === 'stale' ? { ...value.secret, stale: true } : value.secret;
  // An answer from the cache made no request, so it has no request id of Vault's.
  return { secret, served: source, vaultRequestId: source === 'load' ? value.requestId : '' };
}

function publishedIn({ secret: { path, version }, customMetadata }: Kept): PublishedRead {
  return { path, version, customMetadata };
}

function identityOf({ version, generation }: StaticSecret): SecretIdentity {
  return generation === undefined ? { version } : { version, generation };
}
