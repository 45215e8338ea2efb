import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject } from 'vitest';
import * as z from 'zod';
import { FUNCTIONS } from '../../lib/host/identities.ts';
import { lastLines } from '../../lib/host/local/run-command.ts';
import { SAMPLE_SERVICE_ACCOUNT_NAMESPACE } from '../../lib/host/local/sample-plan.ts';
import { setUpSample } from '../../lib/host/local/sample-setup.ts';
import { startTokenReview } from '../../lib/host/local/token-review.ts';
import { issueFunctionCredentials } from '../../lib/host/setup/function-credentials.ts';
import { Secret } from '../../lib/telemetry/secret.ts';
import { actingWith } from '../../lib/vault/acting-with.ts';
import { VaultClient } from '../../lib/vault/client.ts';
import { createTransport } from '../../lib/vault/transport.ts';
import { type Ministack, startMinistack } from '../support/ministack.ts';
import { copyProject } from '../support/project-copy.ts';
import { type NoticeReceiver, receiveNotices } from './notice-receiver.ts';
import { ownDomain } from './own-domain.ts';
import { serverless } from './serverless.ts';

/** The system as `serverless deploy` has made it in a local AWS, beside a Vault that `setup` has prepared, and a service and its endpoint. */
export interface Deployment {
  readonly aws: Ministack;
  readonly stack: string;
  /** An output of the stack. */
  output(key: string): Promise<string>;
  /** Where the HTTP API answers. */
  readonly api: string;
  readonly receiver: NoticeReceiver;
  /** A service account token of `api-gateway`, as the kubelet would mount it. */
  readonly serviceToken: string;
  /** What must never be printed: by what it is. */
  readonly canaries: Map<string, string>;
  /** What each function logs in to Vault with, as JSON by its name. */
  readonly logins: ReadonlyMap<string, string>;
  /** `serverless <args>` with the same stage and parameters; those in `args` come before them. */
  serverless(...args: readonly string[]): Promise<string>;
  close(): Promise<void>;
}

/** All that `serverless deploy` reads. What it writes then lands beside it, and no other test meets it. */
const DEPLOYED = [
  'serverless.yml',
  'aws',
  'scripts',
  'functions',
  'lib',
  'docs',
  'package.json',
  'tsconfig.json',
];
export const STAGE = 'test';
/** Where `serverless.yml` looks for the login of a function. */
export const parameterOf = (name: string) => `/leasekeeper/${STAGE}/approle/${name}`;
const APPROLE_MOUNT = 'approle';
/** Seconds: three intervals of the schedule, the least that is kept alive. */
const LEASE_TTL = 180;
/** Milliseconds for which an old generation lives on, whoever has moved. */
export const GRACE_MS = 5_000;

const outputsSchema = z.object({
  DescribeStacksResponse: z.object({
    DescribeStacksResult: z.object({
      Stacks: z.object({
        member: z.object({
          Outputs: z.object({
            member: z.array(z.object({ OutputKey: z.string(), OutputValue: z.string() })),
          }),
        }),
      }),
    }),
  }),
});

/** Says why, where a local AWS cannot be had on this machine at all. */
export async function deploy(): Promise<Deployment | { readonly missing: string }> {
  await using started = new AsyncDisposableStack();
  const aws = await startMinistack();
  if ('missing' in aws) return aws;
  started.defer(() => aws.stop());
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-deploy-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const receiver = started.use(await receiveNotices());
  const canaries = new Map<string, string>();
  const { serviceToken, parameters } = await prepareVault(started, folder, canaries);

  for (const [name, value] of parameters) {
    const body = { Name: parameterOf(name), Type: 'SecureString', Value: value };
    await aws.client.json(z.object({}), 'ssm', 'AmazonSSM.PutParameter', body);
  }

  const project = path.join(folder, 'project');
  await copyProject(project, DEPLOYED);
  const given = {
    vaultAddr: inject('openbao').address,
    noticeAllow: 'http://127.0.0.0/8',
    replaceGrace: '5',
    // What a local AWS does not have: docs/deploy-aws.md.
    archiveDays: '0',
    queryAlarms: 'false',
  };
  const options = ['--stage', STAGE, '--region', aws.region].concat(
    Object.entries(given).map(([name, value]) => `--param=${name}=${value}`),
  );
  const run = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await serverless(project, [...args, ...options], aws.environment);
    if (code === 0) return stdout + stderr;
    const failed = `serverless ${args.join(' ')}: ${lastLines(stdout + stderr, 20)}`;
    throw new Error(`${failed}\n${lastLines(await aws.log(), 10)}`);
  };
  await run('deploy');
  const stack = `leasekeeper-${STAGE}`;
  const output = (key: string) => outputOf(aws, stack, key);
  const host = new URL(await output('ApiAddress')).host.split('.')[0];
  const api = started.use(await ownDomain(aws.url, `${host}.execute-api.localhost`));
  const all = started.move();
  return {
    aws,
    stack,
    output,
    api: `http://127.0.0.1:${api.port}`,
    receiver,
    serviceToken,
    canaries,
    logins: parameters,
    serverless: run,
    close: () => all.disposeAsync(),
  };
}

/** The sample of `npm start`, but for leases that the schedule of AWS can keep; and the functions' credentials, as JSON by name. */
async function prepareVault(
  started: AsyncDisposableStack,
  folder: string,
  canaries: Map<string, string>,
): Promise<{ serviceToken: string; parameters: ReadonlyMap<string, string> }> {
  const { address, rootToken } = inject('openbao');
  const postgres = inject('postgres');
  const client = new VaultClient({ transport: createTransport({ address }) });
  started.defer(() => client.close());
  const kubernetes = await startTokenReview({ dataDir: path.join(folder, 'kubernetes') });
  started.defer(() => kubernetes.stop());
  await setUpSample({
    client,
    rootToken: new Secret(rootToken),
    postgres: { ...postgres, password: new Secret(postgres.password) },
    tokenReviewUrl: kubernetes.url,
    databaseTtlSeconds: LEASE_TTL,
    databaseMaxTtlSeconds: 3_600,
    rotation: { every: '24h', grace: `${GRACE_MS / 1_000}s`, deadline: '10m' },
  });
  canaries.set('the root token', rootToken).set('the password of PostgreSQL', postgres.password);
  const vault = actingWith(client, new Secret(rootToken));
  const parameters = new Map<string, string>();
  for (const name of FUNCTIONS) {
    const options = { authNamespace: '', mount: APPROLE_MOUNT, name };
    const { roleId, secretId } = await issueFunctionCredentials(vault, options);
    canaries.set(`the secret id of ${name}`, secretId.expose());
    parameters.set(name, JSON.stringify({ role_id: roleId, secret_id: secretId.expose() }));
  }
  const account = { namespace: SAMPLE_SERVICE_ACCOUNT_NAMESPACE, name: 'api-gateway' };
  const serviceToken = (await kubernetes.sign(account)).expose();
  canaries.set('the service account token', serviceToken);
  return { serviceToken, parameters };
}

async function outputOf({ client }: Ministack, stack: string, key: string): Promise<string> {
  const parameters = { Action: 'DescribeStacks', Version: '2010-05-15', StackName: stack };
  const answer = outputsSchema.parse(await client.query('cloudformation', parameters));
  const outputs = answer.DescribeStacksResponse.DescribeStacksResult.Stacks.member.Outputs.member;
  const found = outputs.find(({ OutputKey }) => OutputKey === key);
  if (found === undefined) throw new Error(`The stack has no output ${key}.`);
  return found.OutputValue;
}
