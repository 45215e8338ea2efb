import type { Right } from '../../rotation/rotators/kind.ts';
import type { PolicyTemplates } from './policy-files.ts';

/** `namespace`: VAULT_NAMESPACE is a real namespace. `prefix`: it is only the beginning of mount paths. */
export type Layout = 'namespace' | 'prefix';

/** How many shards each book gets when it is new. A book keeps the number it was made with. */
export interface BookShards {
  readonly leases: number;
  readonly rotations: number;
  readonly deliveries: number;
}

export const DEFAULT_SHARDS: BookShards = { leases: 4, rotations: 1, deliveries: 1 };
export const DEFAULT_STATE = 'leasekeeper';

/** A path in a KV v2 mount. */
export interface KvPath {
  /** The mount's full path: `lotabots/app`. */
  readonly mount: string;
  /** Within the mount: `database`. */
  readonly path: string;
}

type KvWord = Extract<Right['under'], `kv-${string}`>;

/** A right as its kind declares it, and for a path in KV its mount, which only Vault knows. */
export type KnownRight =
  | ({
      readonly under: Exclude<Right['under'], KvWord>;
      readonly path: string;
    } & Allowed)
  | (KvPath & { readonly under: KvWord } & Allowed);
type Allowed = Pick<Right, 'capabilities' | 'parameters'>;

/** What Vault must be prepared for so that one managed secret of any kind can be rotated. */
export interface ManagedAccess {
  readonly name: string;
  /** Where its generations are published; left out by kinds that publish nothing. */
  readonly publish?: KvPath;
  /** Who acknowledges them. */
  readonly consumers: readonly string[];
  /** Of `rotate`, besides publishing. */
  readonly rights: readonly KnownRight[];
  /** Of the token that is made for each attempt. Its role begins with `leasekeeper-`, because rotate may use no other. */
  readonly attempt?: { readonly tokenRole: string; readonly rights: readonly KnownRight[] };
}

/** AppRole identities of the functions, one role `leasekeeper-<function>` each. */
export interface AppRoleIdentities {
  readonly mount: string;
  /** Seconds that a secret id can be used to log in; 0: for ever. */
  readonly secretIdTtlSeconds: number;
}

/** Kubernetes identities of the functions, one role `leasekeeper-<function>` each. */
export interface KubernetesIdentities {
  /** An auth method that is there and configured. */
  readonly mount: string;
  readonly serviceAccountNamespace: string;
  /** Who may log in by every role: the account of a pod in which all functions run. Left out: by each role an account of its name. */
  readonly serviceAccount?: string;
  readonly audience?: string;
}

/** Everything a plan is made from. Nothing in it needs Vault any more: resolve.ts has asked what there was to ask. */
export interface SetupOptions {
  /** VAULT_NAMESPACE as a full path: it begins with `authNamespace`. */
  readonly namespace: string;
  /** Where tokens, policies and the state mount live: VAULT_AUTH_NAMESPACE, the root namespace by default. */
  readonly authNamespace: string;
  readonly layout: Layout;
  /** The state mount as a full path: it begins with `authNamespace`. */
  readonly state: string;
  /** Versions that the state mount keeps of each document. */
  readonly maxVersions: number;
  readonly shards: BookShards;
  /** Seconds of the functions' own tokens between renewals. */
  readonly tokenTtlSeconds: number;
  readonly appRole?: AppRoleIdentities;
  readonly kubernetes?: KubernetesIdentities;
  readonly managed: readonly ManagedAccess[];
  /** Who acknowledges besides the consumers that `managed` names. */
  readonly consumers?: readonly string[];
  readonly templates: PolicyTemplates;
}
