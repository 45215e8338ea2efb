import { ulid } from 'ulid';
import { adoptionAt } from './adoption.ts';
import { pendingPath, stuck } from './attempt-steps.ts';
import type { EngineDependencies } from './engine-dependencies.ts';
import { dueOf, isTidy, nextStep, type Step, tidied } from './machine.ts';
import type { ManagedSecret } from './managed-secrets.ts';
import type { RotationState } from './state.ts';
import { perform } from './steps.ts';
import { lookForAdoption } from './upkeep-steps.ts';

/** How a document was left: what the agenda's hint is settled by. */
export interface EngineReport {
  readonly version: number;
  readonly state: RotationState;
  /** When the document needs a worker next, in milliseconds; undefined: never by itself. */
  readonly due: number | undefined;
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
  const tried = new Set<string | undefined>();
  if (secret !== undefined) secret = await tidy(deps, secret);
  if (secret !== undefined) secret = await lookAtOnce(deps, secret);
  while (secret !== undefined) {
    let step = nextStep(secret.state, secret.spec, deps.now(), me);
    if (step.kind === 'rest') break;
    // A handle that could not be recorded: what hangs on it is given up with its attempt, before anything is made again.
    if (step.kind === 'create' && tried.has(secret.state.att)) step = { kind: 'take-over' };
    if (step.kind === 'create') tried.add(secret.state.att);
    if (steps.push(step.kind) > MOST_STEPS) throw stuck(name);
    secret = (await timed(deps, step, secret, me)) ?? (await deps.secrets.read(name));
  }
  if (secret === undefined) return undefined;
  secret = await tidy(deps, secret);
  const { version, state, spec } = secret;
  return { version, state, due: dueOf(state, spec), steps };
}

/** Whoever sent us here may have an acknowledgement to tell: it is looked for before the next look is due. */
async function lookAtOnce(
  deps: EngineDependencies,
  secret: ManagedSecret,
): Promise<ManagedSecret | undefined> {
  const now = deps.now();
  const { state, spec } = secret;
  const early = state.retiring.find((one) => {
    const at = adoptionAt(one, spec);
    return at !== undefined && now >= one.notBefore && now < at;
  });
  if (early === undefined || state.paused !== undefined) return secret;
  return (await lookForAdoption(deps, secret, early, false)) ?? deps.secrets.read(secret.name);
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

/**
 * Deletes the pending values of attempts that are over, hands the outbox to the bus, and clears both in one write. A bus that is down
 * holds nothing up: what is left keeps the document due.
 */
async function tidy(deps: EngineDependencies, secret: ManagedSecret): Promise<ManagedSecret> {
  if (isTidy(secret.state)) return secret;
  await sweep(deps, secret);
  const taken = await handOver(deps, secret);
  const deleted = new Set(secret.state.sweep);
  if (taken.size === 0 && deleted.size === 0) return secret;
  const saved = await deps.secrets.save(secret, tidied(secret.state, taken, deleted));
  return saved ?? (await deps.secrets.change(secret.name, (state) => tidied(state, taken, deleted)));
}

async function handOver(deps: EngineDependencies, secret: ManagedSecret): Promise<ReadonlySet<string>> {
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
 * By listing, so that what a worker wrote that slept through its own end goes too. Listed first, the document read after it: what was
 * listed then belongs to an attempt that is over, or to the one that the document names, which is left alone.
 */
async function sweep(deps: EngineDependencies, secret: ManagedSecret): Promise<void> {
  if (secret.state.sweep.length === 0) return;
  const names = await deps.store.list(`pending/${secret.name}`);
  const current = (await deps.secrets.read(secret.name))?.state.att;
  const over = names.filter((name) => name !== current);
  await Promise.all(over.map((name) => deps.store.deleteMetadata(pendingPath(secret.name, name))));
}
