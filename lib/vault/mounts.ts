import * as z from 'zod';
import { joinPath, within } from './addressing.ts';
import { parseAnswer, type Vault, type VaultAnswer } from './client.ts';
import { isVaultError } from './errors.ts';
import { visibleMounts } from './visible-mounts.ts';

/** The secrets engine that serves a full path. */
export interface Mount {
  /** With the namespace, without a slash at the end: `lotabots/nvidia`. */
  readonly path: string;
  /** Vault's type of the engine: `kv`, `database`, `pki`… */
  readonly type: string;
  /** KV engines only. */
  readonly kvVersion: 1 | 2 | undefined;
}

const mountAnswer = z.object({
  data: z.object({
    path: z.string(),
    type: z.string(),
    options: z.object({ version: z.string().optional() }).nullish(),
  }),
});

/**
 * Finds mounts by `sys/internal/ui/mounts/<path>`, which any token with some rule under the mount may read, and keeps what it found:
 * a mount's type does not change under a running program.
 */
export class Mounts {
  readonly #vault: Vault;
  readonly #authNamespace: string;
  readonly #known: Mount[];
  readonly #pending = new Map<string, Promise<Mount>>();
  readonly #folders = new Map<string, Promise<Mount>>();

  /** `known` may be shared by several readers: a mount is the same for all. */
  constructor(vault: Vault, authNamespace = '', known: Mount[] = []) {
    this.#vault = vault;
    this.#authNamespace = authNamespace;
    this.#known = known;
  }

  /** The mount that serves `fullPath`. Throws `vault_denied` when the token has no rule under it, or there is none. */
  async find(fullPath: string): Promise<Mount> {
    const known = this.#knownOf(fullPath);
    if (known !== undefined) return known;
    // Many who ask for a cold path at once need one request, not one each.
    const pending = this.#pending.get(fullPath);
    if (pending !== undefined) return pending;
    const asking = this.#ask(fullPath).finally(() => this.#pending.delete(fullPath));
    this.#pending.set(fullPath, asking);
    return asking;
  }

  #knownOf(fullPath: string): Mount | undefined {
    return this.#known.find((mount) => fullPath === mount.path || fullPath.startsWith(`${mount.path}/`));
  }

  /** Paths of one folder are likely of one mount: whoever comes second waits for the first, and asks only if that did not help. */
  async #ask(fullPath: string): Promise<Mount> {
    const folder = fullPath.slice(0, Math.max(0, fullPath.lastIndexOf('/')));
    const first = this.#folders.get(folder);
    if (first === undefined) {
      const reading = this.#read(fullPath).finally(() => this.#folders.delete(folder));
      this.#folders.set(folder, reading);
      return reading;
    }
    await first.catch(() => undefined);
    return this.#knownOf(fullPath) ?? this.#read(fullPath);
  }

  async #read(fullPath: string): Promise<Mount> {
    const answer = await this.#answerOf(fullPath);
    const { data } = parseAnswer(mountAnswer, answer, 'reading the mount of a path');
    const mount: Mount = {
      path: this.#fullPathOf(joinPath(data.path), fullPath),
      type: data.type,
      kvVersion: data.type === 'kv' ? (data.options?.version === '2' ? 2 : 1) : undefined,
    };
    this.#known.push(mount);
    return mount;
  }

  /**
   * A namespace's own endpoint takes paths within it; told the full path it answers 403. It knows nothing of real namespaces under it either,
   * while the root's knows all, and any token may ask there (all seen on OpenBao 2.7).
   */
  async #answerOf(fullPath: string): Promise<VaultAnswer> {
    const ask = (namespace: string) =>
      this.#vault.request({
        method: 'GET',
        path: joinPath(namespace, 'sys/internal/ui/mounts', within(namespace, fullPath)),
        repeatable: true,
      });
    try {
      return await ask(this.#authNamespace);
    } catch (error) {
      if (this.#authNamespace === '' || !isVaultError(error, 'vault_denied')) throw error;
      return ask('');
    }
  }

  /** A mount's path is relative to the namespace that was asked, but of a mount in a child namespace it is given from the root. */
  #fullPathOf(mount: string, fullPath: string): string {
    return fullPath.startsWith(`${mount}/`) ? mount : joinPath(this.#authNamespace, mount);
  }
}

/**
 * The namespace in which the tokens for leases must live: `namespace` itself where it is a real namespace, else (it is only a prefix of
 * mounts) the authentication namespace. A lease made with a token of another namespace would outlive that token. Any token may ask.
 */
export async function tokenNamespaceOf(
  vault: Vault,
  namespace: string,
  authNamespace: string,
): Promise<string> {
  if (namespace === authNamespace || namespace === '') return authNamespace;
  // Where it is only a prefix there is nothing that could list mounts.
  return (await visibleMounts(vault, namespace)) === undefined ? authNamespace : namespace;
}
