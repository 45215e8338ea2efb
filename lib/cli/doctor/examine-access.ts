import { joinPath } from '../../vault/addressing.ts';
import { capabilitiesOf } from '../../vault/capabilities.ts';
import type { Vault } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { type Mount, Mounts } from '../../vault/mounts.ts';
import { type Presence, presenceOf } from '../../vault/presence.ts';
import { visibleMounts } from '../../vault/visible-mounts.ts';
import type { Access } from './access.ts';
import { CHECKS, dynamicCheck, leaseTtlCheck, secretCheck } from './checks.ts';
import type { Identity } from './examine-identity.ts';
import { examineLeaseTtl, roleLimitsOf } from './examine-lease.ts';
import { type Check, fine, notLookedAt, unknown } from './finding.ts';
import { judgeDynamic, judgeLeaseRenewal, judgeLeaseRevocation, leasesPath } from './lease.ts';
import { judgeNamespace, layoutIn } from './namespace.ts';
import type { DoctorRequest, Tell } from './request.ts';
import {
  type Alternative,
  alternativesTo,
  judgeSecret,
  type PathFacts,
  readPath,
  type SecretFacts,
} from './secret.ts';
import { unlessDenied } from './unless-denied.ts';

/** When the versions of each secret that was found were written. */
export type Histories = readonly { readonly path: string; readonly writtenAt: readonly number[] }[];

/** What VAULT_NAMESPACE is. Undefined when nothing is there, so that no path can be looked at. */
export async function examineNamespace(
  request: DoctorRequest,
  identity: Identity,
  operator: Vault | undefined,
  tell: Tell,
): Promise<Access | undefined> {
  const { namespace, authNamespace } = request.configuration;
  const { vault } = identity;
  const facts = {
    namespace,
    authNamespace,
    inside: namespace === authNamespace ? undefined : await visibleMounts(vault, namespace),
    beside: (await visibleMounts(vault, authNamespace)) ?? [],
    besideForOperator: operator === undefined ? undefined : await visibleMounts(operator, authNamespace),
  };
  const finding = judgeNamespace(facts);
  tell(finding);
  if (finding.verdict === 'wrong') return undefined;
  const leaseNamespace = layoutIn(facts) === 'namespace' ? namespace : authNamespace;
  return { request, identity, operator, mounts: new Mounts(vault, authNamespace), leaseNamespace };
}

export async function examineSecrets(access: Access, tell: Tell): Promise<Histories> {
  const found: { path: string; writtenAt: readonly number[] }[] = [];
  for (const path of access.request.secrets) {
    await guarded(secretCheck(path), tell, async () => {
      const { facts, presence } = await factsOf(access, secretCheck(path), path);
      tell(judgeSecret({ ...facts, presence }));
      if (presence !== undefined) found.push({ path, writtenAt: presence.writtenAt });
    });
  }
  return found;
}

/** The rights over leases, and every path that issues them. */
export async function examineLeases(access: Access, tell: Tell): Promise<void> {
  const { request, identity, leaseNamespace } = access;
  const { authNamespace } = request.configuration;
  const [renewPath, revokePath] = [leasesPath(leaseNamespace, 'renew'), leasesPath(leaseNamespace, 'revoke')];
  const capabilities = await unlessDenied(() =>
    capabilitiesOf(identity.vault, authNamespace, [renewPath, revokePath]),
  );
  const rights = {
    authNamespace,
    leaseNamespace,
    renew: capabilities?.get(renewPath),
    revoke: capabilities?.get(revokePath),
    needed: request.dynamic.length > 0,
    policy: identity.policy,
  };
  tell(judgeLeaseRenewal(rights), judgeLeaseRevocation(rights));
  for (const path of request.dynamic) await examineDynamic(access, path, tell);
}

