import fc from 'fast-check';
import { expect } from 'vitest';
import { Book } from '../../../lib/agenda/book.ts';
import { GONE, type Hint, type LeftDocument, ROTATIONS, workOnHints } from '../../../lib/agenda/hint.ts';
import { codeOf } from '../../../lib/errors.ts';
import { dueOf } from '../../../lib/rotation/machine.ts';
import { ManagedSecrets } from '../../../lib/rotation/managed-secrets.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import type { Transport } from '../../../lib/vault/transport.ts';
import { uniqueName } from '../../support/admin.ts';
import { type Choice, Conductor } from '../../support/conductor.ts';
import { FolderStore } from '../../support/folder-store.ts';
import { leaseSpecification, type World } from '../../support/world.ts';
import { turns } from './turns.ts';

const CLAIM_MS = 120_000;
const NAME = 'app-database';

interface Edit {
  readonly due: number | null;
  /** Leaves a document alone that is due sooner. */
  readonly onlySooner: boolean;
}

export interface HintScenario {
  /** Whether the document is there from the beginning, or is made meanwhile. */
  readonly made: boolean;
  /** What writers make of the time due: milliseconds from the start; null: never due. */
  readonly edits: readonly Edit[];
  /** What a worker leaves, once it has done what was due. */
  readonly left: readonly (number | null)[];
  readonly choices: readonly Choice[];
}

export function hintScenarios(): fc.Arbitrary<HintScenario> {
  const due = fc.constantFrom(-1_000, 30_000, 50_000, 500_000, null);
  return fc.record({
    made: fc.boolean(),
    edits: fc.array(fc.record({ due, onlySooner: fc.boolean() }), { minLength: 1, maxLength: 3 }),
    left: fc.array(fc.constantFrom(60_000, 400_000, null), { minLength: 2, maxLength: 2 }),
    choices: fc.array(turns(4), { minLength: 10, maxLength: 30, size: 'max' }),
  });
}

/** Plays one schedule of writers and workers on one managed secret's document, and checks that its hint is never later than it is. */
export async function playHints(world: World, real: Transport, scenario: HintScenario): Promise<void> {
  await new HintRun(world, real, scenario).play();
}

interface Rooms {
  readonly book: Book<Hint>;
  readonly secrets: ManagedSecrets;
}

class HintRun {
  readonly #world: World;
  readonly #scenario: HintScenario;
  readonly #folder = uniqueName('run');
  readonly #conductor: Conductor;
  readonly #start = Date.now();
  #now = this.#start;

  constructor(world: World, real: Transport, scenario: HintScenario) {
    this.#world = world;
    this.#scenario = scenario;
    this.#conductor = new Conductor({ real });
  }

  async play(): Promise<void> {
    const direct = this.#roomsOn(new FolderStore(this.#world.vault, this.#world.stateMount, this.#folder));
    await direct.book.create(1);
    if (this.#scenario.made) await direct.secrets.apply(leaseSpecification(this.#world));
    else
      this.#conductor.start('maker', () =>
        this.#rooms('maker').secrets.apply(leaseSpecification(this.#world)),
      );
    for (const [n, edit] of this.#scenario.edits.entries()) {
      this.#conductor.start(`writer-${n}`, () => this.#edit(`writer-${n}`, edit));
    }
    for (const [n, due] of this.#scenario.left.entries()) {
      this.#conductor.start(`worker-${n}`, () => this.#work(`worker-${n}`, due));
    }
    await this.#conductor.play(this.#scenario.choices);
    await this.#checkHint(direct);
    this.#now += CLAIM_MS + 1_000;
    await this.#workThrough(direct, 10_000_000);
    await this.#workThrough(direct, 10_000_000);
    const found = await direct.secrets.read(NAME);
    if (found !== undefined)
      expect(dueOf(found.state, found.spec) ?? Number.POSITIVE_INFINITY).toBeGreaterThan(this.#now);
  }

  /** The hint is there and no later than the document; while a worker has it, no later than the end of its claim. */
  async #checkHint({ book, secrets }: Rooms): Promise<void> {
    const found = await secrets.read(NAME);
    const due = found === undefined ? undefined : dueOf(found.state, found.spec);
    if (due === undefined) return;
    const { state } = await book.visit(0, () => ({}));
    const hint = state.entries.get(NAME);
    expect(hint, `a document due at ${due - this.#start} has no hint`).toBeDefined();
    // An old message that is merged once more may give a hint its earlier time back; what is due now is sent a worker now, all the same.
    const latest = Math.max(due, hint?.claim === undefined ? this.#now : this.#now + CLAIM_MS);
    expect(hint?.due, `for ${due - this.#start}`).toBeLessThanOrEqual(latest);
  }

  #roomsOn(store: FolderStore): Rooms {
    const now = () => this.#now;
    const book = new Book<Hint>({ kind: ROTATIONS, store, now, random: () => 0 });
    return { book, secrets: new ManagedSecrets({ store, book, now }) };
  }

  #rooms(actor: string) {
    const transport = this.#conductor.transportOf(actor);
    const client = new VaultClient({ transport, random: () => 0 });
    const vault = actingWith(client, new Secret(this.#world.rootToken));
    return this.#roomsOn(new FolderStore(vault, this.#world.stateMount, this.#folder));
  }

  async #edit(actor: string, { due, onlySooner }: Edit): Promise<void> {
    const wanted = this.#at(due);
    try {
      await this.#rooms(actor).secrets.change(NAME, (state) => {
        const isSooner = (state.due ?? Number.POSITIVE_INFINITY) > (wanted ?? Number.POSITIVE_INFINITY);
        return onlySooner && !isSooner ? state : { ...state, due: wanted };
      });
    } catch (error) {
      if (codeOf(error) !== 'managed_secret_unknown') throw error;
    }
  }

  async #work(actor: string, left: number | null): Promise<void> {
    const rooms = this.#rooms(actor);
    await this.#workThrough(rooms, left);
    await this.#workThrough(rooms, left);
  }

  async #workThrough(rooms: Rooms, left: number | null): Promise<void> {
    await workOnHints(rooms.book, 0, {
      now: () => this.#now,
      claimMs: CLAIM_MS,
      parallel: 2,
      work: ({ id }) => this.#advance(rooms.secrets, id, left),
      onError: (error) => {
        throw error;
      },
    });
  }

  /** What the engine does with a document, made short: when it is due, one write moves it on. */
  async #advance(secrets: ManagedSecrets, name: string, left: number | null): Promise<LeftDocument> {
    for (;;) {
      const secret = await secrets.read(name);
      if (secret === undefined) return GONE;
      const due = dueOf(secret.state, secret.spec);
      if (due === undefined || due > this.#now) return { version: secret.version, due };
      const saved = await secrets.save(secret, { ...secret.state, due: this.#at(left) });
      if (saved !== undefined) return { version: saved.version, due: dueOf(saved.state, saved.spec) };
    }
  }

  #at(due: number | null): number | undefined {
    return due === null ? undefined : this.#start + due;
  }
}
