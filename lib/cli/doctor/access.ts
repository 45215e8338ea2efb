import type { Vault } from '../../vault/client.ts';
import type { Mounts } from '../../vault/mounts.ts';
import type { Identity } from './examine-identity.ts';
import type { DoctorRequest } from './request.ts';

/** Who looks, and at what. */
export interface Access {
  readonly request: DoctorRequest;
  readonly identity: Identity;
  readonly operator: Vault | undefined;
  readonly mounts: Mounts;
  /** Whose `sys/leases` has the leases, and whose `sys/mounts` the mounts. */
  readonly leaseNamespace: string;
}
