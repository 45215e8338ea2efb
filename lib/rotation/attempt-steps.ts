import { ulid } from 'ulid';
import { spreadOf } from '../agenda/shard-of.ts';
import { codeOf, LeasekeeperError } from '../errors.ts';
import { isTransient, isVaultError } from '../vault/errors.ts';
import {
  applied,
  applyTakenOver,
  begun,
  failedAt,
  kept,
  nextGeneration,
  nothingLeft,
  overtaken,
  promoted,
  promoteRefused,
  recorded,
  takenOver,
  tested,
  undone,
} from './attempt.ts';
import type { EngineDependencies } from './engine-dependencies.ts';
import type { ManagedSecret } from './managed-secrets.ts';
import type { ProbeResult } from './probes/probe-result.ts';
import { publish, publishedAt } from './published-path.ts';
import type { Attempt, Created, Handle, Rotator, Value } from './rotators/rotator.ts';
import type { Specification } from './specification.ts';
import type { FailedStep } from './state.ts';

/** The steps of an attempt. Undefined: the write was lost or its outcome is unknown, so the document must be read again. */
export type Stepped = Promise<ManagedSecret | undefined>;

const MOST_RECORD_TRIES = 5;

export function begin(deps: EngineDependencies, secret: ManagedSecret, me: string): Stepped {
  return deps.secrets.save(secret, begun(secret.state, claimant(deps, secret, me), secret.spec, deps.now()));
}

export function takeOver(deps: EngineDependencies, secret: ManagedSecret, me: string): Stepped {
  const now = deps.now();
  return deps.secrets.save(
    secret,
    secret.state.phase === 'apply'
      ? applyTakenOver(secret.state, me, now)
      : takenOver(secret.state, claimant(deps, secret, me), now),
  );
}

/** A new attempt, with whatever its kind wants recorded before anything is made. */
function claimant(deps: EngineDependencies, secret: ManagedSecret, owner: string) {
  const { spec, state } = secret;
  const att = ulid(deps.now());
  const generation = state.g ?? nextGeneration(state);
  const attempt = { id: att, generation, spec, ...surroundings(state), assertClaimed: () => {} };
  return { att, owner, intent: rotatorFor(deps, spec.kind).intent?.(attempt) };
}

/**
 * Makes the credential and records its handle. Until the handle is recorded nothing renews the attempt, so whatever goes wrong in
 * between ends by itself or is found by what was recorded before.
 */
