import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startServer } from '../../lib/host/local/child-process.ts';
import { freePorts } from '../../lib/host/local/free-port.ts';
import { lastLines } from '../../lib/host/local/run-command.ts';
import type { AwsCredentials } from '../../lib/vault/auth/aws-credentials.ts';
import { type AwsClient, createAwsClient } from './aws-client.ts';
import { type PythonRequirements, pythonServer } from './python-environment.ts';
import type { PythonMissing } from './python-package.ts';
import { until } from './until.ts';

/** A local AWS on the loopback interface, that runs functions as Node processes. */
export interface Ministack {
  /** `http://127.0.0.1:<port>`; every service answers there. */
  readonly url: string;
  readonly region: string;
  /** Of the account's root user. */
  readonly credentials: AwsCredentials;
  readonly client: AwsClient;
  /** The environment in which AWS's tools work on it, and on nothing else. */
  readonly environment: Readonly<Record<string, string>>;
  /** What it has printed, for a test that fails. */
  log(): Promise<string>;
  stop(): Promise<void>;
}

const REQUIREMENTS: PythonRequirements = {
  file: 'ministack.requirements.txt',
  oldestPython: [3, 10],
  modules: ['ministack.app'],
};
const REGION = 'eu-central-1';

/** What the stack uses, and no more: some of the other services listen on ports of their own. */
const SERVICES = [
  'apigateway',
  'cloudformation',
  'cloudwatch',
  'ec2',
  'ecr',
  'events',
  'iam',
  'lambda',
  'logs',
  's3',
  'scheduler',
  'secretsmanager',
  'sns',
  'sqs',
  'ssm',
  'sts',
];

/**
 * Starts MiniStack with signatures and IAM policies enforced (`AUTH`): a function may do what its role lets it, and no more. Nothing of this
 * process's environment is handed on but PATH, with this very Node first, which runs the functions.
 */
export async function startMinistack(): Promise<Ministack | PythonMissing> {
  const python = await pythonServer(REQUIREMENTS, 'ministack', process.env);
  if ('missing' in python) return python;
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-ministack-'));
  const [port = 0] = await freePorts(1);
  const credentials = { accessKeyId: 'AKIALOCALROOT', secretAccessKey: randomBytes(20).toString('hex') };
  const url = `http://127.0.0.1:${port}`;
  const keys = {
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  };
  const logFile = path.join(folder, 'ministack.log');
  const searched = [path.dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(
    path.delimiter,
  );
  const server = await startServer({
    command: python.command,
    args: python.args,
    env: {
      ...python.env,
      ...keys,
      PATH: searched,
      HOME: folder,
      TMPDIR: folder,
      BIND_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      MINISTACK_REGION: REGION,
      AUTH: 'true',
      SERVICES: SERVICES.join(','),
      S3_DATA_DIR: path.join(folder, 's3'),
      IOT_MTLS_ENABLED: '0',
      SFTP_ENABLED: '0',
    },
    cwd: folder,
    logFile,
    stopSignal: 'SIGTERM',
    stopWithinMs: 10_000,
  });
  const log = () => readFile(logFile, 'utf8').catch(() => '');
  const stop = async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    await until(async () => server.hasExited() || (await isUp(url)), 60_000);
    if (server.hasExited()) throw new Error('It has ended.');
  } catch (cause) {
    const printed = lastLines(await log());
    await stop();
    throw new Error(`MiniStack did not start: ${printed}`, { cause });
  }
  return {
    url,
    region: REGION,
    credentials,
    client: createAwsClient({ endpoint: url, region: REGION, credentials }),
    environment: { ...keys, AWS_REGION: REGION, AWS_ENDPOINT_URL: url, AWS_EC2_METADATA_DISABLED: 'true' },
    log,
    stop,
  };
}

async function isUp(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/_ministack/health`);
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}
