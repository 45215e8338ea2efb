import type { Caller } from '../access/callers.ts';
import { problemOf } from '../access/problem.ts';
import { isVaultError } from '../vault/errors.ts';
import type { HttpAnswer, HttpRequest } from './http-function.ts';
import { proofIn } from './request-proof.ts';
import type { ManageDependencies } from './wire.ts';

/**
 * Runs one request of `manage` as its caller and writes one audit line, whatever comes of it. `check` throws for what is refused in any
 * case, before the caller is looked up: that costs Vault nothing.
 */
export async function asCaller(
  deps: ManageDependencies,
  request: HttpRequest,
  action: 'manage' | 'ack',
  check: () => void,
  work: (caller: Caller) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  const started = deps.now();
  let who: Caller['who'] = {};
  const audit = (outcome: 'ok' | 'denied' | 'error', code?: string) =>
    deps.audit({
      who,
      action,
      path: request.path,
      outcome,
      latency_ms: Math.max(0, deps.now() - started),
      request_id: request.requestId,
      ...(code === undefined ? {} : { code }),
    });
  try {
    check();
    const proof = proofIn(request);
    const caller = await deps.callers.identify(proof);
    who = caller.who;
    const answer = await work(caller).catch((error: unknown) => {
      if (isVaultError(error, 'vault_denied')) deps.callers.doubt(proof);
      throw error;
    });
    audit('ok');
    return answer;
  } catch (error) {
    const problem = problemOf(error);
    audit(problem.status === 401 || problem.status === 403 ? 'denied' : 'error', problem.code);
    throw error;
  }
}
