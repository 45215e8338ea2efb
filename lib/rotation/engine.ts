import { ulid } from 'ulid';
import type { EngineDependencies } from './engine-dependencies.ts';
import { isTidy, nextStep, type Step, tidied } from './machine.ts';
import type { ManagedSecret } from './managed-secrets.ts';
import type { RotationState } from './state.ts';
import { pendingPath, perform, stuck } from './steps.ts';

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
  await Promise.all(over.map((name) => deps.store.deleteMetadata(pendingPath(secret, name))));
}
