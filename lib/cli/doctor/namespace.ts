import { joinPath, within } from '../../vault/addressing.ts';
import { CHECKS } from './checks.ts';
import { exportCommand, vaultCommand } from './commands.ts';
import { type Finding, fine, unknown, wrong } from './finding.ts';

export interface NamespaceFacts {
  /** VAULT_NAMESPACE as a full path; empty for root. */
  readonly namespace: string;
  readonly authNamespace: string;
  /** Full paths of mounts in a namespace of that name, as the service's token sees them; undefined: there is no such namespace. */
  readonly inside: readonly string[] | undefined;
  /** The same of the authentication namespace. */
  readonly beside: readonly string[];
  /** As an operator's token sees that one; undefined: there is none, or it may not look. */
  readonly besideForOperator: readonly string[] | undefined;
}

/** What VAULT_NAMESPACE turned out to be. `none`: nothing is there. `unseen`: this token sees nothing anywhere. */
export type Layout = 'namespace' | 'prefix' | 'none' | 'unseen';

export function layoutIn(facts: NamespaceFacts): Layout {
  const { namespace, authNamespace, inside, beside, besideForOperator } = facts;
  if (inside !== undefined || namespace === authNamespace) return 'namespace';
  const all = [...beside, ...(besideForOperator ?? [])];
  if (all.some((mount) => isUnder(mount, namespace))) return 'prefix';
  return all.length === 0 ? 'unseen' : 'none';
}

export function judgeNamespace(facts: NamespaceFacts): Finding {
  const { namespace, authNamespace, inside, beside } = facts;
  const name = namespace === '' ? 'root' : namespace;
  switch (layoutIn(facts)) {
    case 'namespace': {
      const mounts = (inside ?? beside).map((mount) => within(namespace, mount));
      return fine(CHECKS.namespace, `${name} is a namespace; this token sees ${listed(mounts)} in it`);
    }
    case 'prefix': {
      const mounts = beside.filter((mount) => isUnder(mount, namespace));
      return fine(
        CHECKS.namespace,
        `${name} is no namespace but the beginning of mounts; this token sees ${listed(mounts)}`,
      );
    }
    case 'unseen':
      return unknown(
        CHECKS.namespace,
        `there is no namespace ${name}, and this token sees no mount at all, so that it may be the beginning of some`,
        [vaultCommand(authNamespace, 'secrets', 'list')],
      );
    case 'none':
      return nothingThere(facts, name);
  }
}

function nothingThere({ authNamespace, beside, besideForOperator }: NamespaceFacts, name: string): Finding {
  const seen = beside.length === 0 ? (besideForOperator ?? []) : beside;
  const beginnings = [...new Set(seen.map((mount) => beginningOf(mount, authNamespace)))];
  const [only, ...others] = beginnings;
  return wrong(
    CHECKS.namespace,
    `nothing was found at ${name}: there is no such namespace, and no mount that begins with ${name}/; to be seen are ${listed(seen)}`,
    [
      ...(only !== undefined && others.length === 0 ? [exportCommand('VAULT_NAMESPACE', only)] : []),
      vaultCommand(authNamespace, 'namespace', 'list'),
      vaultCommand(authNamespace, 'secrets', 'list'),
    ],
  );
}

function beginningOf(mount: string, authNamespace: string): string {
  return joinPath(authNamespace, within(authNamespace, mount).split('/')[0] ?? '');
}

function isUnder(mount: string, namespace: string): boolean {
  return namespace === '' || mount.startsWith(`${namespace}/`);
}

function listed(mounts: readonly string[]): string {
  return mounts.length === 0 ? 'no mount' : mounts.toSorted().join(', ');
}
