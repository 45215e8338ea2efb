import type { ManagedSecret } from '../rotation/managed-secrets.ts';
import { unknownSecret } from '../rotation/managed-secrets.ts';
import { demanded } from '../rotation/upkeep.ts';
import { withVault } from './connection.ts';
import { readVaultEnvironment } from './environment.ts';
import type { CliIo } from './io.ts';
import { readSpecifications } from './specification-file.ts';

/** Creates or changes managed secrets from a file. */
export async function applyFile(io: CliIo, file: string): Promise<number> {
  const written = await readSpecifications(file);
  return withVault(await readVaultEnvironment(io.environment), async ({ secrets }) => {
    for (const { input } of written) {
      const { name, version } = await secrets.apply(input);
      io.out(`${name}: ${version === 1 ? 'created; its first generation is due now' : 'changed'}`);
    }
    return 0;
  });
}

/** A line for each managed secret. */
export async function listManaged(io: CliIo, options: { readonly json: boolean }): Promise<number> {
  return withVault(await readVaultEnvironment(io.environment), async ({ secrets, requirePrepared }) => {
    const read = await Promise.all((await secrets.names()).map((name) => secrets.read(name)));
    const found = read.filter((secret) => secret !== undefined);
    // A mount that is not there lists like an empty one.
    if (found.length === 0) await requirePrepared();
    if (options.json) io.out(JSON.stringify(found.map(summaryOf), null, 2));
    else if (found.length === 0) io.out('Nothing is managed yet. `leasekeeper apply -f <file>` begins.');
    else for (const line of table(found.map(columnsOf))) io.out(line);
    return 0;
  });
}

/** Specification and rotation state of one managed secret. There is no secret value in either. */
export async function showManaged(io: CliIo, name: string): Promise<number> {
  return withVault(await readVaultEnvironment(io.environment), async ({ secrets }) => {
    const secret = await secrets.read(name);
    if (secret === undefined) throw unknownSecret(name);
    io.out(
      JSON.stringify({ ...summaryOf(secret), specification: secret.input, state: secret.state }, null, 2),
    );
    return 0;
  });
}

/** Makes a rotation due now. The next scan sends a worker. */
export async function rotateManaged(
  io: CliIo,
  name: string,
  options: { readonly leak: boolean },
): Promise<number> {
  const reason = options.leak ? 'leak' : 'demand';
  return withVault(await readVaultEnvironment(io.environment), async ({ vault, secrets }) => {
    const { state } = await secrets.change(name, (before) => demanded(before, { reason }, vault.now()));
    const begun =
      state.phase === 'idle' ? 'due now; the next scan begins it' : `already under way (${state.phase})`;
    io.out(
      `${name}: rotation ${begun}${options.leak ? '; the old generation is revoked without grace' : ''}`,
    );
    return 0;
  });
}

interface Summary {
  readonly name: string;
  readonly kind: string;
  readonly phase: string;
  readonly generation: number | null;
  readonly retiring: readonly number[];
  readonly due: string | null;
  readonly failures: number;
}

function summaryOf({ name, spec, state }: ManagedSecret): Summary {
  return {
    name,
    kind: spec.kind,
    phase: state.phase,
    generation: state.cur?.g ?? null,
    retiring: state.retiring.map(({ g }) => g),
    due: state.due === undefined ? null : new Date(state.due).toISOString(),
    failures: state.failures,
  };
}

function columnsOf(secret: ManagedSecret): readonly string[] {
  const { name, kind, phase, generation, retiring, due, failures } = summaryOf(secret);
  return [
    name,
    kind,
    phase,
    generation === null ? '-' : `g${generation}`,
    retiring.length === 0 ? '-' : retiring.map((g) => `g${g}`).join(','),
    due ?? 'on demand',
    failures === 0 ? '-' : String(failures),
  ];
}

function table(rows: readonly (readonly string[])[]): readonly string[] {
  const all = [['NAME', 'KIND', 'PHASE', 'CURRENT', 'RETIRING', 'DUE', 'FAILURES'], ...rows];
  const widths = all.reduce<readonly number[]>(
    (wide, row) => row.map((cell, column) => Math.max(cell.length, wide[column] ?? 0)),
    [],
  );
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
