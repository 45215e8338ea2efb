import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type InvokeOptions, type Outcome, startRuntimeApi } from './runtime-api.ts';
import type { RuntimeClient } from './runtime-client.ts';

export interface FunctionOptions {
  readonly client: RuntimeClient;
  /** `scan`: as its name is deployed. */
  readonly name: string;
  /** What the zip is unpacked to: LAMBDA_TASK_ROOT. */
  readonly taskRoot: string;
  /** As serverless.yml has it. */
  readonly handler: string;
  /** Besides what Lambda sets. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A function in a process of its own, as Lambda runs it: nothing is shared with this one. */
export interface FunctionProcess extends AsyncDisposable {
  /** Lines of standard output and standard error so far. */
  readonly log: readonly string[];
  /** Resolves when it is loaded and asks for its first event, in milliseconds from the start of the process. */
  readonly ready: Promise<number>;
  readonly pid: number;
  /** Sends an event as JSON. Rejects when the process ends meanwhile. */
  invoke(event: unknown, options?: InvokeOptions): Promise<Outcome>;
  /** Lambda freezes what has no event to work on; no timer fires, no packet is read. */
  freeze(): void;
  thaw(): void;
}

const REGION = 'eu-central-1';
const ACCOUNT = '123456789012';

/** What Lambda starts Node with, for a function of 512 MB. No compile cache: each start is a cold one. */
const NODE_FLAGS = ['--expose-gc', '--max-http-header-size', '81920', '--max-old-space-size=460'];

/** Starts a function under AWS's runtime client. Its environment is what Lambda gives, and what is given here. */
export async function startFunction(options: FunctionOptions): Promise<FunctionProcess> {
  const { client, name, taskRoot, handler } = options;
  const functionName = `leasekeeper-test-${name}`;
  const api = await startRuntimeApi(`arn:aws:lambda:${REGION}:${ACCOUNT}:function:${functionName}`);
  const started = performance.now();
  const child = spawn(process.execPath, [...NODE_FLAGS, ...client.args], {
    cwd: taskRoot,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{ PATH: process.env.PATH, LANG: 'en_US.UTF-8', TZ: ':UTC' },
      ...{ AWS_LAMBDA_RUNTIME_API: api.address, LAMBDA_TASK_ROOT: taskRoot, _HANDLER: handler },
      ...{ AWS_REGION: REGION, AWS_DEFAULT_REGION: REGION, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x' },
      ...{ AWS_LAMBDA_FUNCTION_NAME: functionName, AWS_LAMBDA_FUNCTION_VERSION: '$LATEST' },
      ...{ AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '512', AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand' },
      ...{ AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${functionName}`, AWS_LAMBDA_LOG_STREAM_NAME: 'test' },
      ...{ AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret', AWS_SESSION_TOKEN: 'session' },
      ...options.env,
    },
  });
  const log: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => log.push(line));
  }
  const ended = once(child, 'exit');
  const gone = ended.then(() => {
    throw new Error(`The function's process ended.\n${log.join('\n')}`);
  });
  gone.catch(() => {});
  return {
    log,
    pid: child.pid ?? Number.NaN,
    ready: Promise.race([api.ready.then(() => performance.now() - started), gone]),
    invoke: (event, how) => Promise.race([api.invoke(JSON.stringify(event), how), gone]),
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
      await api[Symbol.asyncDispose]();
    },
  };
}
