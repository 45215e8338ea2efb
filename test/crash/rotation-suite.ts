import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pLimit from 'p-limit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { outcomeSchema } from '../../lib/bus/events.ts';
import { rotateSecret } from '../../lib/rotation/engine.ts';
import { publishedAt } from '../../lib/rotation/published-path.ts';
import { generationOf } from '../../lib/vault/published-generation.ts';
import type { KindCase, PreparedKind } from '../kinds/kind-case.ts';
import { ask, documentOf, firstGeneration, knownCredentials, publishedValue } from '../kinds/rotating.ts';
import { until } from '../support/until.ts';
import { createWorld, openWorld, type World, type WorldDescription } from '../support/world.ts';
import { type KillPoint, killPoints } from './kill-switch.ts';
import { bundleWorker, type RunJob } from './run-job.ts';

const PROCESSES = 3;
/** Past every claim and backoff of whoever died. */
const PAST_CLAIMS_MS = 1_000_000;
const MOST_ROUNDS = 8;
/** Vault tries a revocation that failed again only after a while: a busy database may take several. */
const SETTLED_WITHIN_MS = 120_000;

interface Killed {
  readonly name: string;
  readonly point: KillPoint;
  /** Where the process was killed that came after the first. */
  readonly again: KillPoint | undefined;
}

/**
 * Kills a rotating process of each kind before, during and after every outgoing call ({@link killPoints}), and after a call in flight also the process that
 * comes next; then looks whether each secret is whole and nothing lives that no state knows.
 */
export function crashSuite(cases: readonly KindCase[]): void {
  describe.each(cases.map((one) => [one.kind, one] as const))('kind %s', crashesOf);
}