export async function create(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  const attempt = attemptOf(deps, secret);
  try {
    const { value, ...made } = await rotatorOf(deps, secret).create(attempt);
    if (value !== undefined) await deps.store.write(pendingPath(secret.name, attempt.id), value, 0);
    return await record(deps, secret, attempt.id, made);
  } catch (error) {
    const { state, spec } = secret;
    const taken = state.reason === 'supplied' && state.failures === 0 && state.cur !== undefined;
    if (taken && codeOf(error) === 'manual_value_missing') {
      return deps.secrets.save(secret, nothingLeft(state, spec, deps.now(), spreadOf(spec.name)));
    }
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
  made: Omit<Created, 'value'>,
): Stepped {
  let latest: ManagedSecret | undefined = secret;
  for (let tries = 0; latest !== undefined && tries < MOST_RECORD_TRIES; tries += 1) {
    const { phase, att, h } = latest.state;
    if (phase !== 'create' || att !== attempt || h !== undefined) return latest;
    const saved = await deps.secrets.save(latest, recorded(latest.state, made, deps.now()));
    if (saved !== undefined) return saved;
    latest = await deps.secrets.read(secret.name);
  }
  return undefined;
}

export async function keep(deps: EngineDependencies, secret: ManagedSecret, me: string): Stepped {
  try {
    const rotator = rotatorOf(deps, secret);
    if ((await rotator.keep?.(attemptOf(deps, secret), handleOf(secret))) === false) {
      return await deps.secrets.save(secret, failedAt(secret.state, 'create', 'attempt_expired'));
    }
    // A kind with nothing to apply goes on to the test in the same write.
    return await deps.secrets.save(secret, kept(secret.state, me, rotator.apply !== undefined, deps.now()));
  } catch (error) {
    return failed(deps, secret, 'create', error);
  }
}

export async function apply(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  const handle = handleOf(secret);
  try {
    const made = await rotatorOf(deps, secret).apply?.(attemptOf(deps, secret), handle, () =>
      storedValue(deps, secret),
    );
    return await deps.secrets.save(secret, applied(secret.state, made ?? handle, deps.now()));
  } catch (error) {
    // Not ours any more: whoever has it now goes on.
    if (codeOf(error) === 'rotation_claim_lost') return undefined;
    return failed(deps, secret, 'apply', error);
  }
}

export async function test(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  const { spec, state } = secret;
  try {
    const value = await pendingValue(deps, secret);
    if (value === undefined && spec.publish !== undefined) return await missingPending(deps, secret, 'test');
    const result = await tryOut(deps, secret, value);
    if (!result.ok) return await deps.secrets.save(secret, failedAt(state, 'test', result.code));
    const pv = spec.publish === undefined ? 0 : await versionAt(deps, spec.publish);
    return await deps.secrets.save(secret, tested(state, pv, spec, deps.now()));
  } catch (error) {
    // Nothing was asked of the database or service yet, or it is the probe that never throws: what is down here is Vault.
    if (isTransient(error)) throw error;
    return failed(deps, secret, 'test', error);
  }
}

async function tryOut(
  deps: EngineDependencies,
  secret: ManagedSecret,
  value: Value | undefined,
): Promise<ProbeResult> {
  const own = await rotatorOf(deps, secret).test?.(attemptOf(deps, secret), handleOf(secret), value);
  if (own?.ok === false || secret.spec.test === undefined || value === undefined) return own ?? { ok: true };
  return deps.runProbe(secret.spec.test, value, { now: deps.now });
}

async function versionAt(deps: EngineDependencies, at: string): Promise<number> {
  const { store, path } = await publishedAt(deps, at);
  return store.version(path);
}

/**
 * Publishes with the version fixed when this step was entered. Refused, with our value there: an earlier try went through. Refused
 * with another's value there: that is said in an event, then replaced.
 */
export async function promote(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  const { state, spec } = secret;
  try {
    if (spec.publish !== undefined) {
      const value = await pendingValue(deps, secret);
      if (value === undefined) return await missingPending(deps, secret, 'promote');
      const overtakenBy = await publish(deps, secret, spec.publish, value, state.pv ?? 0);
      if (overtakenBy !== undefined) {
        return await deps.secrets.save(secret, overtaken(state, overtakenBy, spec, deps.now()));
      }
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

export function abandon(deps: EngineDependencies, secret: ManagedSecret, code: string): Stepped {
  const { phase } = secret.state;
  const step = phase === 'apply' || phase === 'test' ? phase : 'create';
  return deps.secrets.save(secret, failedAt(secret.state, step, code));
}

export async function undo(deps: EngineDependencies, secret: ManagedSecret): Stepped {
  const saved = await deps.secrets.save(secret, undone(secret.state, secret.spec, deps.now(), deps.random));
  if (saved !== undefined) {
    deps.metrics.increment('leasekeeper_rotations_total', { name: secret.name, outcome: 'failed' });
  }
  return saved;
}

/** While Vault itself does not answer there is nothing to undo: the same step is entered again later. */
function failed(deps: EngineDependencies, secret: ManagedSecret, step: FailedStep, error: unknown): Stepped {
  if (isVaultError(error, 'vault_unreachable', 'vault_sealed', 'vault_standby', 'vault_rate_limited'))
    throw error;
  deps.onError(error, secret.name);
  return deps.secrets.save(secret, failedAt(secret.state, step, codeOf(error), retryAfterOf(error)));
}

/** How long the other side wants to be left alone, in milliseconds. */
export function retryAfterOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('retryAfterMs' in error)) return undefined;
  return typeof error.retryAfterMs === 'number' ? error.retryAfterMs : undefined;
}

/** Gone because another worker has finished this attempt, or (the document unchanged) because somebody removed it. */
async function missingPending(deps: EngineDependencies, secret: ManagedSecret, step: FailedStep): Stepped {
  const again = await deps.secrets.read(secret.name);
  if (again === undefined || again.version !== secret.version) return again;
  return deps.secrets.save(secret, failedAt(secret.state, step, 'pending_value_missing'));
}

function attemptOf(deps: EngineDependencies, secret: ManagedSecret): Attempt<Specification> {
  const { att, g, claimUntil = 0 } = secret.state;
  if (att === undefined || g === undefined) throw stuck(secret.name);
  const assertClaimed = () => {
    if (deps.now() >= claimUntil) throw claimLost(secret.name);
  };
  return { id: att, generation: g, spec: secret.spec, ...surroundings(secret.state), assertClaimed };
}

/** What an attempt has to know of the other generations. */
function surroundings({ cur, retiring, reason }: ManagedSecret['state']) {
  return { current: cur?.h, retiring: retiring.map(({ h }) => h), urgent: reason === 'leak' };
}

function handleOf(secret: ManagedSecret): Handle {
  if (secret.state.h === undefined) throw stuck(secret.name);
  return secret.state.h;
}

/** The rotator of the attempt: that of the kind it was begun as. */
function rotatorOf(deps: EngineDependencies, secret: ManagedSecret): Rotator<Specification> {
  return rotatorFor(deps, secret.state.kind ?? secret.spec.kind);
}

/** Throws `rotation_kind_unknown`: the document was written by a version that had this kind. */
export function rotatorFor(deps: EngineDependencies, kind: string): Rotator<Specification> {
  const rotator = deps.rotatorOf(kind);
  if (rotator !== undefined) return rotator;
  throw new LeasekeeperError('rotation_kind_unknown', `There is no kind of managed secret named ${kind}.`, {
    hint: 'The document was written by another version of Leasekeeper; run that one.',
  });
}

function claimLost(name: string): LeasekeeperError {
  return new LeasekeeperError('rotation_claim_lost', `Another worker may have gone on with ${name} by now.`, {
    hint: 'Nothing was done. The rotation goes on by itself.',
  });
}

/** The document is not one that the machine can have written. */
export function stuck(name: string): LeasekeeperError {
  return new LeasekeeperError('rotation_stuck', `The rotation of ${name} does not come to rest.`, {
    hint: 'Its document is not one that the machine can have written. Look at it, and report it.',
  });
}

/** Where the value of an attempt waits between create and promote. */
export function pendingPath(name: string, attempt: string): string {
  return `pending/${name}/${attempt}`;
}

async function pendingValue(deps: EngineDependencies, secret: ManagedSecret): Promise<Value | undefined> {
  if (secret.spec.publish === undefined) return undefined;
  const rotator = rotatorOf(deps, secret);
  const attempt = attemptOf(deps, secret);
  if (rotator.value !== undefined) return rotator.value(attempt, handleOf(secret));
  return storedValue(deps, secret);
}

async function storedValue(deps: EngineDependencies, secret: ManagedSecret): Promise<Value | undefined> {
  const { att = '' } = secret.state;
  return (await deps.store.read(pendingPath(secret.name, att))).entry?.data;
}
