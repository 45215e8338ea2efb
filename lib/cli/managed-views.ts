import type { UnreadableSecret } from '../host/managed-list.ts';
import type { ListedSecret } from '../host/managed-summary.ts';
import type { CliIo } from './io.ts';
import { withSystem } from './open-system.ts';
import type { ToldSecret } from './system.ts';
import { table } from './table.ts';

/** A line for each managed secret. */
export function listManaged(
  io: CliIo,
  options: { readonly json: boolean; readonly removed: boolean },
): Promise<number> {
  return withSystem(io, async ({ managed }) => {
    const found = await managed.list(options);
    if (options.json) io.out(JSON.stringify(found, null, 2));
    else if (found.length === 0) io.out('Nothing is managed yet. `leasekeeper apply -f <file>` begins.');
    else for (const line of table([LIST_HEAD, ...found.map(columnsOf)])) io.out(line);
    return 0;
  });
}

/**
 * Specification and rotation state of one managed secret; where Vault itself is asked, handles included. There is no secret value in
 * either.
 */
export function showManaged(io: CliIo, name: string): Promise<number> {
  return withSystem(io, async ({ managed }) => {
    io.out(JSON.stringify(await managed.show(name), null, 2));
    return 0;
  });
}

/** The last rotations of one managed secret, newest first. */
export function showHistory(io: CliIo, name: string, options: { readonly json: boolean }): Promise<number> {
  return withSystem(io, async ({ managed }) => {
    const { history } = await managed.show(name);
    if (options.json) io.out(JSON.stringify(history, null, 2));
    else if (history.length === 0) io.out(`${name} has not been rotated yet.`);
    else for (const line of table([HISTORY_HEAD, ...history.map(pastColumnsOf)])) io.out(line);
    return 0;
  });
}

const LIST_HEAD = ['NAME', 'KIND', 'PHASE', 'CURRENT', 'RETIRING', 'DUE', 'FAILURES', 'STATE'];
const HISTORY_HEAD = [
  'GENERATION',
  'REASON',
  'BY',
  'PROMOTED',
  'TOOK',
  'FAILURES',
  'RETIRED',
  'BECAUSE',
] as const;

/** In the order in which they are done: Vault sorts the keys of what it keeps. */
const STEPS = ['create', 'keep', 'apply', 'test', 'promote'];

function columnsOf(secret: ListedSecret | UnreadableSecret): readonly string[] {
  if ('unreadable' in secret) return [secret.name, '-', '-', '-', '-', '-', '-', 'unreadable'];
  const { name, kind, phase, generation, retiring, due, failures, paused, removed, drift } = secret;
  const states = [
    ...(removed ? ['removed'] : []),
    ...(paused ? ['paused'] : []),
    ...(drift ? ['drift'] : []),
  ];
  return [
    name,
    kind,
    phase,
    generation === null ? '-' : `g${generation}`,
    retiring.length === 0 ? '-' : retiring.map((g) => `g${g}`).join(','),
    removed ? '-' : (due ?? 'on demand'),
    failures === 0 ? '-' : String(failures),
    states.length === 0 ? '-' : states.join(','),
  ];
}

function pastColumnsOf(past: ToldSecret['history'][number]): readonly string[] {
  const took = STEPS.flatMap((step) => {
    const ms = past.took[step];
    return ms === undefined ? [] : [`${step} ${(ms / 1_000).toFixed(1)}s`];
  });
  return [
    `g${past.generation}`,
    past.reason,
    past.by ?? '-',
    past.promoted ?? '-',
    took.join(', ') || '-',
    past.failures === 0 ? '-' : String(past.failures),
    past.retired ?? '-',
    past.retired_because ?? '-',
  ];
}
