import { readFile } from 'node:fs/promises';
import { codeOf, LeasekeeperError } from '../../errors.ts';
import { authMethodOf } from '../../secrets-manager/auth-configuration.ts';
import { Secret } from '../../telemetry/secret.ts';
import { policyExists } from '../../vault/acl-policies.ts';
import { actingWith } from '../../vault/acting-with.ts';
import { joinPath, within } from '../../vault/addressing.ts';
import { kubernetesAuth } from '../../vault/auth/kubernetes.ts';
import type { AuthMethod } from '../../vault/auth/login.ts';
import { capabilitiesOf } from '../../vault/capabilities.ts';
import type { Vault, VaultClient } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { type RoleLookup, readKubernetesRole } from '../../vault/kubernetes-roles.ts';
import { loginRefusalOf } from '../../vault/login-refusal.ts';
import { readTokenDetails, type TokenDetails } from '../../vault/token-details.ts';
import { type IssuedToken, renewSelf } from '../../vault/tokens.ts';
import { CHECKS } from './checks.ts';
import { type Rule, vaultCommand } from './commands.ts';
import { fine, notLookedAt, unknown, wrong } from './finding.ts';
import { judgeLogin, judgeRole, type LoginFacts } from './login.ts';
import type { DoctorRequest, Tell } from './request.ts';
import { judgeServiceAccountToken, type TokenFile } from './service-account-token.ts';
import { judgeToken, judgeTokenRenewal, ownPolicy, type TokenFacts } from './token.ts';
import { unlessDenied } from './unless-denied.ts';

/** The service, logged in. */
export interface Identity {
  /** Acting with the service's own token. */
  readonly vault: Vault;
  /** Whether the token was made for this examination, and so is to be ended with it. */
  readonly isOurs: boolean;
  /** Undefined: it may not look at itself. */
  readonly details: TokenDetails | undefined;
  /** Whose rules are to be mended. */
  readonly policy: string;
}

/** The file as it is, for the claims in it and for the login. */
export async function readTokenFile({ configuration }: DoctorRequest): Promise<TokenFile> {
  const { serviceAccountTokenFile: file, role } = configuration;
  try {
    return { file, role, content: { text: await readFile(file, 'utf8') } };
  } catch (error) {
    return { file, role, content: { code: codeOf(error) } };
  }
}

/** Logs in as the service would. Undefined when Vault does not let it in. */
export async function examineLogin(
  request: DoctorRequest,
  client: VaultClient,
  operator: Vault | undefined,
  file: TokenFile,
  tell: Tell,
): Promise<{ readonly issued: IssuedToken; readonly isOurs: boolean } | undefined> {
  const { configuration } = request;
  if (configuration.authMethod !== 'kubernetes') return examineOtherLogin(request, client, tell);
  const { finding, claims } = judgeServiceAccountToken(file, client.now());
  tell(finding);
  if (claims === undefined || 'code' in file.content) return undefined;
  const { role, authMount: mount, authNamespace } = configuration;
  const jwt = file.content.text.trim();
  const outcome = await tryLogin(
    client,
    kubernetesAuth({ role, mount, authNamespace, jwt: async () => jwt }),
  );
  const lookup = await lookUpRole(operator, { role, mount, authNamespace });
  const facts = { role, mount, authNamespace, claims, lookup } satisfies Partial<LoginFacts>;
  if ('issued' in outcome) {
    tell(judgeRole({ ...facts, refusal: undefined }), judgeLogin({ ...facts, refusal: undefined }));
    return { issued: outcome.issued, isOurs: true };
  }
  const { error } = outcome;
  if (!isVaultError(error)) throw error;
  const refusal = { kind: loginRefusalOf(error), message: error.message };
  tell(judgeRole({ ...facts, refusal }), judgeLogin({ ...facts, refusal }));
  return undefined;
}

/** A token that was given, and the methods that the services' documents do not know: what Vault says to them is passed on. */
async function examineOtherLogin(request: DoctorRequest, client: VaultClient, tell: Tell) {
  const { configuration } = request;
  const { authMethod, authNamespace } = configuration;
  const see = [`VAULT_TOKEN= VAULT_AUTH_METHOD=kubernetes leasekeeper doctor`];
  const why = `not looked at: the login is by ${authMethod}, and not by kubernetes`;
  tell(unknown(CHECKS.serviceAccountToken, why, see), unknown(CHECKS.role, why, see));
  const method = authMethodOf(configuration);
  const outcome = await tryLogin(client, method);
  if ('issued' in outcome) {
    tell(fine(CHECKS.login, `Vault takes the ${authMethod}`));
    return { issued: outcome.issued, isOurs: method.given === undefined };
  }
  const { error } = outcome;
  const gone = authMethod === 'token' && isVaultError(error, 'vault_denied');
  tell(
    wrong(
      CHECKS.login,
      gone
        ? 'VAULT_TOKEN is not good: it has expired, was revoked, or is of another namespace (VAULT_AUTH_NAMESPACE)'
        : `by ${authMethod}: ${error.message} ${error.hint ?? ''}`.trim(),
      gone ? ['unset VAULT_TOKEN', vaultCommand(authNamespace, 'login')] : [],
    ),
  );
  return undefined;
}

