import { isDeepStrictEqual } from 'node:util';
import { ulid } from 'ulid';
import { spreadOf } from '../agenda/shard-of.ts';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { joinPath } from '../vault/addressing.ts';
import { isTransient, isVaultError } from '../vault/errors.ts';
import { KvStore } from '../vault/kv-store.ts';
import { generationMetadata } from '../vault/published-generation.ts';
import type { EngineDependencies } from './engine-dependencies.ts';
import {
  applied,
  begun,
  failedAt,
  kept,
  overtaken,
  promoted,
  promoteRefused,
  recorded,
  retired,
  retireFailed,
  type Step,
  takenOver,
  tested,
  undone,
} from './machine.ts';
import type { ManagedSecret } from './managed-secrets.ts';
import type { Attempt, Handle } from './rotators/rotator.ts';
import type { Specification } from './specification.ts';
import type { FailedStep, Retiring } from './state.ts';

const MOST_RECORD_TRIES = 5;

/** One step. Undefined: the write was lost or its outcome is unknown, so the document must be read again. */
export function perform(
  deps: EngineDependencies,
  step: Step,
  secret: ManagedSecret,
  me: string,
): Promise<ManagedSecret | undefined> {
  const { state } = secret;
  switch (step.kind) {
    case 'begin':
      return deps.secrets.save(secret, begun(state, ulid(deps.now()), me, deps.now()));
    case 'take-over':
      return deps.secrets.save(secret, takenOver(state, ulid(deps.now()), me, deps.now()));
    case 'create':
      return create(deps, secret);
    case 'keep':
      return keep(deps, secret);
    case 'apply':
      return apply(deps, secret);
    case 'test':
      return test(deps, secret);
    case 'promote':
      return promote(deps, secret);
    case 'undo':
      return undo(deps, secret);
    case 'retire':
      return retire(deps, secret, step.generation);
    case 'rest':
      return Promise.resolve(secret);
  }
}

/**
 * Makes the credential and records its handle. Until the handle is recorded nothing renews the attempt, so whatever goes wrong in
 * between ends by itself.
 */
