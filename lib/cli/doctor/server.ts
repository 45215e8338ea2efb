import { isVaultError, type VaultError } from '../../vault/errors.ts';
import type { SealStatus, ServerHealth } from '../../vault/health.ts';
import { CHECKS } from './checks.ts';
import { quoted, vaultCommand } from './commands.ts';
import { type Finding, fine, wrong } from './finding.ts';

/** What else is asked, of a server that is in such a state; undefined: it does not say. */
export interface ServerDetails {
  /** Of a standby; empty: it knows of none. */
  readonly leader?: string | undefined;
  /** Of one that is sealed. */
  readonly seal?: SealStatus | undefined;
}

export function judgeHealth(health: ServerHealth, { leader, seal }: ServerDetails): Finding {
  const version = health.version === '' ? '' : `, version ${health.version}`;
  if (!health.initialized) {
    return wrong(CHECKS.vault, `it is not initialised${version}: nothing was ever kept in it`, [
      vaultCommand('', 'operator', 'init'),
    ]);
  }
  if (health.sealed) {
    return judgeSealed(version, seal);
  }
  if (!health.standby) return fine(CHECKS.vault, `initialised, unsealed, active${version}`);
  if (leader !== '') {
    const at = leader === undefined ? 'the active one' : leader;
    return fine(
      CHECKS.vault,
      `initialised, unsealed${version}; a standby, which passes requests on to ${at}`,
    );
  }
  return wrong(CHECKS.vault, `a standby${version}, and the cluster has no active node`, [
    vaultCommand('', 'operator', 'raft', 'list-peers'),
  ]);
}

function judgeSealed(version: string, seal: SealStatus | undefined): Finding {
  if (seal?.isAutomatic === true) {
    return wrong(
      CHECKS.vault,
      `it is sealed${version}. It unseals itself when it starts and reaches what keeps its key: start it again`,
      ['systemctl restart vault'],
    );
  }
  const often =
    seal === undefined ? 'as often as its threshold asks for' : `${seal.sharesMissing} times more`;
  return wrong(CHECKS.vault, `it is sealed${version}. Unseal it, ${often}, each time with another share`, [
    vaultCommand('', 'operator', 'unseal'),
  ]);
}

/** Whatever listens gave no such answer as Vault gives. */
export function judgeNoHealth(error: VaultError, origin: string): Finding {
  const proxy = isVaultError(error, 'vault_invalid_answer', 'vault_not_found', 'vault_bad_request');
  return wrong(
    CHECKS.vault,
    `${error.message}${proxy ? ' Is it Vault that listens there, or a proxy before it?' : ''}`,
    [`curl -sS -i ${quoted(`${origin}/v1/sys/health`)}`],
  );
}

/** A token of Kubernetes is refused, and TTLs are misjudged, when clocks differ by more. */
const MOST_DIFFERENCE_MS = 5_000;

/** `differenceMs`: Vault's clock less this machine's; below about 1.5 s it is taken for none (Vault's Date header has whole seconds). */
export function judgeClock(differenceMs: number): Finding {
  const seconds = Math.round(Math.abs(differenceMs) / 1_000);
  if (Math.abs(differenceMs) <= MOST_DIFFERENCE_MS) {
    return fine(CHECKS.clock, seconds === 0 ? "as Vault's" : `${seconds} s from Vault's`);
  }
  const direction = differenceMs > 0 ? 'behind' : 'ahead of';
  return wrong(
    CHECKS.clock,
    `this machine is ${seconds} s ${direction} Vault: service account tokens are judged by both clocks, and TTLs counted by this one. Compare with the time, and put right the one that is off`,
    ['date -u', 'sudo timedatectl set-ntp true'],
  );
}
