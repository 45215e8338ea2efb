import { joinPath, within } from '../../vault/addressing.ts';
import { FUNCTIONS, type FunctionName } from '../identities.ts';
import type { AppRoleIdentities, KubernetesIdentities, SetupOptions } from './options.ts';
import { MANAGED_POLICY_PREFIX, planManaged } from './plan-managed.ts';
import { rulesIn } from './policy-rules.ts';
import { renderPolicy } from './render-policy.ts';
import type { SetupBody, SetupStep } from './step.ts';
import { authMountStep, kvMountStep, objectStep, policyStep } from './steps.ts';

/** Everything a prepared Vault has, in the order in which it must be made. Pure. Throws SetupError. */
export function planSetup(options: SetupOptions): readonly SetupStep[] {
  return [
    ...[...FUNCTIONS, 'operator' as const].map((name) =>
      policyStep(options.authNamespace, `leasekeeper-${name}`, policyOf(options, name)),
    ),
    ...planManaged(options, rulesIn(policyOf(options, 'rotate'))),
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

function policyOf(options: SetupOptions, name: FunctionName | 'operator'): string {
  return renderPolicy(options.templates[`leasekeeper-${name}`], {
    state: within(options.authNamespace, options.state),
    namespace: within(options.authNamespace, options.namespace),
  });
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
    bound_service_account_names: [kubernetes.serviceAccount ?? `leasekeeper-${name}`],
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
