import type { KubernetesRole, RoleLookup } from '../../vault/kubernetes-roles.ts';
import type { LoginRefusal } from '../../vault/login-refusal.ts';
import { CHECKS } from './checks.ts';
import { vaultCommand } from './commands.ts';
import { type Finding, fine, unknown, wrong } from './finding.ts';
import type { ServiceAccountClaims } from './service-account-token.ts';

/** Who logs in, and where. */
export interface LoginFacts {
  readonly role: string;
  /** Where the kubernetes auth method is mounted. */
  readonly mount: string;
  readonly authNamespace: string;
  readonly claims: ServiceAccountClaims;
  /** As an operator's token read it. `denied`: that token may not. Undefined: none was given. */
  readonly lookup: RoleLookup | 'denied' | undefined;
  /** Undefined: Vault let it in. */
  readonly refusal: { readonly kind: LoginRefusal; readonly message: string } | undefined;
}

/** Whom the role lets in. An operator's rights show it; without, the answer to the login tells. */
export function judgeRole(facts: LoginFacts): Finding {
  const { lookup, role, refusal, mount } = facts;
  if (typeof lookup === 'object') {
    if (lookup.state === 'mount-missing') return wrong(CHECKS.role, noMethod(mount), enableMethod(facts));
    if (lookup.state === 'missing') return wrong(CHECKS.role, `there is no role ${role}`, [bind(facts)]);
    return judgeBinding(facts, lookup.role);
  }
  if (refusal === undefined) {
    const { namespace, name } = facts.claims;
    return fine(CHECKS.role, `${role} is bound to ${namespace}/${name}: Vault let it in`);
  }
  const told = ofTheRole(facts, refusal.kind);
  if (told !== undefined) return wrong(CHECKS.role, told.what, told.mend);
  const why =
    lookup === 'denied'
      ? "the operator's token may not read the role"
      : "only an operator's token can read the role: give one in LEASEKEEPER_OPERATOR_TOKEN or --operator-token-file";
  return unknown(CHECKS.role, why, [readRole(facts)]);
}

function judgeBinding(facts: LoginFacts, role: KubernetesRole): Finding {
  const { claims } = facts;
  const bound = `${facts.role} is bound to the service accounts ${listed(role.serviceAccounts)} of the namespaces ${listed(role.namespaces)}${role.namespaceSelector === '' ? '' : ' or those that its selector names'}, audience ${role.audience || 'any'}, policies ${listed(role.policies)}`;
  const faults: string[] = [];
  const mend: string[] = [];
  if (!isBound(role.serviceAccounts, claims.name)) {
    faults.push(`the token is of the service account ${claims.name}`);
    mend.push(`bound_service_account_names=${[...role.serviceAccounts, claims.name].join(',')}`);
  }
  if (!isBound(role.namespaces, claims.namespace) && role.namespaceSelector === '') {
    faults.push(`the token is of the namespace ${claims.namespace}`);
    mend.push(`bound_service_account_namespaces=${[...role.namespaces, claims.namespace].join(',')}`);
  }
  if (role.audience !== '' && !claims.audiences.includes(role.audience)) {
    faults.push(`the token is for ${listed(claims.audiences)}`);
    mend.push(`audience=${claims.audiences[0] ?? ''}`);
  }
  if (role.policies.length === 0) {
    faults.push('it gives no policy');
    mend.push(`token_policies=${facts.role}`);
  }
  if (faults.length === 0) return fine(CHECKS.role, bound);
  return wrong(CHECKS.role, `${bound}; but ${faults.join(', and ')}`, [write(facts, mend)]);
}

