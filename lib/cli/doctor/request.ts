import type { Configuration } from '../../secrets-manager/configuration.ts';
import type { Secret } from '../../telemetry/secret.ts';
import type { Wanted } from './checks.ts';
import type { Finding } from './finding.ts';

/** What a person asks of `leasekeeper doctor`, parsed. */
export interface DoctorRequest extends Wanted {
  /** What a SecretsManager would work with in the same place. */
  readonly configuration: Configuration;
  /** VAULT_ADDR as it is set: the configuration has one that will do, whatever was set. */
  readonly address: string | undefined;
  /** Rights to look further with. Nothing is changed with them, but for a lease of our own that nobody else may revoke. */
  readonly operatorToken: Secret | undefined;
  /** Issue, renew and revoke a lease at every dynamic path. */
  readonly issue: boolean;
  /** The state mount, as a full path. */
  readonly state: string;
  readonly scanIntervalMs: number;
}

/** Takes a finding as soon as there is one. */
export type Tell = (...findings: readonly Finding[]) => void;
