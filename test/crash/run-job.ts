import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import * as z from 'zod';
import type { CrashJob } from './worker.ts';

const source = fileURLToPath(new URL('./worker.ts', import.meta.url));
const labelsSchema = z.array(z.string());

/** How the process ended: killed where it should be, or through with the labels of all its calls. */
export type JobEnd =
  | { readonly killed: true }
  | { readonly killed: false; readonly labels: readonly string[] };

export type RunJob = (job: CrashJob) => Promise<JobEnd>;

/** Makes the worker one file in `folder`, which starts three times as fast: it is started hundreds of times. */
export async function bundleWorker(folder: string): Promise<RunJob> {
  const worker = path.join(folder, 'worker.mjs');
  await build({
    entryPoints: [source],
    outfile: worker,
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['pg-native'],
    banner: { js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);" },
    logLevel: 'error',
  });
  return (job) => runJob(worker, path.join(folder, 'compiled'), job);
}

/** Runs a job in a process of its own. Throws when it ended in any other way. */
async function runJob(worker: string, compileCache: string, job: CrashJob): Promise<JobEnd> {
  const child = spawn(process.execPath, [worker, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_COMPILE_CACHE: compileCache },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    output.stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output.stderr += chunk.toString();
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  if (signal === 'SIGKILL') return { killed: true };
  if (code !== 0) throw new Error(`The worker ended with ${code ?? signal}: ${output.stderr}`);
  return { killed: false, labels: labelsSchema.parse(JSON.parse(output.stdout)) };
}
