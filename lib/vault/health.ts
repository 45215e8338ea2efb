import * as z from 'zod';
import { parseAnswer, type Vault } from './client.ts';

/** How one Vault server is, as it says itself to anybody. */
export interface ServerHealth {
  readonly initialized: boolean;
  readonly sealed: boolean;
  readonly standby: boolean;
  /** Empty where Vault keeps it to itself. */
  readonly version: string;
}

const healthAnswer = z.object({
  initialized: z.boolean(),
  sealed: z.boolean(),
  standby: z.boolean(),
  version: z.string().default(''),
});
/** What unsealing takes. */
export interface SealStatus {
  /** By a key service or a key at hand, when the server starts; else by people, each with a share. */
  readonly isAutomatic: boolean;
  /** Shares that are still to come. */
  readonly sharesMissing: number;
}

const sealAnswer = z.object({
  type: z.string(),
  t: z.number().default(0),
  progress: z.number().default(0),
});
const leaderAnswer = z.object({ leader_address: z.string().default('') });

/** Every state with the status 200, so that one that is bad is an answer and no error (Vault's HTTP API, "/sys/health"). */
const ALWAYS_ANSWERED = {
  standbyok: 'true',
  perfstandbyok: 'true',
  sealedcode: '200',
  uninitcode: '200',
  drsecondarycode: '200',
};

/** `sys/health`, which no namespace has: it is asked at the root, and without a token. Throws VaultError. */
export async function readHealth(vault: Vault): Promise<ServerHealth> {
  const answer = await vault.request({
    method: 'GET',
    path: 'sys/health',
    query: ALWAYS_ANSWERED,
    repeatable: true,
  });
  return parseAnswer(healthAnswer, answer, 'reading the health');
}

/** `sys/seal-status`, for anybody. Throws VaultError. */
export async function readSealStatus(vault: Vault): Promise<SealStatus> {
  const answer = await vault.request({ method: 'GET', path: 'sys/seal-status', repeatable: true });
  const { type, t, progress } = parseAnswer(sealAnswer, answer, 'reading the seal');
  return { isAutomatic: type !== 'shamir', sharesMissing: t - progress };
}

/** The address of the active node; empty when there is none. Throws VaultError: a sealed node does not know. */
export async function readLeader(vault: Vault): Promise<string> {
  const answer = await vault.request({ method: 'GET', path: 'sys/leader', repeatable: true });
  return parseAnswer(leaderAnswer, answer, 'reading the leader').leader_address;
}
