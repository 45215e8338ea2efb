import type * as z from 'zod';
import type { Book } from '../../agenda/book.ts';
import type { LeasePolicy } from '../../leases/decide.ts';
import type { CareEntry } from '../../leases/entry.ts';
import type { Vault, VaultClient } from '../../vault/client.ts';
import type { KvStore } from '../../vault/kv-store.ts';
import type { Mounts } from '../../vault/mounts.ts';
import type { HttpSender } from './http/send-request.ts';
import type { Rotator } from './rotator.ts';

/** What rotators work with. */
export interface RotatorDependencies {
  readonly client: VaultClient;
  /** Acting as `rotate`. */
  readonly vault: Vault;
  readonly mounts: Mounts;
  /** The state mount. */
  readonly store: KvStore;
  readonly leases: Book<CareEntry>;
  readonly policy: LeasePolicy;
  /** VAULT_NAMESPACE and VAULT_AUTH_NAMESPACE. */
  readonly namespace: string;
  readonly authNamespace: string;
  /** For services other than Vault. */
  readonly http: HttpSender;
  readonly now: () => number;
  readonly random: () => number;
}

export type Capability = 'create' | 'read' | 'update' | 'patch' | 'delete' | 'list' | 'sudo';

/** One rule of a policy that `setup` writes, with a path that it completes. */
export interface Right {
  readonly path: string;
  /**
   * What the path is under. `namespace`: VAULT_NAMESPACE. `auth`: VAULT_AUTH_NAMESPACE. `system`: where tokens, policies and `sys/` of
   * VAULT_NAMESPACE are, which is VAULT_AUTH_NAMESPACE where it is only a prefix of mounts. `kv-data`, `kv-metadata`, `kv-destroy`: a path
   * in a KV v2 mount under VAULT_NAMESPACE, into which that word is put after the mount. `state-…`: the same in the state mount.
   */
  readonly under:
    | 'namespace'
    | 'auth'
    | 'system'
    | 'kv-data'
    | 'kv-metadata'
    | 'kv-destroy'
    | 'state-data'
    | 'state-metadata';
  readonly capabilities: readonly Capability[];
  /** The only parameters that a request may have; any when left out. */
  readonly parameters?: readonly string[];
}

/** What one managed secret needs in Vault besides the right to publish. */
export interface RotationRights {
  /** Of `rotate` itself. */
  readonly rotate: readonly Right[];
  /** Of the token that is made for each attempt, and the token role that makes it. */
  readonly attempt?: { readonly tokenRole: string; readonly rights: readonly Right[] };
}

/** One kind of managed secret: how it is specified, what it needs in Vault, and how it is rotated. */
export interface RotatorKind<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** `when_asked`: a new secret of this kind has nothing to begin with until somebody asks. */
  readonly begins: 'at_once' | 'when_asked';
  readonly rights: (spec: z.infer<Schema>) => RotationRights;
  readonly open: (deps: RotatorDependencies) => Rotator<z.infer<Schema>>;
}

/** Only for its types: a kind's parts fit together. */
export function rotatorKind<Schema extends z.ZodType>(kind: RotatorKind<Schema>): RotatorKind<Schema> {
  return kind;
}
