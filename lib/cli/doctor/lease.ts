import { within } from '../../vault/addressing.ts';
import { isAllowed } from '../../vault/capabilities.ts';
import type { LeaseLimits } from '../../vault/lease-limits.ts';
import { CHECKS } from './checks.ts';
import { addToPolicy, vaultCommand } from './commands.ts';
import { type Check, type Finding, fine, unknown, wrong } from './finding.ts';
import { type PathFacts, pathFault } from './secret.ts';

export interface DynamicFacts extends PathFacts {
  /** The role of the database engine as an operator's token read it; undefined: not looked at, or of another engine. */
  readonly role: LeaseLimits | 'missing' | undefined;
}

/** A path of `getDynamicSecret` that an engine issues from. One in KV is judged as a secret: generations are published there. */
export function judgeDynamic(facts: DynamicFacts): Finding {
  const fault = pathFault(facts, facts.fullPath);
  if (fault !== undefined) return fault;
  const { check, mount, capabilities, fullPath, role } = facts;
  if (role === 'missing') {
    return wrong(check, `the policy allows ${fullPath}, but the engine has no such role`, [
      vaultCommand(facts.authNamespace, 'list', `${within(facts.authNamespace, mount?.path ?? '')}/roles`),
    ]);
  }
  if (capabilities === undefined) {
    return unknown(check, 'this token may not ask what it may do', [
      `leasekeeper doctor --dynamic ${facts.path} --issue`,
    ]);
  }
  return fine(check, `the policy allows it; the ${mount?.type ?? ''} engine issues it`);
}

export interface LeaseRightsFacts {
  readonly authNamespace: string;
  /** Whose `sys/leases/*` has the leases: the mounts' namespace. */
  readonly leaseNamespace: string;
  /** Of `renew` and `revoke` there; undefined: the token may not ask. */
  readonly renew: readonly string[] | undefined;
  readonly revoke: readonly string[] | undefined;
  /** Whether the service has dynamic secrets at all. */
  readonly needed: boolean;
  readonly policy: string;
}

/** Full path of an operation on leases. */
export function leasesPath(leaseNamespace: string, operation: 'renew' | 'revoke'): string {
  return `${leaseNamespace === '' ? '' : `${leaseNamespace}/`}sys/leases/${operation}`;
}

export function judgeLeaseRenewal(facts: LeaseRightsFacts): Finding {
  const { renew, needed, policy, authNamespace, leaseNamespace } = facts;
  const path = leasesPath(leaseNamespace, 'renew');
  if (renew === undefined) return unknown(CHECKS.leaseRenewal, 'this token may not ask what it may do');
  if (isAllowed(renew, 'update')) return fine(CHECKS.leaseRenewal, `the policy allows ${path}`);
  const own =
    leaseNamespace === authNamespace ? '' : `: leases of the namespace ${leaseNamespace} are renewed there`;
  const what = `the policy does not allow ${path}${own}`;
  if (!needed) return fine(CHECKS.leaseRenewal, `${what}; no --dynamic path needs it`);
  return wrong(CHECKS.leaseRenewal, what, [
    addToPolicy(authNamespace, policy, [{ path: within(authNamespace, path), capabilities: ['update'] }]),
  ]);
}

/** Revoking is a courtesy: nothing is wrong without. */
export function judgeLeaseRevocation(facts: LeaseRightsFacts): Finding {
  const { revoke, leaseNamespace, authNamespace } = facts;
  const path = leasesPath(leaseNamespace, 'revoke');
  if (revoke === undefined) return unknown(CHECKS.leaseRevocation, 'this token may not ask what it may do');
  if (isAllowed(revoke, 'update')) return fine(CHECKS.leaseRevocation, `the policy allows ${path}`);
  const end =
    leaseNamespace === authNamespace
      ? 'a lease that was replaced lives to its TTL, or to the end of the token that made it'
      : 'a lease that was replaced lives to its TTL: it is in another namespace than the token';
  return fine(CHECKS.leaseRevocation, `the policy does not allow ${path}, and need not: ${end}`);
}

/** What came of a lease that was really issued. TTLs in seconds. */
export interface Trial {
  readonly ttlSeconds: number;
  readonly renewable: boolean;
  /** What a renewal to the same TTL granted; or why it did not. */
  readonly renewed: number | 'denied' | 'refused' | 'not-renewable';
  readonly ended: 'revoked' | 'with-token' | 'at-ttl';
}

export interface LeaseTtlFacts {
  readonly check: Check;
  readonly path: string;
  readonly authNamespace: string;
  /** Full path. */
  readonly mount: string;
  readonly engine: string;
  readonly trial: Trial | undefined;
  /** As an operator's token read them: of the role, where its engine has such, and of the mount. */
  readonly roleLimits: LeaseLimits | undefined;
  readonly mountLimits: LeaseLimits | undefined;
  readonly scanIntervalMs: number;
  readonly token: { readonly ttlSeconds: number; readonly renewable: boolean; readonly endless: boolean };
  readonly policy: string;
  /** Where leases are renewed. */
  readonly renewPath: string;
}

