import * as z from 'zod';
import type { Book } from '../agenda/book.ts';
import type { Hint } from '../agenda/hint.ts';
import { spreadOf } from '../agenda/shard-of.ts';
import { LeasekeeperError } from '../errors.ts';
import { isVaultError, VaultError } from '../vault/errors.ts';
import type { KvStore } from '../vault/kv-store.ts';
import { dueOf } from './machine.ts';
import { kinds } from './rotators/kinds.ts';
import { type Specification, type SpecificationInput, specificationSchema } from './specification.ts';
import { initialState, type RotationState, rotationStateSchema } from './state.ts';
import { rescheduled, restored } from './upkeep.ts';

/** A specification as a person wrote it, already known to parse. */
type SpecificationDocument = Readonly<Record<string, unknown>>;

/** One managed secret as it was read: `version` is what the next write must name. */
export interface ManagedSecret {
  readonly name: string;
  /** As it was written, durations as text: what is stored again. */
  readonly input: SpecificationDocument;
  readonly spec: Specification;
  readonly state: RotationState;
  readonly version: number;
}

export interface ManagedSecretsDependencies {
  readonly store: KvStore;
  readonly book: Book<Hint>;
  readonly now: () => number;
}

const documentSchema = z.object({
  specification: z.record(z.string(), z.unknown()),
  state: rotationStateSchema,
});
const MOST_TRIES = 20;

/** The documents `secrets/<name>`: specification and rotation state, with the agenda's hints kept never later than they are. */
export class ManagedSecrets {
  readonly #deps: ManagedSecretsDependencies;

  constructor(deps: ManagedSecretsDependencies) {
    this.#deps = deps;
  }

  /** Undefined when there is none of that name. Throws `managed_secret_unreadable`. */
  async read(name: string): Promise<ManagedSecret | undefined> {
    const { entry, version } = await this.#deps.store.read(`secrets/${name}`);
    if (entry === undefined) return undefined;
    try {
      const { specification, state } = documentSchema.parse(entry.data);
      const spec = specificationSchema.parse(specification);
      return { name, input: specification, spec, state, version };
    } catch (cause) {
      throw new LeasekeeperError('managed_secret_unreadable', `The document of ${name} cannot be read.`, {
        hint: 'It was written by a later version, or by hand. An earlier version of the document may still be in KV.',
        cause,
      });
    }
  }

  async names(): Promise<readonly string[]> {
    return (await this.#deps.store.list('secrets')).filter((name) => !name.endsWith('/'));
  }

  /**
   * One check-and-set write at the version read. Where it makes the document due sooner, or fills its outbox, the hint is posted
   * first: a crash between the two leaves a hint too many, never one too few. Undefined: the race was lost, or the outcome is unknown.
   */
  async save(
    secret: ManagedSecret,
    state: RotationState,
    input: SpecificationDocument = secret.input,
  ): Promise<ManagedSecret | undefined> {
    const spec = specificationSchema.parse(input);
    await this.#postHint(secret, state, spec);
    try {
      const version = await this.#deps.store.write(
        `secrets/${secret.name}`,
        { specification: input, state },
        secret.version,
      );
      return { name: secret.name, input, spec, state, version };
    } catch (error) {
      if (isVaultError(error, 'vault_cas_mismatch')) return undefined;
      if (error instanceof VaultError && error.processed === 'maybe') return undefined;
      throw error;
    }
  }

  /**
   * Creates or changes a specification. A new secret's first generation is due at once; a changed one takes effect at the next step
   * and makes nothing by itself.
   */
  async apply(input: SpecificationInput): Promise<ManagedSecret> {
    const spec = specificationSchema.parse(input);
    return this.#retry(spec.name, async () => {
      const existing = await this.read(spec.name);
      if (existing === undefined) return this.create(input, spec);
      const state = restored(existing.state, this.#fresh(spec));
      return this.save(existing, rescheduled(state, spec, spreadOf(spec.name)), input);
    });
  }

  /** One try at writing a document that was not there. Undefined: it is there by now, or the outcome is unknown. */
  create(input: SpecificationDocument, spec: Specification): Promise<ManagedSecret | undefined> {
    const state = this.#fresh(spec);
    // Due at nothing before, so that its hint is posted; at version 0, so that of two who create at once one is refused.
    const absent = { name: spec.name, input, spec, state: { ...state, due: undefined }, version: 0 };
    return this.save(absent, state);
  }

  #fresh(spec: Specification): RotationState {
    return initialState(this.#deps.now(), kinds[spec.kind].begins);
  }

  /** Changes the state whoever else writes. `change` runs again on each lost race; returning the state it was given writes nothing. */
  async change(
    name: string,
    change: (state: RotationState, spec: Specification) => RotationState,
  ): Promise<ManagedSecret> {
    return this.#retry(name, async () => {
      const secret = await this.read(name);
      if (secret === undefined) throw unknownSecret(name);
      const state = change(secret.state, secret.spec);
      return state === secret.state ? secret : this.save(secret, state);
    });
  }

  /** Writes the document, unchanged, until it has a version; gives the version it has then. `known` is one that was read already. */
  async raiseTo(name: string, version: number, known: number): Promise<number> {
    if (known >= version) return known;
    const raised = await this.#retry(name, async () => {
      const secret = await this.read(name);
      if (secret === undefined) throw unknownSecret(name);
      return secret.version >= version ? secret : this.save(secret, secret.state);
    });
    return this.raiseTo(name, version, raised.version);
  }

  async #postHint(secret: ManagedSecret, state: RotationState, spec: Specification): Promise<void> {
    const before = dueOf(secret.state, secret.spec);
    const after = dueOf(state, spec);
    if (after === undefined || (before !== undefined && before <= after)) return;
    await this.#deps.book.add({ id: secret.name, due: after, for: secret.version + 1 });
  }

  async #retry(name: string, attempt: () => Promise<ManagedSecret | undefined>): Promise<ManagedSecret> {
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const saved = await attempt();
      if (saved !== undefined) return saved;
    }
    throw new LeasekeeperError('managed_secret_contended', `The document of ${name} could not be written.`, {
      hint: 'Other writers kept coming first. Try again.',
    });
  }
}

export function unknownSecret(name: string): LeasekeeperError {
  return new LeasekeeperError('managed_secret_unknown', `There is no managed secret named ${name}.`, {
    hint: 'List what is managed, and check the name.',
  });
}
