import { isAllowed } from '../../vault/capabilities.ts';
import { acknowledgementCheck, CHECKS } from './checks.ts';
import { addToPolicy, type Rule } from './commands.ts';
import { type Finding, fine, unknown, wrong } from './finding.ts';
import { span } from './service-account-token.ts';

export interface LeasekeeperFacts {
  /** The state mount, as a full path. */
  readonly state: string;
  /** Of each book whether it is there; undefined: nobody with the given rights may look. */
  readonly books: Readonly<Record<string, boolean | undefined>>;
  /** How long what is due in the book of rotations has been due, in milliseconds; undefined: not to be seen. */
  readonly overdueMs: number | undefined;
  readonly scanIntervalMs: number;
  /** Whether the service acknowledges, and so cannot do without. */
  readonly needed: boolean;
}

/** Whether Leasekeeper has been set up here, and works. */
export function judgeLeasekeeper(facts: LeasekeeperFacts): Finding {
  const { state, books, overdueMs, scanIntervalMs, needed } = facts;
  const seen = Object.entries(books).filter(([, there]) => there !== undefined);
  if (seen.length === 0) {
    return unknown(
      CHECKS.leasekeeper,
      `the given rights do not reach ${state}, and those of a service should not: give an operator's token`,
      ['leasekeeper list'],
    );
  }
  const missing = seen.filter(([, there]) => there === false).map(([name]) => name);
  if (missing.length === seen.length && !needed) {
    return fine(
      CHECKS.leasekeeper,
      `it is not set up at ${state}; a service needs it for managed secrets only`,
    );
  }
  if (missing.length > 0) {
    return wrong(CHECKS.leasekeeper, `it is not set up at ${state}: no book of ${missing.join(', ')}`, [
      'leasekeeper setup',
    ]);
  }
  const there = `set up at ${state} (${seen.map(([name]) => name).join(', ')})`;
  if (overdueMs === undefined) return fine(CHECKS.leasekeeper, there);
  if (overdueMs > 3 * scanIntervalMs) {
    return wrong(
      CHECKS.leasekeeper,
      `${there}, but a rotation has been due for ${span(overdueMs)}: scan or rotate does not run`,
      ['curl -sS http://127.0.0.1:8280/healthz', 'leasekeeper list'],
    );
  }
  return fine(CHECKS.leasekeeper, `${there}, and nothing is overdue`);
}

export interface AcknowledgementFacts {
  readonly consumer: string;
  readonly authNamespace: string;
  readonly policy: string;
  /** The rule that is needed, by a path with `+` for the managed secret. */
  readonly rule: Rule;
  /** Of one such path; undefined: the token may not ask. */
  readonly capabilities: readonly string[] | undefined;
}

/** Whether the service may say which generation it has adopted. */
export function judgeAcknowledgement(facts: AcknowledgementFacts): Finding {
  const check = acknowledgementCheck(facts.consumer);
  const { capabilities, rule, authNamespace, policy } = facts;
  if (capabilities === undefined) return unknown(check, 'this token may not ask what it may do');
  const lacking = rule.capabilities.filter((one) => !isAllowed(capabilities, one));
  if (lacking.length === 0) return fine(check, `the policy allows ${rule.path}`);
  return wrong(check, `the policy does not allow ${lacking.join(', ')} on ${rule.path}`, [
    addToPolicy(authNamespace, policy, [rule]),
  ]);
}
