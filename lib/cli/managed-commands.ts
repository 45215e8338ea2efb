import {
  applySpecification,
  type Operator,
  pause,
  remove,
  resume,
  rotateNow,
  supply,
} from '../host/managed-operations.ts';
import type { ManagedSecret } from '../rotation/managed-secrets.ts';
import { writeAcknowledgement } from '../vault/acknowledgements.ts';
import { type Connection, withVault } from './connection.ts';
import { readVaultEnvironment } from './environment.ts';
import { type CliIo, sourceOf } from './io.ts';
import { readSpecifications } from './specification-file.ts';
import { readValue } from './supplied-value.ts';

/** Creates or changes managed secrets from a file, or from standard input. */
export async function applyFile(io: CliIo, file: string): Promise<number> {
  const written = await readSpecifications(sourceOf(io, file));
  return withVault(await readVaultEnvironment(io.environment), async ({ secrets }) => {
    for (const one of written) {
      const { name, version, state } = await applySpecification({ secrets }, one);
      const due = state.due === undefined ? 'it waits to be asked for' : 'its first generation is due now';
      io.out(`${name}: ${version === 1 ? `created; ${due}` : 'changed'}`);
    }
    return 0;
  });
}

/** Makes a rotation due now. The next scan sends a worker. */
export function rotateManaged(io: CliIo, name: string, options: { readonly leak: boolean }): Promise<number> {
  return change(
    io,
    (operator) => rotateNow(operator, name, options.leak),
    ({ state }) => {
      const begun =
        state.phase === 'idle' ? 'due now; the next scan begins it' : `already under way (${state.phase})`;
      return `rotation ${begun}${options.leak ? '; the old generation is revoked without grace' : ''}`;
    },
  );
}

export function pauseManaged(io: CliIo, name: string): Promise<number> {
  return change(
    io,
    (operator) => pause(operator, name),
    ({ state }) =>
      state.phase === 'idle'
        ? 'paused; nothing of it is rotated or retired until it is resumed'
        : `paused; the rotation under way (${state.phase}) is still finished`,
  );
}

export function resumeManaged(io: CliIo, name: string): Promise<number> {
  return change(
    io,
    (operator) => resume(operator, name),
    () => 'goes on',
  );
}

export function removeManaged(
  io: CliIo,
  name: string,
  { credentials }: { readonly credentials: 'revoke' | 'keep' },
): Promise<number> {
  return change(
    io,
    (operator) => remove(operator, name, credentials),
    () =>
      credentials === 'revoke'
        ? 'no longer managed; its credentials are revoked once the grace is over'
        : 'no longer managed; its credentials work until they end by themselves, and nobody revokes them',
  );
}

/** Takes the value of the next generation of a secret of kind `manual`. It is never shown. */
export async function supplyManaged(io: CliIo, name: string, file: string): Promise<number> {
  const value = await readValue(io, file);
  return change(
    io,
    (operator, { store }) => supply(operator, store, name, value),
    ({ state }) =>
      state.phase === 'idle'
        ? 'value taken; the next scan begins its rotation'
        : `value taken; its rotation follows the one under way (${state.phase})`,
  );
}

/** Says for a consumer that it has adopted a generation. */
export async function acknowledgeManaged(
  io: CliIo,
  name: string,
  { consumer, generation }: { readonly consumer: string; readonly generation: number },
): Promise<number> {
  return withVault(await readVaultEnvironment(io.environment), async ({ store }) => {
    const { generation: stands } = await writeAcknowledgement(store, name, consumer, generation);
    io.out(
      `${name}: ${consumer} has ${stands === generation ? 'adopted' : 'already adopted the later'} generation ${stands}`,
    );
    return 0;
  });
}

async function change(
  io: CliIo,
  work: (operator: Operator, connection: Connection) => Promise<ManagedSecret>,
  told: (secret: ManagedSecret) => string,
): Promise<number> {
  return withVault(await readVaultEnvironment(io.environment), async (connection) => {
    const secret = await work(await connection.operator(), connection);
    io.out(`${secret.name}: ${told(secret)}`);
    return 0;
  });
}
