import { expect } from 'vitest';
import { rotateSecret } from '../../lib/rotation/engine.ts';
import { type RunProbe, runProbe } from '../../lib/rotation/probes/probe.ts';
import type { Transport } from '../../lib/vault/transport.ts';
import { openWorld, type World, type WorldDescription } from '../support/world.ts';
import type { PreparedKind } from './kind-case.ts';
import { ask, documentOf, firstGeneration } from './rotating.ts';

/** Where a worker stops: before or after its n-th outgoing call (counted from 1). */
export interface StopPoint {
  readonly call: number;
  readonly when: 'before' | 'after';
}

/** Within the process: a worker that stops and never goes on is as good as dead; one that is woken has slept. */
export class Interruption {
  /** Of the call at which it has stopped. */
  label = '';
  readonly #point: StopPoint;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #goOn = Promise.withResolvers<void>();
  #calls = 0;

  constructor(point: StopPoint) {
    this.#point = point;
  }

  /** What a world is opened with, so that its outgoing calls are counted. */
  readonly options = {
    transport: (real: Transport): Transport => ({
      exchange: (request) => this.#call(`${request.method} ${request.path}`, () => real.exchange(request)),
      close: () => real.close(),
    }),
    runProbe: ((probe, value, clock) =>
      this.#call('probe', () => runProbe(probe, value, clock))) satisfies RunProbe,
  };

  async #call<T>(label: string, work: () => Promise<T>): Promise<T> {
    this.#calls += 1;
    const when = this.#calls === this.#point.call ? this.#point.when : undefined;
    if (when === 'before') await this.#stop(label);
    const result = await work();
    if (when === 'after') await this.#stop(label);
    return result;
  }

  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  wake(): void {
    this.#goOn.resolve();
  }

  #stop(label: string): Promise<void> {
    this.label = label;
    this.#stopped.resolve();
    return this.#goOn.promise;
  }
}

/** One worker that is stopped on the way, and the others that come after it, past every claim and backoff. */
export interface StoppedScene {
  readonly name: string;
  readonly others: World;
  /** Added to everybody's clock, in milliseconds. */
  readonly clock: { ahead: number };
  /** Lets the stopped worker go on, and waits for its end. */
  wake(): Promise<void>;
}

const HOUR_MS = 3_600_000;

/**
 * A secret at generation 1 of which a rotation was asked, and whose worker has stopped at `point`. Undefined: it was through before that.
 */
export async function stoppedAt(
  described: WorldDescription,
  prepared: PreparedKind,
  name: string,
  point: StopPoint,
): Promise<StoppedScene | undefined> {
  const clock = { ahead: 0 };
  const now = () => Date.now() + clock.ahead;
  const others = openWorld(described, { now, onError: () => {} });
  await firstGeneration(others, prepared, name);
  await ask(others, name, { reason: 'demand' });
  const interruption = new Interruption(point);
  const stopping = openWorld(described, {
    now,
    onError: () => {},
    ...interruption.options,
  });
  const working = rotateSecret(stopping.rotate, name).then(
    () => 'done' as const,
    () => 'failed' as const,
  );
  const stopped = await Promise.race([interruption.stopped.then(() => 'stopped' as const), working]);
  if (stopped !== 'stopped') return undefined;
  return {
    name,
    others,
    clock,
    wake: async () => {
      interruption.wake();
      await working;
      await stopping.close();
    },
  };
}

/** Others come until the document rests. */
export async function recovered({ name, others, clock }: StoppedScene): Promise<void> {
  for (let round = 0; round < 4; round += 1) {
    clock.ahead += HOUR_MS / 2;
    await rotateSecret(others.rotate, name);
  }
  const { state } = await documentOf(others, name);
  expect({ name, phase: state.phase, retiring: state.retiring, outbox: state.outbox }).toEqual({
    name,
    phase: 'idle',
    retiring: [],
    outbox: {},
  });
}
