import { isAllowed } from '../../vault/capabilities.ts';
import type { TokenDetails } from '../../vault/token-details.ts';
import { CHECKS } from './checks.ts';
import { addToPolicy, type Rule, vaultCommand, writePolicy } from './commands.ts';
import { type Finding, fine, wrong } from './finding.ts';
import { span } from './service-account-token.ts';

export interface TokenFacts {
  readonly details: TokenDetails;
  /** The Kubernetes role that it came from; undefined for VAULT_TOKEN. */
  readonly role: string | undefined;
  readonly mount: string;
  readonly authNamespace: string;
  /** Of `auth/token/renew-self`; undefined: this token may not even ask. */
  readonly renewSelf: readonly string[] | undefined;
  /** What a renewal granted, in seconds; undefined: none was tried, or Vault refused. */
  readonly renewedSeconds: number | undefined;
  /** Policies that the token names and nobody has written, as an operator sees it; undefined: not looked at. */
  readonly missingPolicies: readonly string[] | undefined;
  /** What the service needs, for a policy that must be written. */
  readonly needed: readonly Rule[];
}

/** The policy that is the service's own: of its role's name, or the first besides `default`. */
export function ownPolicy(
  details: Pick<TokenDetails, 'policies'>,
  role: string | undefined,
): string | undefined {
  const own = details.policies.filter((name) => name !== 'default' && name !== 'root');
  return own.find((name) => name === role) ?? own[0];
}

export function judgeToken(facts: TokenFacts): Finding {
  const { details, role, authNamespace, missingPolicies, needed } = facts;
  const { policies } = details;
  if (policies.includes('root')) {
    return wrong(CHECKS.token, 'it is a root token, which may do everything: a service must not have it', [
      'unset VAULT_TOKEN',
    ]);
  }
  if (ownPolicy(details, role) === undefined) {
    const name = role ?? 'service';
    return wrong(CHECKS.token, 'it has no policy of its own (only default), so it may read nothing', [
      ...(missingPolicies === undefined ? [] : [writePolicy(authNamespace, name, needed)]),
      role === undefined
        ? vaultCommand(authNamespace, 'token', 'create', `-policy=${name}`)
        : writeRole(facts, `token_policies=${name}`),
    ]);
  }
  if (missingPolicies !== undefined && missingPolicies.length > 0) {
    return wrong(
      CHECKS.token,
      `it names policies that nobody has written: ${missingPolicies.join(', ')}`,
      missingPolicies.map((name) => writePolicy(authNamespace, name, needed)),
    );
  }
  if (details.usesLeft > 0) {
    return wrong(CHECKS.token, `it may be used ${details.usesLeft} times more, and then no longer`, [
      role === undefined
        ? vaultCommand(authNamespace, 'token', 'create', '-use-limit=0')
        : writeRole(facts, 'token_num_uses=0'),
    ]);
  }
  return fine(CHECKS.token, `policies ${policies.join(', ')}; ${lifeOf(details)}`);
}

function lifeOf({
  endless,
  ttlSeconds,
  isBatch,
  explicitMaxTtlSeconds,
  periodSeconds,
}: TokenDetails): string {
  if (endless) return 'without an end';
  const facts = [`${span(ttlSeconds * 1_000)} to live`];
  if (periodSeconds > 0) facts.push(`a period of ${span(periodSeconds * 1_000)}`);
  if (explicitMaxTtlSeconds > 0) facts.push(`an explicit max TTL of ${span(explicitMaxTtlSeconds * 1_000)}`);
  if (isBatch) facts.push('a batch token');
  return facts.join(', ');
}

/** Granted less than this share of what was asked for: the max TTL is near. */
const NOTICEABLY_LESS = 0.9;

export function judgeTokenRenewal(facts: TokenFacts): Finding {
  const { details, renewSelf, renewedSeconds, role, authNamespace } = facts;
  if (details.endless) return fine(CHECKS.tokenRenewal, 'not needed: the token has no end');
  const instead = role === undefined ? 'nobody replaces VAULT_TOKEN' : 'the service logs in again each time';
  if (!details.renewable) {
    const what = `the token cannot be renewed (${details.isBatch ? 'a batch token' : 'not renewable'}), so ${instead}; its leases end with it`;
    return role === undefined
      ? wrong(CHECKS.tokenRenewal, what, [
          vaultCommand(authNamespace, 'token', 'create', '-orphan', '-period=1h'),
        ])
      : wrong(CHECKS.tokenRenewal, what, [writeRole(facts, 'token_type=service', 'token_ttl=1h')]);
  }
  if (renewSelf !== undefined && !isAllowed(renewSelf, 'update')) {
    return wrong(CHECKS.tokenRenewal, `the policy does not allow auth/token/renew-self, so ${instead}`, [
      addToPolicy(authNamespace, ownPolicy(details, role) ?? role ?? 'service', [
        { path: 'auth/token/renew-self', capabilities: ['update'] },
      ]),
    ]);
  }
  if (renewedSeconds === undefined) return fine(CHECKS.tokenRenewal, 'allowed');
  if (renewedSeconds < details.creationTtlSeconds * NOTICEABLY_LESS) {
    return fine(
      CHECKS.tokenRenewal,
      `allowed, but it gives ${span(renewedSeconds * 1_000)} only: the max TTL is near. ${role === undefined ? 'Then somebody must give a new token' : 'Then the service logs in again'}`,
    );
  }
  return fine(CHECKS.tokenRenewal, `tried: good for another ${span(renewedSeconds * 1_000)}`);
}

function writeRole({ authNamespace, mount, role }: TokenFacts, ...fields: readonly string[]): string {
  return vaultCommand(authNamespace, 'write', `auth/${mount}/role/${role ?? ''}`, ...fields);
}
