import type { Vault } from '../../lib/vault/client.ts';
import { KvStore } from '../../lib/vault/kv-store.ts';

type ReadRest = Parameters<KvStore['read']> extends [string, ...infer Rest] ? Rest : never;

/** A folder of a KV v2 mount as if it were a mount of its own: many runs of a test then share one mount. */
export class FolderStore extends KvStore {
  readonly #folder: string;

  constructor(vault: Vault, mount: string, folder: string) {
    super(vault, mount);
    this.#folder = folder;
  }

  override read(path: string, ...rest: ReadRest) {
    return super.read(`${this.#folder}/${path}`, ...rest);
  }

  override write(path: string, data: Readonly<Record<string, unknown>>, cas: number) {
    return super.write(`${this.#folder}/${path}`, data, cas);
  }

  override version(path: string) {
    return super.version(`${this.#folder}/${path}`);
  }

  override patchMetadata(path: string, customMetadata: Readonly<Record<string, string | null>>) {
    return super.patchMetadata(`${this.#folder}/${path}`, customMetadata);
  }

  override deleteMetadata(path: string) {
    return super.deleteMetadata(`${this.#folder}/${path}`);
  }

  override list(path: string) {
    return super.list(`${this.#folder}/${path}`);
  }
}
