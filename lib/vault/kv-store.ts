import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault, type VaultAnswer } from './client.ts';

/** One version of a KV v2 secret. */
export interface KvEntry {
  readonly data: Readonly<Record<string, unknown>>;
  readonly version: number;
  readonly createdTime: string;
  readonly customMetadata: Readonly<Record<string, string>>;
}

/** What a read found. `version` is what a check-and-set must name: 0 for a key that never was, or whose metadata is deleted. */
export interface KvRead {
  readonly entry: KvEntry | undefined;
  readonly version: number;
  /** Vault's id of the request, for its audit log. */
  readonly requestId: string;
}

export interface KvReadOptions {
  /** An earlier version; the newest when left out. */
  readonly version?: number;
  readonly signal?: AbortSignal;
}

const versionMetadata = z.object({
  version: z.number(),
  created_time: z.string(),
  custom_metadata: z.record(z.string(), z.string()).nullish(),
});
const readAnswer = z.object({
  data: z.object({ data: z.record(z.string(), z.unknown()).nullable(), metadata: versionMetadata }),
});
// A missing key answers `{"errors":[]}`; one whose newest version is deleted answers 404 with its metadata.
const missingAnswer = z.object({ data: z.object({ metadata: versionMetadata }).optional() });
const writeAnswer = z.object({ data: z.object({ version: z.number() }) });
const metadataAnswer = z.object({ data: z.object({ current_version: z.number() }).optional() });
const listAnswer = z.object({ data: z.object({ keys: z.array(z.string()) }).optional() });

/** A KV v2 mount. Paths are within the mount. Every write names the version it replaces (check-and-set). */
export class KvStore {
  readonly #vault: Vault;
  readonly #mount: string;

  /** `mount` is a full path, namespace included. */
  constructor(vault: Vault, mount: string) {
    this.#vault = vault;
    this.#mount = mount;
  }

  async read(path: string, { version, signal }: KvReadOptions = {}): Promise<KvRead> {
    const answer = await this.#vault.request({
      method: 'GET',
      path: joinPath(this.#mount, 'data', path),
      repeatable: true,
      missingIsAnswer: true,
      ...(version === undefined ? {} : { query: { version: String(version) } }),
      ...(signal ? { signal } : {}),
    });
    return answer.status === 404 ? missing(answer) : found(answer);
  }

  /**
   * Writes version `cas + 1`. Throws `vault_cas_mismatch` when `cas` is not the current version. After a fault of the way the
   * outcome is unknown: the request is not repeated; read again and decide anew.
   */
  async write(path: string, data: Readonly<Record<string, unknown>>, cas: number): Promise<number> {
    const answer = await this.#vault.request({
      method: 'PUT',
      path: joinPath(this.#mount, 'data', path),
      body: { data, options: { cas } },
      repeatable: false,
    });
    return parseAnswer(writeAnswer, answer, 'writing to KV').data.version;
  }

  /** The current version's number, without its value; 0 when there is none. */
  async version(path: string): Promise<number> {
    const answer = await this.#vault.request({
      method: 'GET',
      path: joinPath(this.#mount, 'metadata', path),
      repeatable: true,
      missingIsAnswer: true,
    });
    return parseAnswer(metadataAnswer, answer, 'reading KV metadata').data?.current_version ?? 0;
  }

  /** Sets keys of the custom metadata, removes those that are null, and leaves the others. At most 64 keys, 512 characters a value. */
  async patchMetadata(path: string, customMetadata: Readonly<Record<string, string | null>>): Promise<void> {
    await this.#vault.request({
      method: 'PATCH',
      path: joinPath(this.#mount, 'metadata', path),
      body: { custom_metadata: customMetadata },
      contentType: 'application/merge-patch+json',
      repeatable: true,
    });
  }

  /**
   * Removes a key with all its versions. The numbering then starts again at 1, so that an old check-and-set value would be valid
   * again: never write to a name after this.
   */
  async deleteMetadata(path: string): Promise<void> {
    await this.#vault.request({
      method: 'DELETE',
      path: joinPath(this.#mount, 'metadata', path),
      repeatable: true,
      missingIsAnswer: true,
    });
  }

  /** Names directly under a folder, folders with a slash at the end. Empty when there is none. */
  async list(path: string): Promise<readonly string[]> {
    const answer = await this.#vault.request({
      method: 'LIST',
      path: joinPath(this.#mount, 'metadata', path),
      repeatable: true,
      missingIsAnswer: true,
    });
    return parseAnswer(listAnswer, answer, 'listing KV').data?.keys ?? [];
  }
}

function found(answer: VaultAnswer): KvRead {
  const { data, metadata } = parseAnswer(readAnswer, answer, 'reading KV').data;
  const { requestId } = answer;
  if (data === null) return { entry: undefined, version: metadata.version, requestId };
  return {
    requestId,
    version: metadata.version,
    entry: {
      data,
      version: metadata.version,
      createdTime: metadata.created_time,
      customMetadata: metadata.custom_metadata ?? {},
    },
  };
}

function missing(answer: VaultAnswer): KvRead {
  const parsed = parseAnswer(missingAnswer, answer, 'reading KV');
  return { entry: undefined, version: parsed.data?.metadata.version ?? 0, requestId: answer.requestId };
}
