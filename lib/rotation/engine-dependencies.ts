import type { Bus } from '../bus/bus.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Vault } from '../vault/client.ts';
import type { KvStore } from '../vault/kv-store.ts';
import type { Mounts } from '../vault/mounts.ts';
import type { GatherEvidence } from './evidence/evidence.ts';
import type { ManagedSecrets } from './managed-secrets.ts';
import type { RunProbe } from './probes/probe.ts';
import type { RotatorOf } from './rotators/kinds.ts';

/** What the rotation of a secret works with. */
export interface EngineDependencies {
  readonly secrets: ManagedSecrets;
  /** The state mount, where pending values and acknowledgements are. */
  readonly store: KvStore;
  /** Acting as `rotate`. */
  readonly vault: Vault;
  readonly mounts: Mounts;
  readonly namespace: string;
  readonly rotatorOf: RotatorOf;
  readonly runProbe: RunProbe;
  readonly gatherEvidence: GatherEvidence;
  readonly bus: Bus;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
  /** Told of faults that do not stop the work: a bus that is down, a revocation that failed. */
  readonly onError: (error: unknown, name: string) => void;
}