/** As Vault compares: `*` stands for anything, at either end too. */
export function isBound(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => {
    const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`).test(name);
  });
}

export function judgeLogin(facts: LoginFacts): Finding {
  const { refusal, role, mount, authNamespace } = facts;
  if (refusal === undefined) return fine(CHECKS.login, `Vault let ${role} in at auth/${mount}`);
  // Vault does not always tell; an operator's rights do.
  const unmounted = typeof facts.lookup === 'object' && facts.lookup.state === 'mount-missing';
  const kind = unmounted ? 'mount-unknown' : refusal.kind;
  const told = ofTheRole(facts, kind) ?? ofTheMethod(facts, kind);
  if (told !== undefined) return wrong(CHECKS.login, told.what, told.mend);
  const message = `Vault says no more than: ${refusal.message}`;
  if (refusal.kind === 'other') return wrong(CHECKS.login, message, []);
  return wrong(
    CHECKS.login,
    `${message}. Either auth/${mount} is no kubernetes method (HashiCorp Vault does not tell), or Vault could not have the token reviewed: kubernetes_host is not reached from Vault, the reviewer lacks system:auth-delegator, or the token is of another cluster or was revoked`,
    [
      vaultCommand(authNamespace, 'read', `auth/${mount}/config`),
      `kubectl create clusterrolebinding vault-token-review --clusterrole=system:auth-delegator --serviceaccount=vault:vault`,
    ],
  );
}

interface Told {
  readonly what: string;
  readonly mend: readonly string[];
}

/** The refusals for which the role itself is to blame. */
function ofTheRole(facts: LoginFacts, kind: LoginRefusal): Told | undefined {
  const { role, claims } = facts;
  const known =
    typeof facts.lookup === 'object' && facts.lookup.state === 'there' ? facts.lookup.role : undefined;
  const replaces =
    known === undefined ? '. The list is replaced as a whole: see first who else is in it' : '';
  const first = known === undefined ? [readRole(facts)] : [];
  switch (kind) {
    case 'role-unknown':
      return { what: `there is no role ${role} ("invalid role name")`, mend: [bind(facts)] };
    case 'service-account-not-bound': {
      const names = [...(known?.serviceAccounts ?? []), claims.name].join(',');
      const what = `the role ${role} is not bound to the service account ${claims.name} ("service account name not authorized")${replaces}`;
      return { what, mend: [...first, write(facts, [`bound_service_account_names=${names}`])] };
    }
    case 'namespace-not-bound': {
      const names = [...(known?.namespaces ?? []), claims.namespace].join(',');
      const what = `the role ${role} is not bound to the namespace ${claims.namespace} ("namespace not authorized")${replaces}`;
      return { what, mend: [...first, write(facts, [`bound_service_account_namespaces=${names}`])] };
    }
    case 'audience-mismatch': {
      const wanted = known?.audience ? `wants the audience ${known.audience}` : 'wants another audience';
      return {
        what: `the token is for ${listed(claims.audiences)}, and the role ${role} ${wanted}. Change the role, or have the token made for that audience (serviceAccountToken.audience of the projected volume)`,
        mend: [...first, write(facts, [`audience=${claims.audiences[0] ?? ''}`])],
      };
    }
    default:
      return undefined;
  }
}

/** Those for which the auth method, or the token, is. */
function ofTheMethod(facts: LoginFacts, kind: LoginRefusal): Told | undefined {
  const { mount, claims } = facts;
  switch (kind) {
    case 'mount-unknown':
      return { what: noMethod(mount), mend: enableMethod(facts) };
    case 'not-configured':
      return { what: `the auth method at auth/${mount} is not configured`, mend: [configure(facts)] };
    case 'token-expired':
      return {
        what: 'Vault finds the service account token expired, and here it is not: a clock is wrong, or Kubernetes has ended it',
        mend: ['date -u', `kubectl -n ${claims.namespace} rollout restart deployment ${claims.name}`],
      };
    default:
      return undefined;
  }
}

function noMethod(mount: string): string {
  return `there is no auth method at auth/${mount}; VAULT_AUTH_NAMESPACE says in which namespace it is looked for`;
}

function enableMethod(facts: LoginFacts): readonly string[] {
  const { authNamespace, mount } = facts;
  return [
    vaultCommand(authNamespace, 'auth', 'enable', `-path=${mount}`, 'kubernetes'),
    configure(facts),
    bind(facts),
  ];
}

function configure({ authNamespace, mount }: LoginFacts): string {
  return vaultCommand(
    authNamespace,
    'write',
    `auth/${mount}/config`,
    'kubernetes_host=https://kubernetes.default.svc',
  );
}

/** A new role in full. */
function bind(facts: LoginFacts): string {
  const { claims, role } = facts;
  const audience = claims.audiences[0];
  return write(facts, [
    `bound_service_account_names=${claims.name}`,
    `bound_service_account_namespaces=${claims.namespace}`,
    ...(audience === undefined ? [] : [`audience=${audience}`]),
    `token_policies=${role}`,
    'token_ttl=1h',
  ]);
}

/** What is not named stays as it is. */
function write({ authNamespace, mount, role }: LoginFacts, fields: readonly string[]): string {
  return vaultCommand(authNamespace, 'write', `auth/${mount}/role/${role}`, ...fields);
}

function readRole({ authNamespace, mount, role }: LoginFacts): string {
  return vaultCommand(authNamespace, 'read', `auth/${mount}/role/${role}`);
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
