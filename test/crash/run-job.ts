import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import type { CrashJob } from './worker.ts';

const worker = fileURLToPath(new URL('./worker.ts', import.meta.url));
const labelsSchema = z.array(z.string());

/** How the process ended: killed where it should be, or through with the labels of all its calls. */
export type JobEnd =
  | { readonly killed: true }
  | { readonly killed: false; readonly labels: readonly string[] };

/** Runs a job in a process of its own. Throws when it ended in any other way. */
export async function runJob(job: CrashJob): Promise<JobEnd> {
  const child = spawn(process.execPath, [worker, JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'pipe'] });
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
