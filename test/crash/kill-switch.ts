import type { Transport } from '../../lib/vault/transport.ts';

/** Where a process kills itself: before or after its n-th outgoing call (counted from 1). */
export interface KillPoint {
  readonly call: number;
  readonly when: 'before' | 'after';
}

/** Counts the outgoing calls of a process and kills it, by SIGKILL, at one of them. */
export class KillSwitch {
  readonly labels: string[] = [];
  readonly #point: KillPoint | undefined;

  constructor(point: KillPoint | undefined) {
    this.#point = point;
  }

  async call<T>(label: string, work: () => Promise<T>): Promise<T> {
    this.labels.push(label);
    const mine = this.labels.length === this.#point?.call;
    if (mine && this.#point?.when === 'before') await die();
    const result = await work();
    if (mine) await die();
    return result;
  }

  transport(real: Transport): Transport {
    return {
      exchange: (request) =>
        this.call(`${request.method} ${shape(request.path)}`, () => real.exchange(request)),
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
    .replace(/s-\d+-(before|after)/g, '<name>');
}
