import { type CliIo, sourceOf } from './io.ts';
import { withSystem } from './open-system.ts';
import { readSpecifications } from './specification-file.ts';
import { readValue } from './supplied-value.ts';
import type { ManagedCalls, ToldSecret } from './system.ts';

/** Creates or changes managed secrets from a file, or from standard input. */
export async function applyFile(io: CliIo, file: string): Promise<number> {
  const written = await readSpecifications(sourceOf(io, file));
  return withSystem(io, async ({ managed }) => {
    for (const one of written) {
      const { name, document_version: version, next_rotation: next } = await managed.apply(one);
      const due = next === undefined ? 'it waits to be asked for' : 'its first generation is due now';
      io.out(`${name}: ${version === 1 ? `created; ${due}` : 'changed'}`);
    }
    return 0;
  });
}

/** Makes a rotation due now. The next scan sends a worker. */
export function rotateManaged(io: CliIo, name: string, options: { readonly leak: boolean }): Promise<number> {
  return change(
    io,
    (managed) => managed.rotate(name, options.leak),
    ({ phase }) => {
      const begun = phase === 'idle' ? 'due now; the next scan begins it' : `already under way (${phase})`;
      return `rotation ${begun}${options.leak ? '; the old generation is revoked without grace' : ''}`;
    },
  );
}

export function pauseManaged(io: CliIo, name: string): Promise<number> {
  return change(
    io,
    (managed) => managed.pause(name),
    ({ phase }) =>
      phase === 'idle'
        ? 'paused; nothing of it is rotated or retired until it is resumed'
        : `paused; the rotation under way (${phase}) is still finished`,
  );
}

export function resumeManaged(io: CliIo, name: string): Promise<number> {
  return change(
    io,
    (managed) => managed.resume(name),
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
    (managed) => managed.remove(name, credentials),
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
    (managed) => managed.supply(name, value),
    ({ phase }) =>
      phase === 'idle'
        ? 'value taken; the next scan begins its rotation'
        : `value taken; its rotation follows the one under way (${phase})`,
  );
}

/** Says for a consumer that it has adopted a generation. */
export function acknowledgeManaged(
  io: CliIo,
  name: string,
  { consumer, generation }: { readonly consumer: string; readonly generation: number },
): Promise<number> {
  return withSystem(io, async ({ managed }) => {
    const stands = await managed.acknowledge(name, consumer, generation);
    io.out(
      `${name}: ${consumer} has ${stands === generation ? 'adopted' : 'already adopted the later'} generation ${stands}`,
    );
    return 0;
  });
}

function change(
  io: CliIo,
  work: (managed: ManagedCalls) => Promise<ToldSecret>,
  told: (secret: ToldSecret) => string,
): Promise<number> {
  return withSystem(io, async ({ managed }) => {
    const secret = await work(managed);
    io.out(`${secret.name}: ${told(secret)}`);
    return 0;
  });
}
