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

/** A managed secret of the kind `lease`, as far as Vault must be prepared for it. Paths are full paths. */
export interface ManagedLease {
  readonly name: string;
  /** The token role of its attempts; begins with `leasekeeper-`, because rotate may use no other. */
  readonly tokenRole: string;
  /** `lotabots/database/creds/api-gateway` */
  readonly source: string;
  /** The KV v2 mount it is published in, and the path within. */
  readonly publishMount: string;
  readonly publishPath: string;
}

/** AppRole identities of the functions, one role `leasekeeper-<function>` each. */
export interface AppRoleIdentities {
  readonly mount: string;
  /** Seconds that a secret id can be used to log in; 0: for ever. */
  readonly secretIdTtlSeconds: number;
}

/** Kubernetes identities of the functions, one role `leasekeeper-<function>` each, for a service account of the same name. */
export interface KubernetesIdentities {
  /** An auth method that is there and configured. */
  readonly mount: string;
  readonly serviceAccountNamespace: string;
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
  readonly managed: readonly ManagedLease[];
  readonly templates: PolicyTemplates;
}