async function create(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret | undefined> {
  const attempt = attemptOf(secret);
  try {
    const { handle, value } = await deps.rotatorOf(secret.spec).create(attempt);
    await deps.store.write(pendingPath(secret, attempt.id), value, 0);
    return await record(deps, secret, attempt.id, handle);
  } catch (error) {
    return failed(deps, secret, 'create', error);
  }
}

/**
 * Records the handle. A race lost to somebody who changed something else (an acknowledgement, a cleared outbox) is run again, for as long
 * as the attempt is still this one: another write of the handle is cheaper than another credential.
 */
async function record(
  deps: EngineDependencies,
  secret: ManagedSecret,
  attempt: string,
  handle: Handle,
): Promise<ManagedSecret | undefined> {
  let latest: ManagedSecret | undefined = secret;
  for (let tries = 0; latest !== undefined && tries < MOST_RECORD_TRIES; tries += 1) {
    const { phase, att, h } = latest.state;
    if (phase !== 'create' || att !== attempt || h !== undefined) return latest;
    const saved = await deps.secrets.save(latest, recorded(latest.state, handle));
    if (saved !== undefined) return saved;
    latest = await deps.secrets.read(secret.name);
  }
  return undefined;
}

async function keep(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret | undefined> {
  try {
    const rotator = deps.rotatorOf(secret.spec);
    if (!(await rotator.keep(attemptOf(secret), handleOf(secret)))) {
      return await deps.secrets.save(secret, failedAt(secret.state, 'create', 'attempt_expired'));
    }
    // A kind with nothing to apply goes on to the test in the same write.
    const next = rotator.apply === undefined ? applied(kept(secret.state)) : kept(secret.state);
    return await deps.secrets.save(secret, next);
  } catch (error) {
    return failed(deps, secret, 'create', error);
  }
}

async function apply(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret | undefined> {
  try {
    await deps.rotatorOf(secret.spec).apply?.(attemptOf(secret), handleOf(secret));
    return await deps.secrets.save(secret, applied(secret.state));
  } catch (error) {
    return failed(deps, secret, 'apply', error);
  }
}

async function test(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret | undefined> {
  const attempt = attemptOf(secret);
  const value = await pendingValue(deps, secret, attempt.id);
  if (value === undefined) return missingPending(deps, secret, 'test');
  try {
    const result = await deps.rotatorOf(secret.spec).test(attempt, value);
    if (!result.ok) return await deps.secrets.save(secret, failedAt(secret.state, 'test', result.code));
    const { store, path } = await publishedAt(deps, secret);
    return await deps.secrets.save(
      secret,
      tested(secret.state, await store.version(path), secret.spec, deps.now()),
    );
  } catch (error) {
    return failed(deps, secret, 'test', error);
  }
}

/**
 * Publishes with the version fixed when this step was entered. Refused, with our value there: an earlier try went through. Refused
 * with another's value there: that is said in an event, then replaced.
 */
async function promote(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret | undefined> {
  const { state, spec } = secret;
  const attempt = attemptOf(secret);
  const pv = state.pv ?? 0;
  const value = await pendingValue(deps, secret, attempt.id);
  if (value === undefined) return missingPending(deps, secret, 'promote');
  try {
    const overtakenBy = await publish(deps, secret, value, pv);
    if (overtakenBy !== undefined) {
      return await deps.secrets.save(secret, overtaken(state, overtakenBy, spec, deps.now()));
    }
  } catch (error) {
    if (isTransient(error)) throw error;
    deps.onError(error, secret.name);
    return deps.secrets.save(secret, promoteRefused(state, spec, codeOf(error), deps.now(), deps.random));
  }
  const saved = await deps.secrets.save(secret, promoted(state, spec, deps.now(), spreadOf(spec.name)));
  if (saved !== undefined) {
    deps.metrics.increment('leasekeeper_rotations_total', { name: spec.name, outcome: 'rotated' });
  }
  return saved;
}

/** Undefined when our value is published; else the version of another's value that is there in its place. */
async function publish(
  deps: EngineDependencies,
  secret: ManagedSecret,
  value: Readonly<Record<string, unknown>>,
  pv: number,
): Promise<number | undefined> {
  const { store, path } = await publishedAt(deps, secret);
  try {
    await store.write(path, value, pv);
  } catch (error) {
    if (!isVaultError(error, 'vault_cas_mismatch')) throw error;
    const there = await store.read(path);
    if (there.version !== pv + 1 || !isDeepStrictEqual(there.entry?.data, value)) return there.version;
  }
  await store.patchMetadata(path, generationMetadata(secret.name, secret.state.g ?? 0, pv + 1));
  return undefined;
}

async function undo(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret | undefined> {
  const saved = await deps.secrets.save(secret, undone(secret.state, secret.spec, deps.now(), deps.random));
  if (saved !== undefined) {
    deps.metrics.increment('leasekeeper_rotations_total', { name: secret.name, outcome: 'failed' });
  }
  return saved;
}

/** Revokes, then drops the handle. The other way round would lose a credential that is still alive. */
async function retire(
  deps: EngineDependencies,
  secret: ManagedSecret,
  generation: Retiring,
): Promise<ManagedSecret | undefined> {
  try {
    await deps.rotatorOf(secret.spec).revoke(secret.spec, generation.h);
  } catch (error) {
    if (isTransient(error) && !isVaultError(error, 'vault_unavailable', 'vault_timeout')) throw error;
    deps.onError(error, secret.name);
    return deps.secrets.save(secret, retireFailed(secret.state, generation, deps.now(), deps.random));
  }
  return deps.secrets.save(secret, retired(secret.state, generation, secret.spec, deps.now()));
}

/** While Vault itself does not answer there is nothing to undo: the same step is entered again later. */
function failed(
  deps: EngineDependencies,
  secret: ManagedSecret,
  step: FailedStep,
  error: unknown,
): Promise<ManagedSecret | undefined> {
  if (isVaultError(error, 'vault_unreachable', 'vault_sealed', 'vault_standby', 'vault_rate_limited'))
    throw error;
  return deps.secrets.save(secret, failedAt(secret.state, step, codeOf(error)));
}

/** Gone because another worker has finished this attempt, or (the document unchanged) because somebody removed it. */
async function missingPending(
  deps: EngineDependencies,
  secret: ManagedSecret,
  step: FailedStep,
): Promise<ManagedSecret | undefined> {
  const again = await deps.secrets.read(secret.name);
  if (again === undefined || again.version !== secret.version) return again;
  return deps.secrets.save(secret, failedAt(secret.state, step, 'pending_value_missing'));
}

function attemptOf(secret: ManagedSecret): Attempt<Specification> {
  const { att, g } = secret.state;
  if (att === undefined || g === undefined) throw stuck(secret.name);
  return { id: att, generation: g, spec: secret.spec };
}

function handleOf(secret: ManagedSecret) {
  if (secret.state.h === undefined) throw stuck(secret.name);
  return secret.state.h;
}

/** The document is not one that the machine can have written. */
export function stuck(name: string): LeasekeeperError {
  return new LeasekeeperError('rotation_stuck', `The rotation of ${name} does not come to rest.`, {
    hint: 'Its document is not one that the machine can have written. Look at it, and report it.',
  });
}

/** Where the value of an attempt waits between create and promote. */
export function pendingPath(secret: ManagedSecret, attempt: string): string {
  return `pending/${secret.name}/${attempt}`;
}

async function pendingValue(deps: EngineDependencies, secret: ManagedSecret, attempt: string) {
  return (await deps.store.read(pendingPath(secret, attempt))).entry?.data;
}

async function publishedAt(
  deps: EngineDependencies,
  secret: ManagedSecret,
): Promise<{ store: KvStore; path: string }> {
  const full = joinPath(deps.namespace, secret.spec.publish);
  const mount = await deps.mounts.find(full);
  if (mount.kvVersion !== 2) {
    throw new LeasekeeperError('publish_path_not_kv2', `${full} is not in a KV v2 mount.`, {
      hint: 'Publish to a KV v2 path: check-and-set needs its versions.',
    });
  }
  return { store: new KvStore(deps.vault, mount.path), path: full.slice(mount.path.length + 1) };
}
