import { spreadOf } from '../agenda/shard-of.ts';
import { codeOf } from '../errors.ts';
import { isTransient, isVaultError } from '../vault/errors.ts';
import { readAcknowledgements } from './acknowledgements.ts';
import { waitingFor } from './adoption.ts';
import { isOurs } from './attempt.ts';
import { retryAfterOf, rotatorFor, type Stepped } from './attempt-steps.ts';
import type { EngineDependencies } from './engine-dependencies.ts';
import type { ManagedSecret } from './managed-secrets.ts';
import { publishedAt } from './published-path.ts';
import { type Looked, looked, overdue, retired, retireFailed } from './retirement.ts';
import type { Ended, Value } from './rotators/rotator.ts';
import type { Reap, Retiring, RotationState } from './state.ts';
import { dismissed, postponed, reapedOnce, reapFailed, verified } from './upkeep.ts';

/** What is done beside attempts. Undefined: the write was lost or its outcome is unknown, so the document must be read again. */

export function postpone(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  const { state, spec } = secret;
  return deps.secrets.save(secret, postponed(state, spec, deps.now(), spreadOf(spec.name)));
}

export function dismiss(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  return deps.secrets.save(secret, dismissed(secret.state, secret.spec, deps.now()));
}

/** Revokes, then drops the handle. The other way round would lose a credential that is still alive. */
export async function retire(deps: EngineDependencies, secret: ManagedSecret, one: Retiring): Stepped {
  const { state, spec, name } = secret;
  try {
    await rotatorFor(deps, one.kind).revoke?.(endedOf(name, one));
  } catch (error) {
    if (isTransient(error) && !isVaultError(error, 'vault_unavailable', 'vault_timeout')) throw error;
    deps.onError(error, name);
    deps.metrics.increment('leasekeeper_retire_failures_total', { name });
    return deps.secrets.save(secret, retireFailed(state, one, spec, codeOf(error), deps.now(), deps.random));
  }
  return deps.secrets.save(secret, retired(state, one, spec, deps.now()));
}

export function tellOverdue(deps: EngineDependencies, secret: ManagedSecret, one: Retiring): Stepped {
  return deps.secrets.save(secret, overdue(secret.state, one, secret.spec, deps.now()));
}

/**
 * Looks whether a generation is adopted: reads acknowledgements, and asks for evidence. `look` is false when the visit has another cause:
 * then the document is written only for news.
 */
export async function lookForAdoption(
  deps: EngineDependencies,
  secret: ManagedSecret,
  one: Retiring,
  look: boolean,
): Stepped {
  const { state, spec, name } = secret;
  const waiting = waitingFor(one, state, spec);
  const acks = await readAcknowledgements(deps.store, name, waiting, state);
  const use = await useOf(deps, secret, one);
  const next = looked(state, one, { acks, use }, deps.now(), look);
  return next === state ? secret : deps.secrets.save(secret, next);
}

async function useOf(deps: EngineDependencies, secret: ManagedSecret, one: Retiring): Promise<Looked['use']> {
  const { evidence } = secret.spec;
  if (evidence === undefined) return 'unknown';
  if (evidence.kind === 'last_used') {
    const lastUsed = await lastUseOf(deps, secret.name, one);
    if (lastUsed === undefined) return 'unknown';
    return deps.now() - lastUsed >= evidence.idle_for ? 'idle' : 'in_use';
  }
  const value = await publishedValue(deps, secret.state);
  const { username } = one.h;
  if (value === undefined || typeof username !== 'string') return 'unknown';
  return deps.gatherEvidence(evidence, { username, value });
}

/** An issuer that does not answer gives no evidence, and holds up nothing else. */
async function lastUseOf(deps: EngineDependencies, name: string, one: Retiring): Promise<number | undefined> {
  try {
    return await rotatorFor(deps, one.kind).lastUsed?.(endedOf(name, one));
  } catch (error) {
    deps.onError(error, name);
    return undefined;
  }
}

/** Looks for what has changed behind our back. A fault of the way is no finding: it is looked again later. */
export async function verify(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  const { state, spec } = secret;
  let found: { what: string; mark: string | number } | undefined;
  try {
    found = await findDrift(deps, secret);
  } catch (error) {
    if (isTransient(error)) throw error;
    deps.onError(error, secret.name);
    // What could not be found out is neither drift nor its end.
    return deps.secrets.save(secret, { ...state, verifyAt: deps.now() + spec.verify_every });
  }
  if (found !== undefined) deps.metrics.increment('leasekeeper_drift_total', { what: found.what });
  return deps.secrets.save(secret, verified(state, found, spec, deps.now()));
}

async function findDrift(deps: EngineDependencies, { name, spec, state }: ManagedSecret) {
  const { cur } = state;
  if (cur === undefined) return undefined;
  if (cur.published !== undefined && cur.published.path === spec.publish) {
    const { store, path } = await publishedAt(deps, spec.publish);
    const version = await store.version(path);
    if (!isOurs(state, version, spec)) return { what: 'published_value_changed', mark: version };
  }
  let reading: Promise<Value | undefined> | undefined;
  const published = () => {
    reading ??= publishedValue(deps, state);
    return reading;
  };
  const what =
    cur.kind === spec.kind
      ? await rotatorFor(deps, cur.kind).inspect?.(spec, endedOf(name, cur), published)
      : undefined;
  if (what !== undefined) return { what, mark: cur.g };
  if (spec.test === undefined) return undefined;
  const value = await published();
  if (value === undefined) return { what: 'published_value_missing', mark: cur.g };
  const result = await deps.runProbe(spec.test, value, { now: deps.now });
  return !result.ok && result.refused ? { what: 'value_refused', mark: cur.g } : undefined;
}

/** The current generation's value, as it is published; undefined when it is gone, or there is none. */
async function publishedValue(deps: EngineDependencies, state: RotationState): Promise<Value | undefined> {
  const { published } = state.cur ?? {};
  if (published === undefined) return undefined;
  const { store, path } = await publishedAt(deps, published.path);
  return (await store.read(path, { version: published.version })).entry?.data;
}

/** Ends what an abandoned attempt has left outside Vault's leases. */
export async function reap(deps: EngineDependencies, secret: ManagedSecret, one: Reap): Stepped {
  const { state, name } = secret;
  try {
    await rotatorFor(deps, one.kind).reap?.(one.intent);
  } catch (error) {
    if (isVaultError(error) && isTransient(error)) throw error;
    deps.onError(error, name);
    const why = { code: codeOf(error), retryAfterMs: retryAfterOf(error) };
    return deps.secrets.save(secret, reapFailed(state, one, why, deps.now(), deps.random));
  }
  return deps.secrets.save(secret, reapedOnce(state, one, deps.now()));
}

function endedOf(name: string, one: Pick<Retiring, 'g' | 'h' | 'published'>): Ended {
  return { name, generation: one.g, handle: one.h, published: one.published };
}
