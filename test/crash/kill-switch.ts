import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpSender } from '../../lib/rotation/rotators/http/send-request.ts';
import type { Transport } from '../../lib/vault/transport.ts';

/**
 * Where a process kills itself: before its n-th outgoing call (counted from 1), after the answer came, or in between, when the call is on
 * its way and nobody knows what the other side has done.
 */
export interface KillPoint {
  readonly call: number;
  readonly when: 'before' | 'during' | 'after';
}

/** Every place where a job of that many calls can die. Before a call is after the one that went before, so only the first has that. */
export function killPoints(calls: number): readonly KillPoint[] {
  const each = Array.from({ length: calls }, (_, index): KillPoint[] => [
    { call: index + 1, when: 'during' },
    { call: index + 1, when: 'after' },
  ]);
  return [{ call: 1, when: 'before' }, ...each.flat()];
}

/** In-flight calls are cut off at one of these times after they were sent, in milliseconds, by turns. */
const CUT_OFF_MS = [0, 1, 3, 8];

/** Counts the outgoing calls of a process and kills it, by SIGKILL, at one of them. */
export class KillSwitch {
  readonly labels: string[] = [];
  readonly #point: KillPoint | undefined;

  constructor(point: KillPoint | undefined) {
    this.#point = point;
  }

  async call<T>(label: string, work: () => Promise<T>): Promise<T> {
    this.labels.push(label);
    const when = this.labels.length === this.#point?.call ? this.#point.when : undefined;
    if (when === 'before') await die();
    const working = work();
    if (when === 'during') {
      working.catch(() => {});
      await sleep(CUT_OFF_MS[this.labels.length % CUT_OFF_MS.length]);
      await die();
    }
    const result = await working;
    if (when === 'after') await die();
    return result;
  }

  transport(real: Transport): Transport {
    return {
      exchange: (request) =>
        this.call(`${request.method} ${shape(request.path)}`, () => real.exchange(request)),
      close: () => real.close(),
    };
  }

  http(real: HttpSender): HttpSender {
    return {
      send: (request) =>
        this.call(`${request.method} provider${shape(request.content.expose().path)}`, () =>
          real.send(request),
        ),
      close: () => real.close(),
    };
  }
}

/** SIGKILL takes effect a moment later; until then nothing more may happen. */
function die(): Promise<never> {
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => {});
}

/** A path without the names that differ between runs. */
function shape(path: string): string {
  return path
    .replace(/^\/v1\//, '')
    .replace(/(ns|state)-[0-9a-f]+/g, '$1')
    .replace(/[0-9A-HJKMNP-TV-Z]{26}/g, '<ulid>')
    .replace(/s-\d+-(none|before|during|after)/g, '<name>');
}
