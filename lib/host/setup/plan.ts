import { joinPath, within } from '../../vault/addressing.ts';
import { FUNCTIONS, type FunctionName } from '../identities.ts';
import type { AppRoleIdentities, KubernetesIdentities, ManagedLease, SetupOptions } from './options.ts';
import { type PolicyValues, renderPolicy } from './render-policy.ts';
import { SetupError } from './setup-error.ts';
import type { SetupBody, SetupStep } from './step.ts';
import { authMountStep, kvMountStep, objectStep, policyStep } from './steps.ts';

/** Names of policies that rotate has besides its own, one for each managed secret. */
const MANAGED_POLICY_PREFIX = 'leasekeeper-managed-';
/** The token roles that rotate's policy lets it use. */
const TOKEN_ROLE_PREFIX = 'leasekeeper-';

/** Everything a prepared Vault has, in the order in which it must be made. Pure. Throws SetupError. */
export function planSetup(options: SetupOptions): readonly SetupStep[] {
  const managed = checkedManaged(options.managed);
  return [
    ...policySteps(options),
    ...managed.flatMap((secret) => managedSteps(options, secret)),
    ...identitySteps(options),
    // Last, because a new KV mount takes a moment before it takes writes.
    ...stateSteps(options),
  ].toSorted((a, b) => Number(b.foundation) - Number(a.foundation));
}

/** The state mount with its three books. Their numbers of shards are not compared: a book keeps the number it was made with. */
function stateSteps(options: SetupOptions): readonly SetupStep[] {
  const { authNamespace, state, maxVersions, shards } = options;
  // Documents that delete themselves would be leases that nobody renews.
  const config = { cas_required: true, max_versions: maxVersions, delete_version_after: '0s' };
  const factory = { cas_required: false, max_versions: 0, delete_version_after: '0s' };
  const configured = objectStep(`configuration of ${state}`, joinPath(state, 'config'), config);
  return [
    kvMountStep(authNamespace, within(authNamespace, state)),
    { ...configured, read: { ...configured.read, factory } },
    ...Object.entries(shards).map(([book, count]) => bookStep(state, book, count)),
  ];
}

/** The same write as that of `Book.create` (lib/agenda/book.ts). */
function bookStep(mount: string, book: string, shards: number): SetupStep {
  const path = joinPath(mount, 'data/agenda', book, 'about');
  return {
    title: `book ${book}`,
    ours: false,
    foundation: false,
    read: { path, at: ['data', 'data'], wanted: { schema: 1 } },
    write: { method: 'PUT', path, body: { data: { shards, schema: 1 }, options: { cas: 0 } } },
  };
}

function policySteps(options: SetupOptions): readonly SetupStep[] {
  const values: PolicyValues = {
    state: within(options.authNamespace, options.state),
    namespace: within(options.authNamespace, options.namespace),
  };
  return [...FUNCTIONS, 'operator' as const].map((name) =>
    policyStep(
      options.authNamespace,
      `leasekeeper-${name}`,
      renderPolicy(options.templates[`leasekeeper-${name}`], values),
    ),
  );
}

/** What lets rotate publish a managed secret, and the token role of its attempts in the namespace where its leases are. */
function managedSteps(options: SetupOptions, secret: ManagedLease): readonly SetupStep[] {
  const { authNamespace, templates } = options;
  const tokenNamespace = options.layout === 'namespace' ? options.namespace : authNamespace;
  const attemptPolicy = `leasekeeper-attempt-${secret.name}`;
  return [
    policyStep(
      authNamespace,
      `${MANAGED_POLICY_PREFIX}${secret.name}`,
      renderPolicy(templates['leasekeeper-managed'], {
        publish_mount: within(authNamespace, secret.publishMount),
        publish_path: secret.publishPath,
      }),
    ),
    policyStep(
      tokenNamespace,
      attemptPolicy,
      renderPolicy(templates['leasekeeper-attempt'], { source: within(tokenNamespace, secret.source) }),
    ),
    objectStep(
      `token role ${joinPath(tokenNamespace, secret.tokenRole)}`,
      joinPath(tokenNamespace, 'auth/token/roles', secret.tokenRole),
      attemptRole(attemptPolicy),
    ),
  ];
}