async function tryLogin(
  client: VaultClient,
  method: AuthMethod,
): Promise<{ readonly issued: IssuedToken } | { readonly error: LeasekeeperError }> {
  try {
    return { issued: await method.login(client) };
  } catch (error) {
    if (error instanceof LeasekeeperError) return { error };
    throw error;
  }
}

async function lookUpRole(
  operator: Vault | undefined,
  { role, mount, authNamespace }: Pick<LoginFacts, 'role' | 'mount' | 'authNamespace'>,
): Promise<RoleLookup | 'denied' | undefined> {
  if (operator === undefined) return undefined;
  try {
    return await readKubernetesRole(operator, authNamespace, mount, role);
  } catch (error) {
    if (isVaultError(error)) return 'denied';
    throw error;
  }
}

/** What the token is and may do for itself. */
export async function examineToken(
  request: DoctorRequest,
  client: VaultClient,
  operator: Vault | undefined,
  login: { readonly issued: IssuedToken; readonly isOurs: boolean },
  tell: Tell,
): Promise<Identity> {
  const { authNamespace, authMount: mount, authMethod } = request.configuration;
  const role = authMethod === 'kubernetes' ? request.configuration.role : undefined;
  const vault = actingWith(client, new Secret(login.issued.token));
  const details = await unlessDenied(() => readTokenDetails(vault, authNamespace));
  const policy = ownPolicy(details ?? { policies: [] }, role) ?? role ?? 'service';
  const identity = { vault, isOurs: login.isOurs, details, policy };
  if (details === undefined) {
    const why = 'this token may not look at itself: the role leaves out the policy default';
    tell(unknown(CHECKS.token, why), notLookedAt(CHECKS.tokenRenewal, why));
    return identity;
  }
  const renewPath = joinPath(authNamespace, 'auth/token/renew-self');
  const capabilities = await unlessDenied(() => capabilitiesOf(vault, authNamespace, [renewPath]));
  const facts: TokenFacts = {
    details,
    role,
    mount,
    authNamespace,
    renewSelf: capabilities?.get(renewPath),
    renewedSeconds:
      login.isOurs && details.renewable ? await tryRenewal(vault, authNamespace, details) : undefined,
    missingPolicies: await missingPolicies(operator, authNamespace, details.policies),
    needed: neededRules(request),
  };
  tell(judgeToken(facts), judgeTokenRenewal(facts));
  return identity;
}

/** Only of a token that was made here: to renew another would change it. */
async function tryRenewal(
  vault: Vault,
  authNamespace: string,
  details: TokenDetails,
): Promise<number | undefined> {
  const renewed = await unlessDenied(() => renewSelf(vault, authNamespace, details.creationTtlSeconds));
  return renewed?.ttlSeconds;
}

async function missingPolicies(
  operator: Vault | undefined,
  authNamespace: string,
  policies: readonly string[],
): Promise<readonly string[] | undefined> {
  if (operator === undefined) return undefined;
  const named = policies.filter((name) => name !== 'root');
  const there = await Promise.all(
    named.map((name) => unlessDenied(() => policyExists(operator, authNamespace, name))),
  );
  return there.includes(undefined) ? undefined : named.filter((_, index) => there[index] === false);
}

/** What a policy must allow for what was asked about, where nothing is known of the mounts: they may be KV version 2. */
function neededRules({ configuration, secrets, dynamic }: DoctorRequest): readonly Rule[] {
  const { namespace, authNamespace } = configuration;
  const inPolicy = (...parts: readonly string[]) => within(authNamespace, joinPath(namespace, ...parts));
  const kv = [...secrets, ...dynamic].map((path) => {
    const [mount = '', ...rest] = path.split('/');
    return inPolicy(mount, 'data', ...rest);
  });
  const read = [...new Set([...kv, ...dynamic.map((path) => inPolicy(path))])];
  return [
    ...read.map((path) => ({ path, capabilities: ['read'] })),
    { path: 'auth/token/renew-self', capabilities: ['update'] },
    { path: 'sys/leases/renew', capabilities: ['update'] },
  ];
}