async function examineDynamic(access: Access, path: string, tell: Tell): Promise<void> {
  const check = dynamicCheck(path);
  await guarded(check, tell, async () => {
    const { facts, presence } = await factsOf(access, check, path);
    const ttlCheck = leaseTtlCheck(path);
    if (facts.mount?.kvVersion !== undefined) {
      const finding = judgeSecret({ ...facts, presence });
      tell(
        finding.verdict === 'fine' ? fine(check, `${finding.what}; generations are published here`) : finding,
      );
      tell(fine(ttlCheck, 'a value in KV has no lease'));
      return;
    }
    const role = await roleLimitsOf(access, facts);
    const finding = judgeDynamic({ ...facts, role });
    tell(finding);
    if (finding.verdict === 'wrong') {
      tell(notLookedAt(ttlCheck, `see "${check.title}"`));
      return;
    }
    await guarded(ttlCheck, tell, () => examineLeaseTtl(access, facts, role, tell));
  });
}

/** What is known of a path. No value is read: see lib/vault/presence.ts. */
async function factsOf(
  access: Access,
  check: Check,
  path: string,
): Promise<{ readonly facts: PathFacts; readonly presence: Presence | undefined }> {
  const { request, identity, operator, mounts } = access;
  const { namespace, authNamespace } = request.configuration;
  const fullPath = joinPath(namespace, path);
  const mount = await mountAt(mounts, fullPath);
  const operatorMount: PathFacts['operatorMount'] =
    operator === undefined ? 'unknown' : await mountAt(new Mounts(operator, authNamespace), fullPath);
  const readsAt = readPath({ mount, operatorMount, fullPath, namespace });
  const asked = [...new Set([fullPath, readsAt])];
  const capabilities = await unlessDenied(() => capabilitiesOf(identity.vault, authNamespace, asked));
  const presence = mount?.kvVersion === undefined ? undefined : await presentAt(access, mount, fullPath);
  const better = presence?.state === 'present' ? undefined : await betterPath(access, path);
  return {
    presence,
    facts: {
      check,
      path,
      fullPath,
      namespace,
      authNamespace,
      mount,
      operatorMount,
      capabilities,
      better,
      policy: identity.policy,
    },
  };
}

function presentAt({ identity }: Access, mount: Mount, fullPath: string): Promise<SecretFacts['presence']> {
  return unlessDenied(() => presenceOf(identity.vault, mount, fullPath));
}

/** One of the shorter ways to write a path at which there is a secret. */
async function betterPath(access: Access, path: string): Promise<Alternative | undefined> {
  const { namespace } = access.request.configuration;
  for (const alternative of alternativesTo(path, namespace)) {
    const fullPath = joinPath(namespace, alternative.path);
    const mount = await mountAt(access.mounts, fullPath);
    if (mount === undefined) continue;
    if (mount.kvVersion === undefined) return alternative;
    if ((await presentAt(access, mount, fullPath))?.state === 'present') return alternative;
  }
  return undefined;
}

async function mountAt(mounts: Mounts, fullPath: string): Promise<Mount | undefined> {
  try {
    return await mounts.find(fullPath);
  } catch (error) {
    if (isVaultError(error, 'vault_denied', 'vault_not_found')) return undefined;
    throw error;
  }
}

/** A fault of Vault while one point is looked at leaves the others to be looked at. */
async function guarded(check: Check, tell: Tell, look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    if (!isVaultError(error)) throw error;
    tell(unknown(check, error.message));
  }
}

/** Without paths there is nothing to look at; said once. */
export function tellOfNoPaths({ secrets, dynamic }: DoctorRequest, tell: Tell): void {
  if (secrets.length === 0) {
    tell(unknown(CHECKS.secret, 'no --secret was named', ['leasekeeper doctor --secret nvidia/api-key']));
  }
  if (dynamic.length === 0) {
    tell(
      unknown(CHECKS.dynamic, 'no --dynamic was named', [
        'leasekeeper doctor --dynamic database/creds/api-gateway',
      ]),
    );
  }
}
