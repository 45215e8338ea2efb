import * as z from 'zod';
import { joinPath } from './addressing.ts';
import { parseAnswer, type Vault } from './client.ts';

/**
 * What is left of a version. `deleted`: not readable, but whoever may undelete can bring it back. `destroyed`: its data is gone.
 * `missing`: there is no such version (any more).
 */
export type KvVersionState = 'readable' | 'deleted' | 'destroyed' | 'missing';

/** One version of a KV v2 secret as its metadata tells it, without the value. */
export interface KvVersion {
  readonly state: KvVersionState;
  /** Whether a plain read gives this version. */
  readonly current: boolean;
  /** Of the secret as a whole. */
  readonly customMetadata: Readonly<Record<string, string>>;
}

const metadataAnswer = z.object({
  data: z
    .object({
      current_version: z.number(),
      custom_metadata: z.record(z.string(), z.string()).nullish(),
      versions: z.record(z.string(), z.object({ deletion_time: z.string(), destroyed: z.boolean() })),
    })
    .optional(),
});

/** The versions of the secrets in one KV v2 mount. Paths are within the mount. */
export class KvVersions {
  readonly #vault: Vault;
  readonly #mount: string;

  /** `mount` is a full path, namespace included. */
  constructor(vault: Vault, mount: string) {
    this.#vault = vault;
    this.#mount = mount;
  }

  async look(path: string, version: number): Promise<KvVersion> {
    const answer = await this.#vault.request({
      method: 'GET',
      path: joinPath(this.#mount, 'metadata', path),
      repeatable: true,
      missingIsAnswer: true,
    });
    const { data } = parseAnswer(metadataAnswer, answer, 'reading KV metadata');
    return {
      state: this.#stateOf(data?.versions[String(version)]),
      current: data?.current_version === version,
      customMetadata: data?.custom_metadata ?? {},
    };
  }

  /** Destroys the data of one version for good. One that is not there any more counts as destroyed. */
  async destroy(path: string, version: number): Promise<void> {
    await this.#vault.request({
      method: 'PUT',
      path: joinPath(this.#mount, 'destroy', path),
      body: { versions: [version] },
      repeatable: true,
    });
  }

  #stateOf(
    version: { readonly deletion_time: string; readonly destroyed: boolean } | undefined,
  ): KvVersionState {
    if (version === undefined) return 'missing';
    if (version.destroyed) return 'destroyed';
    // Of a secret with `delete_version_after` the time lies ahead.
    const deleted = version.deletion_time !== '' && Date.parse(version.deletion_time) <= this.#vault.now();
    return deleted ? 'deleted' : 'readable';
  }
}
