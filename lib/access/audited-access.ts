import type { Audit, AuditInput } from '../telemetry/audit.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { isVaultError } from '../vault/errors.ts';
import type { Caller, Callers } from './callers.ts';
import { problemOf } from './problem.ts';
import type { CallerProof } from './proof.ts';

export interface AccessDependencies {
  readonly callers: Callers;
  readonly metrics: Metrics;
  readonly audit: Audit;
  readonly now: () => number;
}

/** One access, as its audit line names it. What is found out on the way is put in by whoever finds it. */
export interface Access {
  readonly action: 'issue' | 'read' | 'renew' | 'revoke';
  /** After VAULT_NAMESPACE; of a lease that is not known yet, the route's own. */
  path: string;
  leaseId?: string;
  vaultRequestId?: string;
  readonly requestId: string;
}

/** Who makes an access, or several at once. */
export interface Identity {
  /** Looked up when it is first asked for, and once. Throws what `Callers.identify` and `proof` do. */
  caller(): Promise<Caller>;
  /** Vault has refused it something. */
  doubt(): void;
}

/** The identity behind a proof, for `requests` accesses together. `proof` may throw for one that is missing. */
export function identityOf(callers: Callers, proof: () => CallerProof, requests = 1): Identity {
  let found: Promise<Caller> | undefined;
  const identify = async () => callers.identify(proof(), requests);
  return {
    caller: () => {
      found ??= identify();
      return found;
    },
    doubt: () => callers.doubt(proof()),
  };
}

/** Works as the caller and writes one audit line, whatever comes of it. */
export async function accessAs<T>(
  deps: AccessDependencies,
  access: Access,
  identity: Identity,
  work: (caller: Caller) => Promise<T>,
): Promise<T> {
  const started = deps.now();
  let who: AuditInput['who'] = {};
  const audit = (outcome: 'ok' | 'denied' | 'error', code?: string) => {
    const { action, path, leaseId, vaultRequestId, requestId } = access;
    count(deps.metrics, access, outcome);
    deps.audit({
      who,
      action,
      path,
      outcome,
      latency_ms: Math.max(0, deps.now() - started),
      request_id: requestId,
      ...(vaultRequestId ? { vault_request_id: vaultRequestId } : {}),
      ...(leaseId === undefined ? {} : { lease_id: leaseId }),
      ...(code === undefined ? {} : { code }),
    });
  };
  try {
    const caller = await identity.caller();
    who = caller.who;
    const done = await work(caller);
    audit('ok');
    return done;
  } catch (error) {
    if (isVaultError(error, 'vault_denied')) identity.doubt();
    const problem = problemOf(error);
    audit(problem.status === 401 || problem.status === 403 ? 'denied' : 'error', problem.code);
    throw error;
  }
}

/** Secrets that were asked for; what becomes of a lease afterwards is none. */
function count(metrics: Metrics, { action, path }: Access, outcome: string): void {
  if (action !== 'issue' && action !== 'read') return;
  const kind = action === 'issue' ? 'dynamic' : 'static';
  metrics.increment('vault_secret_requests_total', { path, kind, outcome });
  metrics.increment('leasekeeper_fetches_total', { outcome });
}