/** Three scan intervals: what `canBeKept` asks for (lib/leases/decide.ts). */
const INTERVALS = 3;
const NOTICEABLY_LESS = 0.9;

export function judgeLeaseTtl(facts: LeaseTtlFacts): Finding {
  const { check, trial, path } = facts;
  const ttl = ttlOf(facts);
  if (ttl === undefined) {
    return unknown(check, "seen only when one is issued, or with an operator's token", [
      `leasekeeper doctor --dynamic ${path} --issue`,
    ]);
  }
  if (trial?.renewed === 'denied') {
    return wrong(check, `issued for ${ttl} s, but the policy does not let it be renewed`, [
      addToPolicy(facts.authNamespace, facts.policy, [
        { path: within(facts.authNamespace, facts.renewPath), capabilities: ['update'] },
      ]),
    ]);
  }
  if (trial?.renewed === 'refused') {
    return wrong(
      check,
      `issued for ${ttl} s, but the ${facts.engine} engine could not renew it: see Vault's log and the system behind the engine`,
      [],
    );
  }
  const seen = `${trial === undefined ? '' : 'issued, '}${ttl} s${toldOfMax(facts)}${toldOfTrial(facts)}`;
  const shortest = (INTERVALS * facts.scanIntervalMs) / 1_000;
  if (ttl < shortest) {
    return wrong(
      check,
      `${seen}; shorter than three scan intervals (${shortest} s), so Leasekeeper does not keep it (kept: false); SecretsManager renews its own`,
      [longer(facts)],
    );
  }
  const { token } = facts;
  if (!token.endless && ttl > token.ttlSeconds && !token.renewable) {
    return wrong(
      check,
      `${seen}; longer than the token's ${token.ttlSeconds} s, and the token cannot be renewed: the lease dies with it`,
      [withTtl(facts, `${token.ttlSeconds}s`, `${token.ttlSeconds}s`)],
    );
  }
  const parent =
    !token.endless && ttl > token.ttlSeconds
      ? `; longer than the token's ${token.ttlSeconds} s: it lives on only while the token is renewed`
      : '';
  return fine(check, `${seen}${parent}`);
}

function ttlOf({ trial, roleLimits, mountLimits }: LeaseTtlFacts): number | undefined {
  if (trial !== undefined) return trial.ttlSeconds;
  if (roleLimits === undefined) return undefined;
  const chosen = roleLimits.defaultTtlSeconds || mountLimits?.defaultTtlSeconds;
  const most = maxOf({ roleLimits, mountLimits });
  return chosen === undefined ? undefined : Math.min(chosen, most ?? chosen);
}

function maxOf({
  roleLimits,
  mountLimits,
}: Pick<LeaseTtlFacts, 'roleLimits' | 'mountLimits'>): number | undefined {
  const limits = [roleLimits?.maxTtlSeconds, mountLimits?.maxTtlSeconds].filter(
    (limit) => limit !== undefined && limit > 0,
  );
  return limits.length === 0 ? undefined : Math.min(...limits.map(Number));
}

function toldOfMax(facts: LeaseTtlFacts): string {
  const most = maxOf(facts);
  return most === undefined ? '' : `, at most ${most} s with all renewals`;
}

function toldOfTrial({ trial }: LeaseTtlFacts): string {
  if (trial === undefined) return '';
  const { renewed, ttlSeconds, ended } = trial;
  const renewal =
    typeof renewed !== 'number'
      ? ', not renewable: it is replaced before its end'
      : renewed < ttlSeconds * NOTICEABLY_LESS
        ? `, renewed to ${renewed} s only: that is its max TTL`
        : ', renewed';
  const end = {
    revoked: ', revoked again',
    'with-token': ', ended with its token',
    'at-ttl': ', not revoked: it ends at its TTL',
  }[ended];
  return `${renewal}${end}`;
}

const LONG_ENOUGH = '1h';
const LONG_IN_ALL = '24h';

function longer(facts: LeaseTtlFacts): string {
  return withTtl(facts, LONG_ENOUGH, LONG_IN_ALL);
}

/** A database role has limits of its own; of other engines those of the mount are in force, unless their role says otherwise. */
function withTtl(facts: LeaseTtlFacts, ttl: string, max: string): string {
  const { authNamespace, engine, mount, path } = facts;
  const at = within(authNamespace, mount);
  const role = path.split('/').at(-1) ?? '';
  return engine === 'database'
    ? vaultCommand(authNamespace, 'write', `${at}/roles/${role}`, `default_ttl=${ttl}`, `max_ttl=${max}`)
    : vaultCommand(
        authNamespace,
        'secrets',
        'tune',
        `-default-lease-ttl=${ttl}`,
        `-max-lease-ttl=${max}`,
        at,
      );
}
