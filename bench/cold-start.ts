/**
 * How long a function takes on AWS Lambda from the start of its process until it asks for its first event, against one that does nothing.
 * `node bench/cold-start.ts` starts each under Lambda's own runtime client, in turns in one run, and prints ratios: absolute times say
 * nothing on a machine that others share, and nothing of Lambda's own start of the machine around it. Beside them are the sizes.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import * as z from 'zod';
import { FUNCTIONS } from '../lib/host/identities.ts';
import { startFunction } from '../test/support/lambda/function-process.ts';
import { findRuntimeClient, type RuntimeClient } from '../test/support/lambda/runtime-client.ts';
import { inTurns } from './turns.ts';

const EMPTY = 'empty';
const OPTIONS = { turns: 40, forMs: 90_000, warmUp: 2 };

const sizesSchema = z.record(z.enum(FUNCTIONS), z.object({ start: z.number(), total: z.number() }));

const stopped = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stopped.abort());

const ending: PromiseLike<void>[] = [];
const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-bench-'));
try {
  const client = await findRuntimeClient(process.env);
  if (client.notCompiled !== undefined) {
    console.log(
      `A part of the runtime client is replaced by ours (${client.notCompiled}): the empty function starts later.`,
    );
  }
  const sizes = await bundleInto(folder);
  const names = [EMPTY, ...FUNCTIONS];
  const contenders = names.map((name) => [name, () => start(client, name)] as const);
  const turns = await inTurns(Object.fromEntries(contenders), { ...OPTIONS, signal: stopped.signal });
  console.log(`\nFrom the start of the process to its first request for work, ${turns.count} turns`);
  const rows = FUNCTIONS.map((name) => [
    name,
    {
      'kB at the start': kilobytes(sizes[name].start),
      'kB in all': kilobytes(sizes[name].total),
      'ms, p50': Math.round(turns.of(name).p50),
      'of the empty one': turns.ratio(name, EMPTY).p50,
    },
  ]);
  console.table({
    ...Object.fromEntries(rows),
    [EMPTY]: { 'ms, p50': Math.round(turns.of(EMPTY).p50), 'of the empty one': 1 },
  });
} catch (error) {
  if (!stopped.signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  await Promise.allSettled(ending);
  await rm(folder, { recursive: true, force: true });
}

/** The functions as they are deployed, and one that does nothing; gives the sizes of the former in bytes. */
async function bundleInto(outdir: string): Promise<z.infer<typeof sizesSchema>> {
  const script = path.join(import.meta.dirname, '../scripts/bundle.mjs');
  const sizes = path.join(outdir, 'sizes.json');
  await promisify(execFile)(process.execPath, [script, '--outdir', outdir, '--sizes', sizes]);
  await mkdir(path.join(outdir, EMPTY));
  await writeFile(path.join(outdir, EMPTY, 'index.mjs'), 'export const handler = async () => {};\n');
  return sizesSchema.parse(JSON.parse(await readFile(sizes, 'utf8')));
}

/** Its end is not waited for: that is no part of what is measured. */
async function start(client: RuntimeClient, name: string): Promise<void> {
  const handler = `${name}/index.handler`;
  const started = await startFunction({ client, name, taskRoot: folder, handler });
  try {
    await started.ready;
  } finally {
    ending.push(started[Symbol.asyncDispose]());
  }
}

function kilobytes(bytes: number): number {
  return Math.round(bytes / 1_000);
}