function crashesOf(kind: string, one: KindCase): void {
  let described: WorldDescription;
  let world: World;
  let prepared: PreparedKind;
  let folder: string;
  let runJob: RunJob;
  /** Added to the clock of whoever comes after a crash. */
  let later = 0;

  beforeAll(async () => {
    described = await createWorld();
    world = openWorld(described, { now: () => Date.now() + later, onError: () => {} });
    prepared = await one.prepare(world);
    folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-crash-'));
    runJob = await bundleWorker(folder);
  });
  afterAll(async () => {
    await prepared.close();
    await world.close();
    await rm(folder, { recursive: true, force: true });
  });

  const run = (name: string, kill?: KillPoint, ahead = 0) =>
    runJob({
      world: described,
      job: { kind: 'rotate', name },
      events: path.join(folder, `${name}.jsonl`),
      later: ahead,
      ...(kill === undefined ? {} : { kill }),
    });

  /** A secret at generation 1, of which a rotation was asked. */
  const prepare = async (name: string) => {
    await firstGeneration(world, prepared, name);
    await prepared.beforeRotation?.(name);
    await ask(world, name, { reason: 'demand' });
  };

  /** Killed where it should be; a call in flight has a second process die too, at a call of its own further on. */
  const killedAt = async (point: KillPoint, calls: number): Promise<Killed> => {
    const name = `s-${point.call}-${point.when}`;
    await prepare(name);
    expect({ name, ...(await run(name, point)) }).toEqual({ name, killed: true });
    if (point.when !== 'during') return { name, point, again: undefined };
    const again: KillPoint = {
      call: 1 + ((point.call * 5) % calls),
      when: point.call % 2 === 0 ? 'before' : 'after',
    };
    const second = await run(name, again, PAST_CLAIMS_MS);
    return { name, point, again: second.killed ? again : undefined };
  };

  it('survives SIGKILL at every outgoing call of a rotation', async () => {
    await prepare('s-0-none');
    const whole = await run('s-0-none');
    if (whole.killed) throw new Error('nothing was to be killed');
    const points = killPoints(whole.labels.length);
    const limit = pLimit(PROCESSES);
    const killed = await Promise.all(
      points.map((point) => limit(() => killedAt(point, whole.labels.length))),
    );

    later = 2 * PAST_CLAIMS_MS;
    const names = ['s-0-none', ...killed.map(({ name }) => name)];
    await Promise.all(names.map((name) => limit(() => recover(name))));
    const results = new Map(
      await Promise.all(names.map(async (name) => [name, await limit(() => inspect(name))] as const)),
    );
    // Attempts that were never recorded end with their tokens, by themselves.
    const known = await knownCredentials(world, prepared, names);
    await until(async () => (await prepared.live()).join() === known.join(), SETTLED_WITHIN_MS).catch(
      async (cause: unknown) => {
        const live = await prepared.live();
        const unknown = live.filter((id) => !known.includes(id));
        const gone = known.filter((id) => !live.includes(id));
        throw new Error(
          `unknown and alive: ${unknown.join() || 'none'}; known and gone: ${gone.join() || 'none'}`,
          { cause },
        );
      },
    );

    report(whole.labels, killed, results);
  }, 480_000);

  /** What comes after a crash: other workers, as the agenda sends them, until the document rests. */
  async function recover(name: string): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      await rotateSecret(world.rotate, name);
      const { state } = await documentOf(world, name);
      if (state.phase === 'idle' && state.failures === 0 && state.retiring.length === 0) return;
      later = Math.max(later, (3 + round) * PAST_CLAIMS_MS);
      await prepared.beforeRotation?.(name);
    }
  }

  async function inspect(name: string): Promise<string> {
    const { state, spec } = await documentOf(world, name);
    const { phase, retiring, outbox, sweep, cur } = state;
    expect({ name, phase, g: cur?.g, retiring, outbox, sweep }).toEqual({
      name,
      phase: 'idle',
      g: 2,
      retiring: [],
      outbox: {},
      sweep: [],
    });
    const value = await publishedValue(world, name);
    expect({ name, works: await prepared.works(name, value) }).toEqual({ name, works: true });
    if (spec.publish !== undefined) {
      const { store, path: at } = await publishedAt(world.rotate, spec.publish);
      const { entry } = await store.read(at);
      expect(entry?.version).toBe(cur?.published?.version);
      expect(generationOf(entry?.customMetadata ?? {}, entry?.version ?? 0)).toBe(2);
    }
    expect(await world.store.list(`pending/${name}`)).toEqual([]);
    const told = await eventsOf(name);
    const failed = told.filter((event) => event.startsWith('secret.rotation_failed'));
    expect({ name, told: told.filter((event) => !failed.includes(event)) }).toEqual({
      name,
      told: ['secret.retired g1', 'secret.rotated g1', 'secret.rotated g2'],
    });
    return failed.length > 0 || state.reap.length > 0 ? 'whole, by another attempt' : 'whole';
  }

  /** The logical events: what was published twice with one id is one. */
  async function eventsOf(name: string): Promise<readonly string[]> {
    const text = await readFile(path.join(folder, `${name}.jsonl`), 'utf8').catch(() => '');
    const fromTheDead = text
      .split('\n')
      .filter(Boolean)
      .map((line) => outcomeSchema.parse(JSON.parse(line)));
    const mine = [...fromTheDead, ...world.published].filter(
      (event) => 'name' in event.data && event.data.name === name,
    );
    const told = new Map(
      mine.map(({ id, type, data }) => [id, `${type} g${'generation' in data ? data.generation : ''}`]),
    );
    return [...told.values()].sort();
  }

  function report(
    labels: readonly string[],
    killed: readonly Killed[],
    results: ReadonlyMap<string, string>,
  ) {
    const twice = killed.filter(({ again }) => again !== undefined).length;
    const others = [...results.values()].filter((result) => result !== 'whole').length;
    console.log(
      `kind ${kind}: ${labels.length} calls, ${killed.length + twice} kills (between any two, and during each; ` +
        `${twice} recoveries killed too), ${results.size} secrets whole, ${others} by another attempt`,
    );
    const at = (call: number, when: KillPoint['when']) =>
      killed
        .filter(({ point }) => point.call === call && point.when === when)
        .map(({ name, again }) => `${results.get(name)}${again ? `, also ${again.when} ${again.call}` : ''}`)
        .join();
    console.table(
      labels.map((label, index) => ({
        call: index + 1,
        label,
        during: at(index + 1, 'during'),
        after: at(index + 1, 'after'),
      })),
    );
  }
}
