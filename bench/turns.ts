/** A way to do something. Given the number of its turn, so that it need not do the very same twice. */
export type Contender = (turn: number) => unknown;

export interface TurnsOptions {
  /** At most. */
  readonly turns: number;
  /** Milliseconds after which no further turn is begun, so that a slow machine takes fewer turns and not longer. */
  readonly forMs: number;
  /** Turns before these, which are not counted. */
  readonly warmUp: number;
  readonly signal: AbortSignal;
}

/** One turn of one contender, in milliseconds. The processor's time is the mean, and that of this process with all its threads. */
interface Measured {
  readonly p50: number;
  readonly p99: number;
  readonly cpu: number;
}

/** How many times as much. */
export interface Ratio {
  readonly p50: number;
  readonly p99?: number;
  readonly CPU: number;
}

/** The columns of a table of ratios, in their order. */
export const COLUMNS = ['p50', 'p99', 'CPU'] as const satisfies readonly (keyof Ratio)[];

/** Of fewer turns the one in a hundred is only the slowest. */
const FEWEST_FOR_P99 = 100;

/** What the contenders took, by their names. */
export class Turns {
  /** How many turns each of them had. */
  readonly count: number;
  readonly #measured: ReadonlyMap<string, Measured>;

  constructor(count: number, measured: ReadonlyMap<string, Measured>) {
    this.count = count;
    this.#measured = measured;
  }

  /** What `name` took, as a multiple of what `other` did. Without p99 where there were too few turns. */
  ratio(name: string, other: string): Ratio {
    const [one, two] = [this.of(name), this.of(other)];
    const p99 = this.count < FEWEST_FOR_P99 ? {} : { p99: figure(one.p99 / two.p99) };
    return { p50: figure(one.p50 / two.p50), ...p99, CPU: figure(one.cpu / two.cpu) };
  }

  of(name: string): Measured {
    const measured = this.#measured.get(name);
    if (measured === undefined) throw new Error(`nothing is called ${name}`);
    return measured;
  }
}

/**
 * Has contenders take turns, each time in another order: whatever else the machine does meanwhile meets all of them alike. Throws the
 * signal's reason when it is aborted.
 */
export async function inTurns(
  contenders: Readonly<Record<string, Contender>>,
  { turns, forMs, warmUp, signal }: TurnsOptions,
): Promise<Turns> {
  const lanes = Object.entries(contenders).map(([name, run]) => ({ name, run, ...empty() }));
  const end = performance.now() + forMs;
  let count = -warmUp;
  while (count < turns && (count < 1 || performance.now() < end)) {
    const turn = count + warmUp;
    const first = turn % lanes.length;
    for (const { run, times, cpu } of [...lanes.slice(first), ...lanes.slice(0, first)]) {
      signal.throwIfAborted();
      const cpuBefore = process.cpuUsage();
      const began = performance.now();
      await run(turn);
      const took = performance.now() - began;
      const { user, system } = process.cpuUsage(cpuBefore);
      if (count < 0) continue;
      times.push(took);
      cpu.push((user + system) / 1_000);
    }
    count += 1;
  }
  const measured = lanes.map(({ name, times, cpu }) => {
    return [name, { p50: quantile(times, 0.5), p99: quantile(times, 0.99), cpu: mean(cpu) }] as const;
  });
  return new Turns(count, new Map(measured));
}

function empty(): { readonly times: number[]; readonly cpu: number[] } {
  return { times: [], cpu: [] };
}

/** Three digits that count. */
function figure(value: number): number {
  return Number(value.toPrecision(3));
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? Number.NaN;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
