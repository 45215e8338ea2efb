import { setTimeout as sleep } from 'node:timers/promises';
import { Secret } from '../../telemetry/secret.ts';
import type { Vault, VaultAnswer } from '../../vault/client.ts';
import { isVaultError } from '../../vault/errors.ts';
import { compare, type Difference, updateOf } from './compare.ts';
import { SetupError } from './setup-error.ts';
import type { ReadBack, SetupCall, SetupStep, SetupValue } from './step.ts';

export interface ApplyOptions {
  /** Whether our own objects are put right where they differ. Those of others never are. */
  readonly update: boolean;
  readonly onStep?: (report: StepReport) => void;
}

/** What came of one step. `different`: it is not as it should be, and was left alone. */
export interface StepReport {
  readonly title: string;
  readonly outcome: 'there' | 'made' | 'updated' | 'different';
  readonly differences: readonly Difference[];
  /** Whether `update` would put the differences right. */
  readonly ours: boolean;
}

/**
 * Makes what is missing. What is there is never widened or overwritten, save our own objects when `update` asks for it; doing it again
 * writes nothing. Throws VaultError, and `setup_mount_different` before the first write when a mount is there for something else.
 */
export async function applyPlan(
  vault: Vault,
  steps: readonly SetupStep[],
  options: ApplyOptions,
): Promise<readonly StepReport[]> {
  await checkFoundations(vault, steps);
  const reports: StepReport[] = [];
  for (const step of steps) {
    const report = await applyStep(vault, step, options);
    options.onStep?.(report);
    reports.push(report);
  }
  return reports;
}

async function checkFoundations(vault: Vault, steps: readonly SetupStep[]): Promise<void> {
  for (const step of steps.filter(({ foundation }) => foundation)) {
    const found = compare(step.read, await readBack(vault, step.read));
    if (found.kind === 'different') throw differentMount(step, found.differences);
  }
}

async function applyStep(vault: Vault, step: SetupStep, options: ApplyOptions): Promise<StepReport> {
  const report = { title: step.title, ours: step.ours, differences: [] };
  const body = await readBack(vault, step.read);
  const found = compare(step.read, body);
  if (found.kind === 'same') return { ...report, outcome: 'there' };
  if (found.kind === 'missing') {
    await write(vault, step.write);
    return { ...report, outcome: 'made' };
  }
  if (!options.update || !step.ours) {
    return { ...report, outcome: 'different', differences: found.differences };
  }
  await write(vault, updateOf(step, body));
  return { ...report, outcome: 'updated', differences: found.differences };
}

/** Undefined when there is nothing. */
async function readBack(vault: Vault, read: ReadBack): Promise<unknown> {
  const answer = await onceUpgraded(() =>
    vault.request({ method: 'GET', path: read.path, repeatable: true, missingIsAnswer: true }),
  );
  return answer.status === 404 ? undefined : answer.body;
}

async function write(vault: Vault, call: SetupCall): Promise<void> {
  const { method, path } = call;
  await onceUpgraded(() => vault.request({ method, path, body: exposed(call.body), repeatable: false }));
}

/** The one place where the secrets of a plan come out. */
function exposed(value: SetupValue): unknown {
  if (value instanceof Secret) return value.expose();
  if (Array.isArray(value)) return value.map(exposed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, exposed(one)]));
}

const UPGRADE_TRIES = 20;
const UPGRADE_WAIT_MS = 250;

/** A new KV v2 mount refuses requests for a moment, longer than the client waits: "Upgrading from non-versioned to versioned data". */
async function onceUpgraded(request: () => Promise<VaultAnswer>): Promise<VaultAnswer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await request();
    } catch (error) {
      const upgrading =
        isVaultError(error) && error.reasons.some((reason) => /upgrading from non-versioned/i.test(reason));
      if (!upgrading || tries === UPGRADE_TRIES) throw error;
      await sleep(UPGRADE_WAIT_MS);
    }
  }
}

function differentMount(step: SetupStep, differences: readonly Difference[]): SetupError {
  const what = differences
    .map(({ field, there, wanted }) => `${field} is ${there}, not ${wanted}`)
    .join('; ');
  return new SetupError(
    'setup_mount_different',
    `The ${step.title} is there already, for something else: ${what}.`,
    {
      hint: 'Choose another mount path. Nothing was written.',
    },
  );
}
