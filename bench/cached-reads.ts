import { GCProfiler } from 'node:v8';
import type { SecretsManager } from '../lib/secrets-manager/secrets-manager.ts';
import { createAudit } from '../lib/telemetry/audit.ts';
import type { Ground } from './ground.ts';
import { type Contender, inTurns } from './turns.ts';

/** Calls in a turn: one alone takes less time than to ask for the time. */
const BATCH = 50;
/** Turns that are looked at for what they allocate. */
const BATCHES = 40;
const PATHS = Array.from({ length: 8 }, (_, n) => `shared/bench-${n}`);
const pathOf = (call: number): string => PATHS[call & 7] ?? '';
const TTL_MS = 300_000;

/** What is found goes in here, so that no compiler leaves the search out. */
const sink = { found: 0 };

/** Cached `getSecret` against a Map: what it costs to have no Vault in the way. */
export async function cachedReads(ground: Ground, signal: AbortSignal): Promise<void> {
  const plain = ground.secretsManager({});
  const audited = ground.secretsManager({ audit: createAudit({ logger: ground.logger }) });
  for (const manager of [plain, audited]) await manager.init({ secrets: PATHS });
  const contenders = {
    ...mapLookups(),
    getSecret: reading(plain),
    'getSecret, audit lines': reading(audited),
  };
  const turns = await inTurns(contenders, { turns: 400, forMs: 4_000, warmUp: 20, signal });
  const nanoseconds = (name: string) => (turns.of(name).p50 * 1_000_000) / BATCH;
  const rows: Record<string, Readonly<Record<string, number>>> = {};
  for (const [name, run] of Object.entries(contenders)) {
    const [toMap, toAwaited] = [turns.ratio(name, MAP), turns.ratio(name, AWAITED)];
    rows[name] = {
      'p50 / Map': toMap.p50,
      ...(toMap.p99 === undefined ? {} : { 'p99 / Map': toMap.p99 }),
      'p50 / awaited': toAwaited.p50,
      'CPU / awaited': toAwaited.CPU,
      'ns more than Map': Math.round(nanoseconds(name) - nanoseconds(MAP)),
      'bytes a call': await bytesOf(run),
    };
  }
  console.log(
    `\nA cached getSecret, of ${PATHS.length} paths, one call after the other; ${turns.count} turns of ${BATCH} calls`,
  );
  console.table(rows);
}

const MAP = 'Map lookup';
const AWAITED = 'Map, expiry checked, awaited';

function mapLookups(): Record<string, Contender> {
  const values = new Map(PATHS.map((path) => [path, { value: path, until: Date.now() + TTL_MS }]));
  const checked = (path: string) => {
    const entry = values.get(path);
    if (entry === undefined || Date.now() >= entry.until) throw new Error(`nothing at ${path}`);
    return entry;
  };
  const awaited = async (path: string) => checked(path);
  return {
    [MAP]: () => {
      for (let call = 0; call < BATCH; call += 1) sink.found += values.get(pathOf(call))?.value.length ?? 0;
    },
    'Map, expiry checked': () => {
      for (let call = 0; call < BATCH; call += 1) sink.found += checked(pathOf(call)).value.length;
    },
    [AWAITED]: async () => {
      for (let call = 0; call < BATCH; call += 1) sink.found += (await awaited(pathOf(call))).value.length;
    },
  };
}

function reading(manager: SecretsManager): Contender {
  return async () => {
    for (let call = 0; call < BATCH; call += 1) sink.found += (await manager.getSecret(pathOf(call))).version;
  };
}

/** What a call allocates on the heap, in bytes: what is there afterwards, less what was there before, and what was collected meanwhile. */
async function bytesOf(run: Contender): Promise<number> {
  const profiler = new GCProfiler();
  profiler.start();
  const before = process.memoryUsage().heapUsed;
  for (let turn = 0; turn < BATCHES; turn += 1) await run(turn);
  const grown = process.memoryUsage().heapUsed - before;
  const { statistics = [] } = profiler.stop() ?? {};
  const collected = statistics.map(
    ({ beforeGC, afterGC }) => beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize,
  );
  return Math.round(collected.reduce((sum, one) => sum + one, grown) / BATCH / BATCHES);
}
