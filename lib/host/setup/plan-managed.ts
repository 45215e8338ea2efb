import { joinPath, within } from '../../vault/addressing.ts';
import type { ManagedAccess, SetupOptions } from './options.ts';
import { assertOutsideState, ruleOf, tokenNamespaceIn } from './place-right.ts';
import { hidingNothing, type PolicyRule, withRules } from './policy-rules.ts';
import { renderPolicy, safeName } from './render-policy.ts';
import { SetupError } from './setup-error.ts';
import type { SetupBody, SetupStep } from './step.ts';
import { objectStep, policyStep } from './steps.ts';

/** Names of policies that rotate has besides its own, one for each managed secret. */
export const MANAGED_POLICY_PREFIX = 'leasekeeper-managed-';
/** The token roles that rotate's policy lets it use. */
const TOKEN_ROLE_PREFIX = 'leasekeeper-';
const UNPUBLISHED = '# One managed secret that is published nowhere, for rotate.\n';

/**
 * What each managed secret needs in Vault, whatever its kind, and what its consumers need. `own` are the rules of
 * rotate's own policy. Pure. Throws SetupError.
 */
export function planManaged(options: SetupOptions, own: readonly PolicyRule[]): readonly SetupStep[] {
  checkTokenRoles(options.managed);
  return [
    ...options.managed.flatMap((secret) => [
      rotatePolicyStep(options, secret, own),
      ...attemptSteps(options, secret),
    ]),
    ...consumersOf(options).map((consumer) => consumerStep(options, consumer)),
  ];
}

/** Lets rotate publish the secret, and do what its kind asks for. */
function rotatePolicyStep(
  options: SetupOptions,
  secret: ManagedAccess,
  own: readonly PolicyRule[],
): SetupStep {
  const { authNamespace } = options;
  const rules = secret.rights.map((right) => ruleOf(right, options, authNamespace));
  return policyStep(
    authNamespace,
    `${MANAGED_POLICY_PREFIX}${safeName(secret.name)}`,
    withRules(publishPolicy(options, secret), hidingNothing(rules, own)),
  );
}

function publishPolicy(options: SetupOptions, { publish }: ManagedAccess): string {
  if (publish === undefined) return UNPUBLISHED;
  assertOutsideState(publish.mount, options);
  return renderPolicy(options.templates['leasekeeper-managed'], {
    publish_mount: within(options.authNamespace, publish.mount),
    publish_path: publish.path,
  });
}

/** The token role of attempts, in the namespace where its leases are, and the one policy of its tokens. */
function attemptSteps(options: SetupOptions, { name, attempt }: ManagedAccess): readonly SetupStep[] {
  if (attempt === undefined) return [];
  const namespace = tokenNamespaceIn(options);
  const policy = `leasekeeper-attempt-${safeName(name)}`;
  const role = safeName(attempt.tokenRole);
  const rules = attempt.rights.map((right) => ruleOf(right, options, namespace));
  return [
    policyStep(
      namespace,
      policy,
      withRules(renderPolicy(options.templates['leasekeeper-attempt'], {}), rules),
    ),
    objectStep(
      `token role ${joinPath(namespace, role)}`,
      joinPath(namespace, 'auth/token/roles', role),
      attemptRole(policy),
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

function consumersOf({ managed, consumers = [] }: SetupOptions): readonly string[] {
  return [...new Set([...managed.flatMap((secret) => secret.consumers), ...consumers])].toSorted();
}

/**
 * Lets a consumer acknowledge, subscribe, and read the state of the secrets that name it. The roles of services are not ours to change, so
 * the title says who is to be given it. What was prepared for secrets of which this plan says nothing stays.
 */
function consumerStep(options: SetupOptions, consumer: string): SetupStep {
  const documentRule = ({ name }: ManagedAccess) =>
    ruleOf(
      { under: 'state-data', path: `secrets/${safeName(name)}`, capabilities: ['read'] },
      options,
      options.authNamespace,
    );
  const named = options.managed.filter(({ consumers }) => consumers.includes(consumer));
  const state = within(options.authNamespace, options.state);
  const template = renderPolicy(options.templates['leasekeeper-consumer'], { state, consumer });
  const step = policyStep(
    options.authNamespace,
    `leasekeeper-consumer-${safeName(consumer)}`,
    withRules(template, named.map(documentRule)),
  );
  return {
    ...step,
    title: `${step.title}, to be given to the role of ${consumer}`,
    read: {
      ...step.read,
      toleratesRules: {
        field: 'policy',
        under: `${joinPath(state, 'data/secrets')}/`,
        capabilities: ['read'],
        except: options.managed.map((secret) => documentRule(secret).path),
      },
    },
  };
}

function checkTokenRoles(managed: readonly ManagedAccess[]): void {
  const owners = new Map<string, string>();
  for (const { name, attempt } of managed) {
    if (attempt === undefined) continue;
    const { tokenRole } = attempt;
    if (!tokenRole.startsWith(TOKEN_ROLE_PREFIX)) throw foreignRole(name, tokenRole);
    const owner = owners.get(tokenRole);
    if (owner !== undefined) throw sharedRole(tokenRole, owner, name);
    owners.set(tokenRole, name);
  }
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
