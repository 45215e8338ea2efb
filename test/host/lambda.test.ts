import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { detailOf } from '../../lib/bus/envelope.ts';
import { FUNCTIONS, type FunctionName } from '../../lib/host/identities.ts';
import { examples } from '../bus/examples.ts';
import { parseEmf } from '../telemetry/metrics-harness.ts';

const run = promisify(execFile);
const lineSchema = z.record(z.string(), z.unknown());
const answerSchema = z.object({ answer: z.unknown() });

const TRACES = ['1-5759e988-bd862e3fe1be46a994272793', '1-5759e989-aaaaaaaaaaaaaaaaaaaaaaaa'] as const;

/** What the runtime client gives a function: an event, a context, and the tracing header in the environment. */
function programFor(name: FunctionName, event: unknown): string {
  return `
    const { handler } = await import('./functions/${name}.ts');
    const deadline = Date.now() + 10_000;
    for (const [index, trace] of ${JSON.stringify(TRACES)}.entries()) {
      process.env._X_AMZN_TRACE_ID = 'Root=' + trace + ';Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:a87bd80c:0';
      const context = { awsRequestId: 'invocation-' + index, getRemainingTimeInMillis: () => deadline - Date.now() };
      const answer = await handler(${JSON.stringify(event)}, context).catch(({ code }) => ({ thrown: code }));
      console.log(JSON.stringify({ answer }));
    }
    process.exit();`;
}

/** Two invocations of a function, each in the order of its lines. */
async function invoked(name: FunctionName, env: Record<string, string>) {
  const program = programFor(name, eventFor(name));
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { env });
  const printed = stdout.trim().split('\n');
  const json = printed.map((line) => lineSchema.parse(JSON.parse(line)));
  return {
    answers: json.flatMap((line) => ('answer' in line ? [answerSchema.parse(line).answer] : [])),
    log: json.filter((line) => 'level' in line),
    documents: printed.filter((line) => line.includes('"_aws"')).map(parseEmf),
  };
}

function eventFor(name: FunctionName): unknown {
  if (name === 'scan') return { 'detail-type': 'Scheduled Event' };
  if (name === 'fetch' || name === 'manage') {
    const path = name === 'fetch' ? '/v1/secrets/a' : '/v1/managed';
    return {
      version: '2.0',
      rawPath: path,
      headers: { 'x-vault-token': 'hunter2' },
      requestContext: { requestId: 'request-1', http: { method: 'GET', path } },
    };
  }
  const type = ({ renew: 'leases.due', rotate: 'rotation.due', notify: 'delivery.due' } as const)[name];
  const event = examples[type];
  const body = JSON.stringify({
    version: '0',
    id: 'b6e4c1f0-0000-4000-8000-000000000000',
    'detail-type': type,
    source: 'leasekeeper',
    account: '123456789012',
    time: event.time,
    region: 'eu-central-1',
    resources: [],
    detail: detailOf(event),
  });
  return { Records: [{ messageId: 'message-1', body }] };
}

/** What each function does with a fault in the configuration, in the words of who called it. */
const refusal: Readonly<Record<FunctionName, unknown>> = {
  scan: { thrown: 'configuration_invalid' },
  renew: { batchItemFailures: [{ itemIdentifier: 'message-1' }] },
  rotate: { batchItemFailures: [{ itemIdentifier: 'message-1' }] },
  notify: { batchItemFailures: [{ itemIdentifier: 'message-1' }] },
  fetch: expect.objectContaining({ statusCode: 500 }),
  manage: expect.objectContaining({ statusCode: 500 }),
};

describe('a function whose configuration will not do', () => {
  it.each(FUNCTIONS)('%s says so at each invocation, under its ids', async (name) => {
    const { answers, log } = await invoked(name, { LEASEKEEPER_METRICS_NAMESPACE: 'AWS/mine' });
    expect(answers).toEqual([refusal[name], refusal[name]]);
    const ofEach = TRACES.map((trace_id, index) =>
      expect.objectContaining({
        level: 'error',
        name: `leasekeeper-${name}`,
        invocation_id: `invocation-${index}`,
        trace_id,
        err: expect.objectContaining({
          code: 'configuration_invalid',
          message: expect.stringMatching(/VAULT_ADDR.*LEASEKEEPER_METRICS_NAMESPACE/),
        }),
      }),
    );
    expect(log).toEqual(ofEach);
  });
});

describe('a function whose Vault is away', () => {
  const env = {
    VAULT_ADDR: 'http://127.0.0.1:1',
    LEASEKEEPER_ROLE_ID: 'role',
    LEASEKEEPER_SECRET_ID: 'secret',
    LEASEKEEPER_BUS: 'bus',
    AWS_REGION: 'eu-central-1',
  };

  it.each([
    ['scan', 'leasekeeper-prod'],
    ['renew', 'leasekeeper-prod'],
    ['fetch', undefined],
  ] as const)('%s writes what it has counted, in its namespace: %s', async (name, namespace) => {
    const { log, documents } = await invoked(name, {
      ...env,
      ...(namespace === undefined ? {} : { LEASEKEEPER_METRICS_NAMESPACE: namespace }),
    });
    expect(documents.map(({ service }) => service)).toEqual(documents.map(() => name));
    const metrics = documents.flatMap(({ _aws }) => _aws.CloudWatchMetrics);
    expect(new Set(metrics.map(({ Namespace }) => Namespace))).toEqual(new Set([namespace ?? 'Leasekeeper']));
    const requests = documents.filter((document) => 'leasekeeper_vault_requests_total' in document);
    expect(requests).toContainEqual(expect.objectContaining({ outcome: 'no_answer' }));
    for (const [index, trace_id] of TRACES.entries()) {
      const ids = { invocation_id: `invocation-${index}`, trace_id };
      expect(log).toContainEqual(expect.objectContaining({ level: 'error', ...ids }));
    }
    expect(log.filter((line) => line.invocation_id === undefined || line.trace_id === undefined)).toEqual([]);
    // What a failed scan does not write can be alarmed on.
    expect(JSON.stringify(documents)).not.toContain('leasekeeper_last_scan_timestamp_seconds');
  });

  it('has the ids of a request in all lines, its audit line too', async () => {
    const { log } = await invoked('fetch', env);
    const ids = { invocation_id: 'invocation-0', trace_id: TRACES[0], request_id: 'request-1' };
    const first = log.filter((line) => line.invocation_id === 'invocation-0');
    expect(first).toEqual(first.map(() => expect.objectContaining(ids)));
    expect(first).toContainEqual(expect.objectContaining({ audit: true, action: 'read' }));
    expect(first).toContainEqual(expect.objectContaining({ msg: 'request failed' }));
  });

  it('has the id of a message in all lines of its work', async () => {
    const { log } = await invoked('renew', env);
    expect(log.length).toBeGreaterThan(1);
    expect(log).toEqual(log.map(() => expect.objectContaining({ message_id: 'message-1' })));
  });
});
