import { isDeepStrictEqual } from 'node:util';
import { ulid } from 'ulid';
import { spreadOf } from '../agenda/shard-of.ts';
import type { Bus } from '../bus/bus.ts';
import { codeOf, LeasekeeperError } from '../errors.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { joinPath } from '../vault/addressing.ts';
import type { Vault } from '../vault/client.ts';
import { isTransient, isVaultError } from '../vault/errors.ts';
import { KvStore } from '../vault/kv-store.ts';
import type { Mounts } from '../vault/mounts.ts';
import {
  applied,
  begun,
  failedAt,
  isTidy,
  kept,
  nextStep,
  overtaken,
  promoted,
  recorded,
  retired,
  retireFailed,
  type Step,
  takenOver,
  tested,
  tidied,
  undone,
} from './machine.ts';
import type { ManagedSecret, ManagedSecrets } from './managed-secrets.ts';
import type { Attempt, Rotator } from './rotators/rotator.ts';
import type { Specification } from './specification.ts';
import type { FailedStep, Retiring, RotationState } from './state.ts';

export interface EngineDependencies {
  readonly secrets: ManagedSecrets;
  /** The state mount, where pending values are. */
  readonly store: KvStore;
  /** Acting as `rotate`. */
  readonly vault: Vault;
  readonly mounts: Mounts;
  readonly namespace: string;
  readonly rotatorOf: (spec: Specification) => Rotator<Specification>;
  readonly bus: Bus;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly random: () => number;
  /** Told of faults that do not stop the work: a bus that is down, a revocation that failed. */
  readonly onError: (error: unknown, name: string) => void;
}

/** How a document was left: what the agenda's hint is settled by. */
export interface EngineReport {
  readonly version: number;
  readonly state: RotationState;
  readonly steps: readonly Step['kind'][];
}

/** More than any rotation takes; a worker that goes on longer has met a fault of the machine itself. */
const MOST_STEPS = 60;

/**
 * Carries one managed secret forward until it rests. `me` is new for each call: whoever dies is never mistaken for whoever comes after.
 * Throws what Vault throws while it does not answer; the document then says where to go on.
 */
export async function rotateSecret(
  deps: EngineDependencies,
  name: string,
  me: string = ulid(),
): Promise<EngineReport | undefined> {
  let secret = await deps.secrets.read(name);
  const steps: Step['kind'][] = [];
  if (secret !== undefined) secret = await tidy(deps, secret);
  while (secret !== undefined) {
    const step = nextStep(secret.state, deps.now(), me);
    if (step.kind === 'rest') break;
    if (steps.push(step.kind) > MOST_STEPS) throw stuck(name);
    secret = (await timed(deps, step, secret, me)) ?? (await deps.secrets.read(name));
  }
  if (secret === undefined) return undefined;
  secret = await tidy(deps, secret);
  return { version: secret.version, state: secret.state, steps };
}

async function timed(
  deps: EngineDependencies,
  step: Step,
  secret: ManagedSecret,
  me: string,
): Promise<ManagedSecret | undefined> {
  const started = deps.now();
  try {
    return await perform(deps, step, secret, me);
  } finally {
    deps.metrics.observe('leasekeeper_rotation_step_seconds', (deps.now() - started) / 1_000, {
      step: step.kind,
    });
  }
}

/** One step. Undefined: the write was lost or its outcome is unknown, so the document must be read again. */
function perform(
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
    return await deps.secrets.save(secret, recorded(secret.state, handle));
  } catch (error) {
    return failed(deps, secret, 'create', error);
  }
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
  const result = await deps.rotatorOf(secret.spec).test(attempt, value);
  if (!result.ok) return deps.secrets.save(secret, failedAt(secret.state, 'test', result.code));
  const { store, path } = await publishedAt(deps, secret);
  return deps.secrets.save(secret, tested(secret.state, await store.version(path), secret.spec, deps.now()));
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
  const { store, path } = await publishedAt(deps, secret);
  try {
    await store.write(path, value, pv);
  } catch (error) {
    if (!isVaultError(error, 'vault_cas_mismatch')) throw error;
    const there = await store.read(path);
    if (there.version !== pv + 1 || !isDeepStrictEqual(there.entry?.data, value)) {
      return deps.secrets.save(secret, overtaken(state, there.version, spec, deps.now()));
    }
  }
  await store.patchMetadata(path, {
    'managed-by': 'leasekeeper',
    name: spec.name,
    generation: String(attempt.generation),
    version: String(pv + 1),
  });
  const saved = await deps.secrets.save(secret, promoted(state, spec, deps.now(), spreadOf(spec.name)));
  if (saved !== undefined) {
    deps.metrics.increment('leasekeeper_rotations_total', { name: spec.name, outcome: 'rotated' });
  }
  return saved;
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

/**
 * Deletes the pending values of attempts that are over, hands the outbox to the bus, and clears both in one write. A bus that is down
 * holds nothing up: what is left keeps the document due.
 */
async function tidy(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret> {
  if (isTidy(secret.state)) return secret;
  await sweep(deps, secret);
  const taken = await publish(deps, secret);
  const deleted = new Set(secret.state.sweep);
  if (taken.size === 0 && deleted.size === 0) return secret;
  const saved = await deps.secrets.save(secret, tidied(secret.state, taken, deleted));
  return saved ?? (await deps.secrets.change(secret.name, (state) => tidied(state, taken, deleted)));
}

async function publish(deps: EngineDependencies, secret: ManagedSecret): Promise<ReadonlySet<string>> {
  const events = Object.values(secret.state.outbox);
  if (events.length === 0) return new Set();
  try {
    return await deps.bus.publish(events);
  } catch (error) {
    deps.onError(error, secret.name);
    return new Set();
  }
}

/**
 * By listing, so that what a worker wrote that slept through its own end goes too. A later attempt's value, which another worker may
 * have begun meanwhile, is left alone: ids are in order of time.
 */
async function sweep(deps: EngineDependencies, secret: ManagedSecret): Promise<void> {
  const newest = secret.state.sweep.toSorted().at(-1) ?? '';
  if (newest === '') return;
  const names = await deps.store.list(`pending/${secret.name}`);
  const over = names.filter((name) => name <= newest);
  await Promise.all(over.map((name) => deps.store.deleteMetadata(pendingPath(secret, name))));
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

function stuck(name: string): LeasekeeperError {
  return new LeasekeeperError('rotation_stuck', `The rotation of ${name} does not come to rest.`, {
    hint: 'Its document is not one that the machine can have written. Look at it, and report it.',
  });
}

function pendingPath(secret: ManagedSecret, attempt: string): string {
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
