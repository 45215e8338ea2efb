/**
 * What `npm test` runs: lint, types, architecture, unused code, unit, integration and deployment tests. `npm test -- unit lint` runs
 * only the steps named. The last line is always `N passed, N failed`: tests, and each other step as one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';

interface Step {
  readonly name: string;
  /** A script and its arguments, run by this very Node. */
  readonly command: readonly string[];
  /** Where vitest writes its counts. */
  readonly countsFile?: string;
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Outcome extends Counts {
  /** What failed, in a few lines each: it comes first, for whoever sees only the beginning of a long output. */
  readonly failures: readonly string[];
  /** The files that took longest, for whoever wants the whole to be faster. */
  readonly slowest: readonly string[];
}

const root = path.dirname(import.meta.dirname);
const folder = mkdtempSync(path.join(tmpdir(), 'leasekeeper-check-'));
const inModules = (file: string) => path.join(root, 'node_modules', file);

const tests = (name: string): Step => {
  const countsFile = path.join(folder, `${name}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${countsFile}`];
  return {
    name,
    command: [inModules('vitest/vitest.mjs'), 'run', '--project', name, ...reporters],
    countsFile,
  };
};

/**
 * Steps that need no server share the processors. The integration tests have them to themselves afterwards, but for the deployment, which
 * mostly waits for a schedule.
 */
const stages: readonly (readonly Step[])[] = [
  [
    tests('unit'),
    { name: 'types', command: [inModules('typescript/bin/tsc'), '--noEmit'] },
    { name: 'lint', command: [inModules('@biomejs/biome/bin/biome'), 'check', '--error-on-warnings', '.'] },
    { name: 'architecture', command: [path.join(root, 'scripts/check-architecture.ts')] },
    { name: 'unused', command: [inModules('knip/bin/knip.js')] },
  ],
  [tests('integration'), tests('deploy')],
];
const AT_ONCE = 2;

const countsSchema = z.object({
  numPassedTests: z.number(),
  numFailedTests: z.number(),
  numPendingTests: z.number(),
  numTodoTests: z.number(),
  testResults: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      startTime: z.number(),
      endTime: z.number(),
      message: z.string().default(''),
      assertionResults: z.array(
        z.object({
          status: z.string(),
          fullName: z.string(),
          failureMessages: z.array(z.string()).nullish(),
        }),
      ),
    }),
  ),
});

const running = new Set<ChildProcess>();
let interrupted = false;

/**
 * Whoever has a Vault, a database or an AWS account in the shell keeps it: no test may ever see it. The many processes that tests start
 * share what Node has compiled, which halves the time of their start.
 */
function testEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(VAULT|BAO|PG|AWS)_?[A-Z]/;
  const kept = Object.entries(process.env).filter(([name]) => !foreign.test(name));
  return { ...Object.fromEntries(kept), NODE_COMPILE_CACHE: path.join(folder, 'compiled') };
}

async function run(step: Step): Promise<Outcome> {
  const started = performance.now();
  const child = spawn(process.execPath, step.command, {
    cwd: root,
    env: testEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (exitCode) => resolve(exitCode ?? 1));
  });
  running.delete(child);
  const outcome = judge(step, code);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const skipped = outcome.skipped > 0 ? `, ${outcome.skipped} skipped` : '';
  const counts = step.countsFile ? `: ${outcome.passed} passed, ${outcome.failed} failed${skipped}` : '';
  console.log(`${outcome.failed > 0 ? 'FAILED' : 'ok    '} ${step.name}${counts} (${seconds} s)`);
  if (outcome.slowest.length > 0) console.log(`       longest: ${outcome.slowest.join(', ')}`);
  for (const failure of outcome.failures) console.log(failure);
  if (outcome.failed > 0) console.log(output.trimEnd());
  return outcome;
}

/** A step that fails without a failed test, because a file does not load for example, counts as one failed. */
function judge(step: Step, code: number): Outcome {
  const counts = step.countsFile ? readCounts(step.countsFile) : undefined;
  if (!counts)
    return {
      passed: code === 0 && !step.countsFile ? 1 : 0,
      failed: code === 0 && !step.countsFile ? 0 : 1,
      skipped: 0,
      failures: [],
      slowest: [],
    };
  const failed = code !== 0 && counts.numFailedTests === 0 ? 1 : counts.numFailedTests;
  const skipped = counts.numPendingTests + counts.numTodoTests;
  return {
    passed: counts.numPassedTests,
    failed,
    skipped,
    failures: failuresIn(counts),
    slowest: slowestIn(counts),
  };
}

const SLOWEST = 8;

function slowestIn({ testResults }: z.infer<typeof countsSchema>): string[] {
  const timed = testResults.map(({ name, startTime, endTime }) => ({
    seconds: (endTime - startTime) / 1_000,
    file: path.relative(root, name),
  }));
  const ordered = timed.toSorted((a, b) => b.seconds - a.seconds).slice(0, SLOWEST);
  return ordered.map(({ seconds, file }) => `${file} ${seconds.toFixed(0)} s`);
}

function failuresIn(counts: z.infer<typeof countsSchema>): string[] {
  return counts.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = path.relative(root, name);
    const failed = assertionResults.filter((test) => test.status === 'failed');
    if (status === 'failed' && failed.length === 0) return [`  ${file}: ${begin(message)}`];
    return failed.map(
      (test) => `  ${file}: ${test.fullName}\n${begin((test.failureMessages ?? []).join('\n'))}`,
    );
  });
}

const MOST_LINES = 12;

function begin(text: string): string {
  return text.split('\n').slice(0, MOST_LINES).join('\n');
}

function readCounts(file: string): z.infer<typeof countsSchema> | undefined {
  try {
    return countsSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}

async function runStage(steps: readonly Step[]): Promise<Outcome[]> {
  const waiting = [...steps];
  const outcomes: Outcome[] = [];
  const worker = async () => {
    for (let step = waiting.shift(); step && !interrupted; step = waiting.shift())
      outcomes.push(await run(step));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return outcomes;
}

function chosenStages(names: readonly string[]): readonly (readonly Step[])[] {
  const known = stages.flat().map(({ name }) => name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new Error(`Unknown step ${unknown.join(', ')}; there are ${known.join(', ')}.`);
  return names.length === 0
    ? stages
    : stages.map((stage) => stage.filter(({ name }) => names.includes(name)));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted = true;
    for (const child of running) child.kill(signal);
  });
}

const outcomes: Outcome[] = [];
try {
  for (const stage of chosenStages(process.argv.slice(2))) outcomes.push(...(await runStage(stage)));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const total = (key: keyof Counts) => outcomes.reduce((sum, outcome) => sum + outcome[key], 0);
console.log(`${total('passed')} passed, ${total('failed')} failed`);
process.exitCode = total('failed') > 0 || interrupted ? 1 : 0;
