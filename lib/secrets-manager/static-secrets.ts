import { joinPath } from '../vault/addressing.ts';
import type { Vault } from '../vault/client.ts';
import type { Mounts } from '../vault/mounts.ts';
import { generationOf } from '../vault/published-generation.ts';
import { readStatic } from '../vault/secrets.ts';
import type { Served } from './access-log.ts';
import type { SecretIdentity, SecretsManagerEmitter } from './events.ts';
import { SecretCache } from './secret-cache.ts';
import { SecretData } from './secret-data.ts';
import type { StaticSecret } from './secret-types.ts';

/** Times in milliseconds. */
export interface StaticSecretsSettings {
  readonly namespace: string;
  readonly staleMs: number;
  readonly maxEntries: number;
}

export interface StaticSecretsDependencies {
  readonly vault: Vault;
  readonly mounts: Mounts;
  readonly events: SecretsManagerEmitter;
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

interface Kept {
  readonly secret: StaticSecret;
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
    this.#cache = new SecretCache(settings, deps.now, deps.random);
  }

  /**
   * Throws VaultError: `vault_not_found`, `vault_denied`, `vault_bad_request` for a path that is not in KV, and what
   * happens on the way there.
   */
  async read(path: string, { version, maxAgeMs }: StaticRead): Promise<StaticAnswer> {
    const key = version === undefined ? path : `${path}${SEPARATOR}${version}`;
    const { value, source } = await this.#cache.get(key, maxAgeMs, (previous) =>
      this.#load(path, version, previous),
    );
    const secret = source === 'stale' ? { ...value.secret, stale: true } : value.secret;
    // An answer from the cache made no request, so it has no request id of Vault's.
    return { secret, served: source, vaultRequestId: source === 'load' ? value.requestId : '' };
  }

  /** Forgets every version of a path. */
  invalidate(path: string): void {
    this.#cache.delete((key) => key === path || key.startsWith(`${path}${SEPARATOR}`));
  }

  async #load(path: string, version: number | undefined, previous: Kept | undefined): Promise<Kept> {
    const { vault, mounts, events } = this.#deps;
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
    if (previous !== undefined && previous.secret.version !== secret.version) {
      void events.emit('rotated', {
        path,
        previous: identityOf(previous.secret),
        current: identityOf(secret),
      });
    }
    return { secret, requestId: read.requestId };
  }
}

function identityOf({ version, generation }: StaticSecret): SecretIdentity {
  return generation === undefined ? { version } : { version, generation };
}
