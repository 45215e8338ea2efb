import type { Command } from 'commander';
import { type CliIo, EXIT } from './io.ts';
import type { SetExit } from './managed-program.ts';
import { withSystem } from './open-system.ts';
import type { ManagedCalls, SubscriptionCalls, System } from './system.ts';
import { table } from './table.ts';

export function addStatusCommand(program: Command, io: CliIo, setExit: SetExit): void {
  program
    .command('status')
    .description(
      'whether it works: scans, managed secrets by phase, what fails; exit code 1 if something does',
    )
    .option('--json', 'as JSON', false)
    .action(async (options: { json: boolean }) => setExit(await tellStatus(io, options)));
}

/** Exit code 1 when something fails. `now` in milliseconds since the epoch. */
export function tellStatus(
  io: CliIo,
  { json }: { readonly json: boolean },
  now: () => number = Date.now,
): Promise<number> {
  return withSystem(io, async (system) => {
    const status = await statusOf(system, now);
    if (json) io.out(JSON.stringify(status, null, 2));
    else for (const line of inLines(status)) io.out(line);
    return status.faults.length === 0 ? 0 : EXIT.failed;
  });
}

async function statusOf({ address, scans, managed, subscriptions }: System, now: () => number) {
  const health = await scans();
  const secrets = await managed.list({ removed: false });
  const subscribed = await subscriptions.list(undefined);
  const faults = [
    ...(health?.status === 'failing' ? [SCANS_FAIL] : []),
    ...secrets.flatMap((one) => secretFault(one, now())),
    ...subscribed.flatMap(subscriptionFault),
  ];
  const counts = { managed: phasesOf(secrets), subscriptions: subscribed.length };
  return { address, scans: health, ...counts, faults };
}

function inLines(status: Awaited<ReturnType<typeof statusOf>>): readonly string[] {
  const { address, scans, managed, subscriptions, faults } = status;
  const phases = Object.entries(managed).map(([phase, count]) => `${count} ${phase}`);
  return [
    `at ${address}`,
    ...(scans === undefined
      ? []
      : [`scans: ${scans.status}, the last one ${scans.seconds_since_scan} s ago`]),
    `managed secrets: ${phases.length === 0 ? 'none' : phases.join(', ')}`,
    `subscriptions: ${subscriptions === 0 ? 'none' : subscriptions}`,
    ...(faults.length === 0
      ? ['nothing fails']
      : table([HEAD, ...faults.map(({ of, name, fault }) => [of, name, fault])])),
  ];
}

const HEAD = ['WHAT', 'NAME', 'FAULT'];

interface Fault {
  readonly of: 'scan' | 'secret' | 'subscription';
  readonly name: string;
  readonly fault: string;
}

const SCANS_FAIL: Fault = {
  of: 'scan',
  name: '-',
  fault: 'does not succeed; see the log, and whether Vault answers',
};

/** Beyond any interval of scans that is in use, and clocks that differ. */
const OVERDUE_MS = 5 * 60_000;

/** What is the matter with one managed secret, if anything is. `now` in milliseconds since the epoch. */
function secretFault(
  secret: Awaited<ReturnType<ManagedCalls['list']>>[number],
  now: number,
): readonly Fault[] {
  const { name } = secret;
  const of = 'secret';
  if ('unreadable' in secret) return [{ of, name, fault: 'its document cannot be read' }];
  const { failures, phase, due, drift, paused, removed } = secret;
  if (removed) return [];
  const again = due === null ? '' : `; tried again at ${due}`;
  const late = due !== null && !paused && now - Date.parse(due) > OVERDUE_MS;
  const found = [
    ...(failures > 0 ? [`failed ${failures === 1 ? 'once' : `${failures} times`} (${phase})${again}`] : []),
    ...(drift ? ['drift: it was changed behind our back'] : []),
    ...(late ? [`overdue since ${due}: see whether scan and rotate run`] : []),
  ];
  return found.map((fault) => ({ of, name, fault }));
}

function subscriptionFault(one: Awaited<ReturnType<SubscriptionCalls['list']>>[number]): readonly Fault[] {
  const of = 'subscription';
  if ('unreadable' in one) return [{ of, name: one.id, fault: 'its document cannot be read' }];
  const { id: name, disabled, failing_since: since } = one;
  if (disabled?.reason === 'by_hand') return [];
  if (disabled !== undefined)
    return [{ of, name, fault: `disabled since ${disabled.at} (${disabled.reason})` }];
  return since === undefined ? [] : [{ of, name, fault: `failing since ${since}` }];
}

/** How many are in each phase, and how many are paused besides. */
function phasesOf(secrets: Awaited<ReturnType<ManagedCalls['list']>>): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  const count = (what: string) => {
    counts[what] = (counts[what] ?? 0) + 1;
  };
  for (const one of secrets) {
    if ('unreadable' in one) count('unreadable');
    else count(one.phase);
    if (!('unreadable' in one) && one.paused) count('paused');
  }
  return counts;
}
