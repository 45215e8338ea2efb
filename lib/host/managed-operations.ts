import { ulid } from 'ulid';
import { codeOf, LeasekeeperError } from '../errors.ts';
import type { ManagedSecret, ManagedSecrets } from '../rotation/managed-secrets.ts';
import type { Value } from '../rotation/rotators/rotator.ts';
import { suppliedPath } from '../rotation/rotators/supplied-value.ts';
import type { Specification } from '../rotation/specification.ts';
import type { WrittenSpecification } from '../rotation/specification-faults.ts';
import type { RotationState } from '../rotation/state.ts';
import { demanded, paused, removed, resumed } from '../rotation/upkeep.ts';
import { isVaultError, VaultError } from '../vault/errors.ts';
import type { KvStore } from '../vault/kv-store.ts';
import { assertManaged, assertRotatable, nameTaken, notManual, unknownName } from './managed-refusals.ts';

/** What operators do to managed secrets, the same over HTTP and by command. All throw VaultError besides what they say. */
export interface Operator {
  /** The documents, read and written with the operator's own token. */
  readonly secrets: ManagedSecrets;
  /** Who it is, for the history; cut to what a document takes. */
  readonly by: string;
  /** Milliseconds since the epoch, by Vault's clock. */
  readonly now: () => number;
}

const LONGEST_WHO = 256;
const MOST_WRITES = 3;

/** Creates a secret or changes its specification; one that was removed is managed again. */
export function applySpecification(
  { secrets }: Pick<Operator, 'secrets'>,
  { input }: WrittenSpecification,
): Promise<ManagedSecret> {
  return secrets.apply(input);
}

/** Creates a secret, and leaves one that is there as it is. Throws `managed_secret_exists`. */
export async function createOnly(
  { secrets }: Pick<Operator, 'secrets'>,
  { input, spec }: WrittenSpecification,
): Promise<ManagedSecret> {
  const { name } = spec;
  for (let tries = 0; tries < MOST_WRITES; tries += 1) {
    // Read before the hint is posted that goes ahead of a document.
    if ((await secrets.read(name)) !== undefined) throw nameTaken(name);
    const created = await secrets.create(input, spec);
    if (created !== undefined) return created;
  }
  throw new LeasekeeperError('managed_secret_contended', `The document of ${name} could not be written.`, {
    hint: 'Vault did not say whether it was. Look whether it is there, and try again.',
  });
}

/** Makes a rotation due now. Throws `managed_secret_unknown`, `managed_secret_removed`, `managed_secret_paused`. */
export function rotateNow(operator: Operator, name: string, leaked: boolean): Promise<ManagedSecret> {
  return change(operator, name, (state) => {
    assertRotatable(name, state);
    return demanded(state, { reason: leaked ? 'leak' : 'demand', by: whoOf(operator) }, operator.now());
  });
}

/** Throws `managed_secret_unknown`, `managed_secret_removed`. */
export function pause(operator: Operator, name: string): Promise<ManagedSecret> {
  return change(operator, name, (state) => {
    assertManaged(name, state);
    return paused(state, whoOf(operator), operator.now());
  });
}

/** Throws `managed_secret_unknown`, `managed_secret_removed`. */
export function resume(operator: Operator, name: string): Promise<ManagedSecret> {
  return change(operator, name, (state) => {
    assertManaged(name, state);
    return resumed(state);
  });
}

/**
 * Has a secret managed no more. Asked again, nothing changes. Throws `managed_secret_unknown`; `managed_secret_removed` when it was
 * removed with the other choice, for what was revoked or forgotten then stays so.
 */
export function remove(
  operator: Operator,
  name: string,
  credentials: 'revoke' | 'keep',
): Promise<ManagedSecret> {
  return change(operator, name, (state) => {
    if (state.removed?.credentials !== credentials) assertManaged(name, state);
    return removed(state, credentials, whoOf(operator), operator.now());
  });
}

/**
 * Takes a value that a person has supplied, for the next generation. It is written before the rotation is asked for, under a name that
 * is never used again, and only rotate can read it. Throws `managed_secret_unknown`, `managed_secret_not_manual`,
 * `managed_secret_removed`, `managed_secret_paused`.
 */
export async function supply(
  operator: Operator,
  store: KvStore,
  name: string,
  value: Value,
): Promise<ManagedSecret> {
  const secret = await operator.secrets.read(name);
  if (secret === undefined) throw unknownName(name);
  assertSuppliable(name, secret.state, secret.spec);
  await writeSupplied(store, suppliedPath(name, ulid(operator.now())), value);
  return change(operator, name, (state, spec) => {
    assertSuppliable(name, state, spec);
    return demanded(state, { reason: 'supplied', by: whoOf(operator) }, operator.now());
  });
}

function assertSuppliable(name: string, state: RotationState, spec: Specification): void {
  if (spec.kind !== 'manual') throw notManual(name, spec.kind);
  assertRotatable(name, state);
}

async function writeSupplied(store: KvStore, path: string, value: Value): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await store.write(path, { value }, 0);
      return;
    } catch (error) {
      // The name is ours alone: refused means that an earlier try, whose answer was lost, went through.
      if (attempt > 1 && isVaultError(error, 'vault_cas_mismatch')) return;
      if (attempt >= MOST_WRITES || !(error instanceof VaultError) || error.processed !== 'maybe')
        throw error;
    }
  }
}

function whoOf({ by }: Operator): string {
  return by.slice(0, LONGEST_WHO);
}

async function change(
  { secrets }: Operator,
  name: string,
  work: (state: RotationState, spec: Specification) => RotationState,
): Promise<ManagedSecret> {
  try {
    return await secrets.change(name, work);
  } catch (error) {
    throw codeOf(error) === 'managed_secret_unknown' ? unknownName(name) : error;
  }
}
