import type { Metrics } from '../telemetry/metrics.ts';
import { writeAcknowledgement } from '../vault/acknowledgements.ts';
import type { KvStore } from '../vault/kv-store.ts';
import { generationOf, managedNameIn } from '../vault/published-generation.ts';
import type { AccessLog } from './access-log.ts';
import type { SecretsManagerEmitter } from './events.ts';
import { generationUnknown } from './refusals.ts';

/** What a read has found at a path in KV. */
export interface PublishedRead {
  readonly path: string;
  readonly version: number;
  readonly customMetadata: Readonly<Record<string, string>>;
}

export interface AcknowledgementsDependencies {
  /** The state mount, with the service's own token: its policy must allow the one document that is its own. */
  readonly store: KvStore;
  /** The consumer that the service is, as specifications name it. */
  readonly consumer: string;
  readonly accesses: AccessLog;
  readonly events: SecretsManagerEmitter;
  readonly metrics: Metrics;
}

interface Adopted {
  readonly version: number;
  /** Which of two that were adopted came later, whatever order their handlers ended in. */
  readonly turn: number;
  writing: boolean;
}

/**
 * Tells Leasekeeper which generations the service has adopted, so that the old ones need not wait for their deadline. What could not be
 * written, or has no generation yet, is tried again whenever its path is read.
 */
export class Acknowledgements {
  readonly #deps: AcknowledgementsDependencies;
  readonly #adopted = new Map<string, Adopted>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #adopting = new Set<Promise<void>>();
  #turns = 0;
  #closed = false;

  constructor(deps: AcknowledgementsDependencies) {
    this.#deps = deps;
  }

  /** There is another version at a path. It counts as adopted once `handled` says that every handler has finished well. */
  rotated(read: PublishedRead, handled: Promise<boolean>): Promise<void> {
    this.#turns += 1;
    const adopting = this.#adoptWhenHandled(read, handled, this.#turns);
    this.#adopting.add(adopting);
    return adopting.finally(() => this.#adopting.delete(adopting));
  }

  async #adoptWhenHandled(read: PublishedRead, handled: Promise<boolean>, turn: number): Promise<void> {
    if (!(await handled)) return;
    const { path, version } = read;
    if (turn < (this.#adopted.get(path)?.turn ?? 0)) return;
    this.#adopted.set(path, { version, turn, writing: false });
    this.seen(read);
  }

  /** A path was read: what is still to be said of it is tried. Never throws; a failure is told as `fault`. */
  seen(read: PublishedRead): void {
    const { path } = read;
    const adopted = this.#adopted.get(path);
    if (adopted === undefined || adopted.writing || this.#closed) return;
    // Value and metadata are two writes: which generation it is may be known only at the next read.
    if (subjectOf(read, adopted.version) === undefined) return;
    adopted.writing = true;
    const writing = this.acknowledge(read, adopted.version)
      .then(() => {
        if (this.#adopted.get(path) === adopted) this.#adopted.delete(path);
      })
      .catch((error: unknown) => {
        adopted.writing = false;
        void this.#deps.events.emit('fault', { operation: 'acknowledge', path, error });
      });
    this.#running.add(writing);
    void writing.finally(() => this.#running.delete(writing));
  }

  /** Acknowledges the generation that a version holds. Throws `generation_unknown`, VaultError. */
  async acknowledge(read: PublishedRead, version: number): Promise<void> {
    const { store, consumer, accesses, metrics } = this.#deps;
    const subject = subjectOf(read, version);
    if (subject === undefined) throw generationUnknown(read.path);
    const { name, generation } = subject;
    try {
      await accesses.done({ action: 'ack', path: read.path }, () =>
        writeAcknowledgement(store, name, consumer, generation),
      );
      metrics.increment('leasekeeper_acknowledgements_total', { outcome: 'written' });
    } catch (error) {
      metrics.increment('leasekeeper_acknowledgements_total', { outcome: 'failed' });
      throw error;
    }
  }

  /** Waits for handlers that still run, and for what is written of them. Never rejects. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#adopting);
    await Promise.allSettled(this.#running);
  }

  /** Waits for what is being written, and begins no more: a handler that still runs has not adopted anything. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }
}

/** The managed secret at a path, and which generation of it a version holds; undefined when that is not (yet) said. */
function subjectOf({ customMetadata }: PublishedRead, version: number) {
  const name = managedNameIn(customMetadata);
  const generation = generationOf(customMetadata, version);
  return name === undefined || generation === undefined ? undefined : { name, generation };
}
