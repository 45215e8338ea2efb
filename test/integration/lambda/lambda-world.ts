import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { inject } from 'vitest';
import { FUNCTIONS, type FunctionName } from '../../../lib/host/identities.ts';
import { setUpSample } from '../../../lib/host/local/sample-setup.ts';
import { writeSampleSubscription } from '../../../lib/host/local/sample-subscription.ts';
import { startTokenReview } from '../../../lib/host/local/token-review.ts';
import { issueFunctionCredentials } from '../../../lib/host/setup/function-credentials.ts';
import { createSigningSecret } from '../../../lib/notices/signature.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { actingWith } from '../../../lib/vault/acting-with.ts';
import { VaultClient } from '../../../lib/vault/client.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { root as project, serverless } from '../../serverless/deployment.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { type EventBridge, startEventBridge } from '../../support/lambda/event-bridge.ts';
import { type FunctionProcess, startFunction } from '../../support/lambda/function-process.ts';
import type { RuntimeClient } from '../../support/lambda/runtime-client.ts';
import { listening } from '../../support/listening.ts';
import { type RecordingProxy, startRecordingProxy } from '../../support/recording-proxy.ts';

export interface ReceivedNotice {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** The deployed system but for AWS: a real Vault that setup has prepared, a database, a receiver, and the functions as bundled. */
export interface LambdaWorld extends AsyncDisposable {
  /** What stands for Vault's root namespace. */
  readonly root: string;
  readonly namespace: string;
  /** Between the functions and Vault. */
  readonly vault: RecordingProxy;
  readonly bus: EventBridge;
  readonly notices: readonly ReceivedNotice[];
  readonly signingSecret: string;
  /** A service account's token of the sample's consumer. */
  jwt(): Promise<string>;
  /** A function that is started, with its own identity; or with the variables of another login. It ends with the world. */
  start(
    name: FunctionName,
    client: RuntimeClient,
    login?: Readonly<Record<string, string>>,
  ): Promise<FunctionProcess>;
  /** What a function logs in with by AppRole, as AWS keeps it: JSON. Each has a secret id of its own. */
  appRoleOf(name: FunctionName): Promise<string>;
}

const BUS = 'arn:aws:events:eu-central-1:123456789012:event-bus/leasekeeper-test';
const LEASE_TTL_SECONDS = 15;
const SCAN_INTERVAL_SECONDS = 2;

export async function createLambdaWorld(): Promise<LambdaWorld> {
  await using started = new AsyncDisposableStack();
  const root = uniqueName('root');
  const namespace = `${root}/lotabots`;
  const { request, address, rootToken } = admin(inject);
  await request('POST', `sys/namespaces/${root}`, {});
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-lambda-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const bundled = bundleInto(folder);
  bundled.catch(() => {});
  const reviews = await startTokenReview({ dataDir: folder });
  started.defer(() => reviews.stop());
  const vault = await startRecordingProxy(address);
  started.defer(() => vault.close());
  const bus = started.use(await startEventBridge(BUS));
  const notices: ReceivedNotice[] = [];
  const receiver = started.use(
    await listening(
      createServer((asked, response) => {
        void text(asked).then((body) => {
          notices.push({ headers: asked.headers, body });
          response.writeHead(204).end();
        });
      }),
    ),
  );
  const client = new VaultClient({ transport: createTransport({ address }) });
  started.defer(() => client.close());
  const postgres = inject('postgres');
  const signingSecret = createSigningSecret(randomBytes);
  await setUpSample({
    client,
    rootToken: new Secret(rootToken),
    postgres: { ...postgres, password: new Secret(postgres.password) },
    tokenReviewUrl: reviews.url,
    namespace,
    authNamespace: root,
    databaseTtlSeconds: LEASE_TTL_SECONDS,
    // Due at once, and then not again while a test runs.
    rotation: { every: '1h', grace: '5m', deadline: '10m' },
    writeSubscriptions: (store) =>
      writeSampleSubscription(store, `http://127.0.0.1:${receiver.port}/hook`, signingSecret),
  });
  await bundled;
  const settings: Readonly<Record<string, string>> = {
    VAULT_ADDR: vault.address,
    VAULT_NAMESPACE: namespace,
    VAULT_AUTH_NAMESPACE: root,
    LEASEKEEPER_STATE_MOUNT: `${root}/leasekeeper`,
    LEASEKEEPER_SCAN_INTERVAL: String(SCAN_INTERVAL_SECONDS),
    LEASEKEEPER_CALLER_MOUNTS: 'kubernetes',
    LEASEKEEPER_BUS: BUS,
    LEASEKEEPER_NOTICE_ALLOW: 'http://127.0.0.1',
  };
  const appRoleOf = async (name: FunctionName) => {
    const options = { authNamespace: root, mount: 'approle', name };
    const made = await issueFunctionCredentials(actingWith(client, new Secret(rootToken)), options);
    return { roleId: made.roleId, secretId: made.secretId.expose() };
  };
  const byAppRole = async (name: FunctionName) => {
    const { roleId, secretId } = await appRoleOf(name);
    return { LEASEKEEPER_AUTH: 'approle', LEASEKEEPER_ROLE_ID: roleId, LEASEKEEPER_SECRET_ID: secretId };
  };
  const start: LambdaWorld['start'] = async (name, runtime, login) => {
    const deployed = serverless.functions[name];
    if (deployed === undefined) throw new Error(`serverless.yml has no ${name}`);
    // Each has the variables that serverless.yml gives it, and no other's.
    const names = Object.keys({ ...serverless.provider.environment, ...deployed.environment });
    const given = Object.entries(settings).filter(([variable]) => names.includes(variable));
    const started = await startFunction({
      client: runtime,
      name,
      taskRoot: folder,
      handler: deployed.handler,
      env: {
        ...Object.fromEntries(given),
        ...(login ?? (await byAppRole(name))),
        AWS_ENDPOINT_URL_EVENTBRIDGE: bus.endpoint,
      },
    });
    all.use(started);
    return started;
  };
  const all = started.move();
  return {
    root,
    namespace,
    vault,
    bus,
    notices,
    signingSecret,
    jwt: async () => (await reviews.sign({ namespace: 'lotabots', name: 'api-gateway' })).expose(),
    start,
    appRoleOf: async (name) => {
      const { roleId, secretId } = await appRoleOf(name);
      return JSON.stringify({ role_id: roleId, secret_id: secretId });
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** What the zips hold, where Lambda would unpack them. */
async function bundleInto(folder: string): Promise<void> {
  const script = path.join(project, 'scripts/bundle.mjs');
  const entries = FUNCTIONS.map((name) => `functions/${name}.ts`);
  const outdir = path.join(folder, 'dist/bundles');
  await promisify(execFile)(process.execPath, [script, '--outdir', outdir, ...entries]);
}
