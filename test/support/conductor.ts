import { setImmediate as nextTurn } from 'node:timers/promises';
import { VaultError } from '../../lib/vault/errors.ts';
import type { Transport, TransportAnswer, TransportRequest } from '../../lib/vault/transport.ts';

/**
 * What becomes of one exchange, and of the process that makes it. `lose-…` cuts the connection before or after Vault has done the
 * work; `die-…` ends the process there: it is never scheduled again.
 */
export type Fate = 'go' | 'lose-request' | 'lose-answer' | 'die-before' | 'die-after';

/** One turn of a schedule: who goes on (modulo the number of those that wait), for how many exchanges, and what becomes of the last. */
export interface Choice {
  readonly pick: number;
  readonly exchanges: number;
  readonly fate: Fate;
  /** Milliseconds by which everybody's clock moves first. */
  readonly clock?: number;
}

/** An exchange that waits for the conductor. */
export interface Parked {
  readonly actor: string;
  readonly request: TransportRequest;
  readonly resolve: (answer: TransportAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export interface ConductorOptions {
  readonly real: Transport;
  /** What a fate becomes for one exchange: lets a test keep some of them free of some faults. */
  readonly temper?: (request: TransportRequest, fate: Fate) => Fate;
  readonly onClock?: (milliseconds: number) => void;
  /** Called for each exchange that reached Vault. */
  readonly onExchange?: (actor: string, request: TransportRequest, answer: TransportAnswer) => void;
}

/**
 * Runs several processes on one real Vault, one exchange at a time, in an order that is chosen. Every exchange is parked before it is
 * sent; when each process waits with at least one or has ended, the next choice says which goes. The same choices give the same order.
 */
export class Conductor {
  readonly #options: ConductorOptions;
  readonly #parked: Parked[] = [];
  readonly #running = new Set<string>();
  readonly #dead = new Set<string>();
  readonly #failures: unknown[] = [];
  #moved: () => void = () => {};

  constructor(options: ConductorOptions) {
    this.#options = options;
  }

  /** The transport of one process. */
  transportOf(actor: string): Transport {
    return {
      exchange: (request) =>
        new Promise((resolve, reject) => {
          if (this.#dead.has(actor)) return;
          this.#parked.push({ actor, request, resolve, reject });
          this.#moved();
        }),
      close: () => Promise.resolve(),
    };
  }

  /** Starts a process. What it throws is thrown by `play`. */
  start(actor: string, work: () => Promise<unknown>): void {
    this.#running.add(actor);
    const ended = () => {
      this.#running.delete(actor);
      this.#moved();
    };
    work().then(ended, (error: unknown) => {
      this.#failures.push(error);
      ended();
    });
  }

  isDead(actor: string): boolean {
    return this.#dead.has(actor);
  }

  /** Plays until every process has ended; once the choices are used up, first come, first served, without faults. */
  async play(choices: readonly Choice[] = []): Promise<void> {
    for (const choice of choices) {
      const actors = [...new Set((await this.waiting()).map(({ actor }) => actor))].sort();
      const actor = actors[choice.pick % actors.length];
      if (actor === undefined) break;
      if (choice.clock !== undefined) this.#options.onClock?.(choice.clock);
      await this.#turn(actor, choice);
    }
    for (;;) {
      const [first] = await this.waiting();
      if (this.#failures.length > 0) throw this.#failures[0];
      if (first === undefined) return;
      await this.release(first, 'go');
    }
  }

  async #turn(actor: string, { exchanges, fate }: Choice): Promise<void> {
    for (let left = exchanges; left > 0; left -= 1) {
      const next = (await this.waiting()).find((parked) => parked.actor === actor);
      if (this.#failures.length > 0) throw this.#failures[0];
      if (next === undefined) return;
      await this.release(next, left === 1 ? fate : 'go');
    }
  }

  /** Lets one process go on alone until it waits with an exchange that `stop` accepts, or has ended. */
  async playUntil(actor: string, stop: (request: TransportRequest) => boolean): Promise<Parked | undefined> {
    for (;;) {
      const own = (await this.waiting()).filter((parked) => parked.actor === actor);
      const reached = own.find(({ request }) => stop(request));
      if (this.#failures.length > 0) throw this.#failures[0];
      const [first] = own;
      if (reached !== undefined || first === undefined) return reached;
      await this.release(first, 'go');
    }
  }

  /** The exchanges that wait, once every running process waits with one. */
  async waiting(): Promise<readonly Parked[]> {
    while ([...this.#running].some((actor) => !this.#parked.some((parked) => parked.actor === actor))) {
      await new Promise<void>((resolve) => {
        this.#moved = resolve;
      });
    }
    // Exchanges that a process makes side by side are all parked within a turn or two.
    await nextTurn();
    await nextTurn();
    return this.#parked;
  }

  async release(parked: Parked, asked: Fate): Promise<void> {
    const fate = this.#options.temper?.(parked.request, asked) ?? asked;
    this.#parked.splice(this.#parked.indexOf(parked), 1);
    if (fate === 'die-before') return this.#kill(parked.actor);
    if (fate === 'lose-request') return parked.reject(connectionLost());
    const answer = await this.#options.real.exchange(parked.request);
    this.#options.onExchange?.(parked.actor, parked.request, answer);
    if (fate === 'die-after') return this.#kill(parked.actor);
    if (fate === 'lose-answer') return parked.reject(connectionLost());
    parked.resolve(answer);
  }

  #kill(actor: string): void {
    this.#dead.add(actor);
    this.#running.delete(actor);
    const others = this.#parked.filter((parked) => parked.actor !== actor);
    this.#parked.splice(0, this.#parked.length, ...others);
  }
}

function connectionLost(): VaultError {
  return new VaultError('vault_unreachable', 'The connection was cut.', {
    processed: 'maybe',
    reasons: ['ECONNRESET'],
  });
}