/** What would widen the role is named too, so that it is seen when somebody has set it. */
function attemptRole(policy: string): SetupBody {
  return {
    orphan: true,
    renewable: true,
    token_type: 'service',
    allowed_policies: [policy],
    allowed_policies_glob: [],
    allowed_entity_aliases: [],
    token_no_default_policy: true,
    token_period: 0,
    token_explicit_max_ttl: 0,
  };
}

function identitySteps(options: SetupOptions): readonly SetupStep[] {
  const { appRole, kubernetes } = options;
  return [
    ...(appRole === undefined
      ? []
      : [
          authMountStep(options.authNamespace, appRole.mount, 'approle'),
          ...FUNCTIONS.map((name) => appRoleStep(options, appRole, name)),
        ]),
    ...(kubernetes === undefined ? [] : FUNCTIONS.map((name) => kubernetesStep(options, kubernetes, name))),
  ];
}

function appRoleStep(options: SetupOptions, appRole: AppRoleIdentities, name: FunctionName): SetupStep {
  const path = joinPath(options.authNamespace, 'auth', appRole.mount, 'role', `leasekeeper-${name}`);
  return identityStep(`AppRole leasekeeper-${name}`, path, name, {
    ...tokenFields(options, name),
    bind_secret_id: true,
    secret_id_ttl: appRole.secretIdTtlSeconds,
    secret_id_num_uses: 0,
  });
}

function kubernetesStep(
  options: SetupOptions,
  kubernetes: KubernetesIdentities,
  name: FunctionName,
): SetupStep {
  const path = joinPath(options.authNamespace, 'auth', kubernetes.mount, 'role', `leasekeeper-${name}`);
  return identityStep(`Kubernetes role leasekeeper-${name}`, path, name, {
    ...tokenFields(options, name),
    bound_service_account_names: [`leasekeeper-${name}`],
    bound_service_account_namespaces: [kubernetes.serviceAccountNamespace],
    bound_service_account_namespace_selector: '',
    audience: kubernetes.audience ?? '',
  });
}

function identityStep(title: string, path: string, name: FunctionName, body: SetupBody): SetupStep {
  const step = objectStep(title, path, body);
  if (name !== 'rotate') return step;
  const tolerates = { field: 'token_policies', prefix: MANAGED_POLICY_PREFIX };
  return { ...step, read: { ...step.read, tolerates } };
}

/** Without the policy `default`: it would allow what a function's own policy leaves out, such as renewing any lease. */
function tokenFields(options: SetupOptions, name: FunctionName): SetupBody {
  const managed = options.managed.map((secret) => `${MANAGED_POLICY_PREFIX}${secret.name}`);
  return {
    token_policies: [`leasekeeper-${name}`, ...(name === 'rotate' ? managed : [])],
    token_no_default_policy: true,
    token_ttl: options.tokenTtlSeconds,
    token_period: 0,
  };
}

function checkedManaged(managed: readonly ManagedLease[]): readonly ManagedLease[] {
  const owners = new Map<string, string>();
  for (const { name, tokenRole } of managed) {
    if (!tokenRole.startsWith(TOKEN_ROLE_PREFIX)) throw foreignRole(name, tokenRole);
    const owner = owners.get(tokenRole);
    if (owner !== undefined) throw sharedRole(tokenRole, owner, name);
    owners.set(tokenRole, name);
  }
  return managed;
}

function foreignRole(name: string, role: string): SetupError {
  return new SetupError('setup_token_role_foreign', `${name} names the token role ${role}.`, {
    hint: `Choose a token_role that begins with ${TOKEN_ROLE_PREFIX}: rotate may use no other.`,
  });
}

function sharedRole(role: string, one: string, other: string): SetupError {
  return new SetupError('setup_token_role_shared', `${one} and ${other} both name the token role ${role}.`, {
    hint: 'Give each its own: a token of the role may read the sources of all that share it.',
  });
}
