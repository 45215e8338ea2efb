import { randomUUID } from 'node:crypto';
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { inject, onTestFinished } from 'vitest';
import * as z from 'zod';
import { fetchFunction } from '../../../functions/fetch.ts';
import { manageFunction } from '../../../functions/manage.ts';
import type { Bus } from '../../../lib/bus/bus.ts';
import type { LeasekeeperEvent } from '../../../lib/bus/events.ts';
import { readConfig } from '../../../lib/host/config.ts';
import type { FunctionName } from '../../../lib/host/identities.ts';
import { localContext } from '../../../lib/host/local/lambda-invocation.ts';
import { readPolicyTemplates } from '../../../lib/host/setup/policy-files.ts';
import { renderPolicy } from '../../../lib/host/setup/render-policy.ts';
import { type Parts, wireFetch, wireManage } from '../../../lib/host/wire.ts';
import { type AuditLine, createAudit } from '../../../lib/telemetry/audit.ts';
import { createLogger } from '../../../lib/telemetry/log.ts';
import { noMetrics } from '../../../lib/telemetry/no-metrics.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import { tokenAuth } from '../../../lib/vault/auth/token.ts';
import { VaultClient, type VaultExchange } from '../../../lib/vault/client.ts';
import { createTransport, type Transport } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { createWorld, type WorldDescription } from '../../support/world.ts';
import { asDescribed } from './as-described.ts';

/** A world with identities of least rights, and an application that may read what is its own. */
export interface AccessWorld extends WorldDescription {
  /** Allows the application's KV paths and its database role, and no other. */
  readonly appPolicy: string;
  readonly operatorPolicy: string;
  /** The tokens that `fetch` and `manage` act with. */
  readonly identities: Readonly<Record<'fetch' | 'manage', string>>;
}

const tokenSchema = z.object({ auth: z.object({ client_token: z.string() }) });

export async function createAccessWorld(): Promise<AccessWorld> {
  const world = await createWorld();
  const { request } = admin(inject);
  const { namespace, stateMount: state } = world;
  await request('POST', `sys/mounts/${namespace}/legacy`, { type: 'kv', options: { version: '1' } });
  await request('POST', `${namespace}/database/roles/brief`, {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`,
    default_ttl: '10s',
  });
  const templates = await readPolicyTemplates();
  const named = async (policy: string) => {
    const name = uniqueName('policy');
    await request('PUT', `sys/policies/acl/${name}`, { policy });
    return name;
  };
  const allowed = [
    'app/*',
    'legacy/*',
    'database/creds/app',
    'database/creds/brief',
    'database/creds/absent',
  ];
  const rule = (path: string, capability: string) =>
    `path "${namespace}/${path}" { capabilities = ["${capability}"] }`;
  const rules = [...allowed.map((path) => rule(path, 'read')), rule('app/data/closed', 'deny')];
  const appPolicy = await named(rules.join('\n'));
  const ours = (name: 'fetch' | 'manage' | 'operator') =>
    named(renderPolicy(templates[`leasekeeper-${name}`], { namespace, state }));
  const tokenOf = async (policy: string) => createToken([policy], { no_default_policy: true });
  return {
    ...world,
    appPolicy,
    operatorPolicy: await ours('operator'),
    identities: { fetch: await tokenOf(await ours('fetch')), manage: await tokenOf(await ours('manage')) },
  };
}

/** A token with policies, as a caller shows it. */
export async function createToken(
  policies: readonly string[],
  more: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const { read } = admin(inject);
  const body = { policies, no_parent: true, ttl: '1h', ...more };
  return (await read(tokenSchema, 'POST', 'auth/token/create', body)).auth.client_token;
}

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed; undefined when there is none. */
  readonly body: unknown;
}

export interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  /** Text as it is, or anything else as JSON. */
  readonly body?: unknown;
}

/** The functions behind HTTP as they are deployed, given the events of API Gateway. */
export interface Functions {
  fetch(method: string, path: string, asked?: Asked): Promise<Answered>;
  manage(method: string, path: string, asked?: Asked): Promise<Answered>;
  /** Every request to Vault so far. */
  readonly exchanges: VaultExchange[];
  readonly audited: AuditLine[];
  readonly published: LeasekeeperEvent[];
  /** Moves the clock of the functions, in milliseconds. */
  readonly clock: { ahead: number };
}

export interface FunctionsOptions {
  readonly transport?: (real: Transport) => Transport;
  readonly callerMounts?: readonly string[];
  /** Default: more than any test asks. */
  readonly callerRate?: { readonly perSecond: number; readonly burst: number };
  /** In place of one that takes everything. */
  readonly bus?: Bus;
  /** Takes every line of the log; none is written when left out. */
  readonly log?: string[];
}

export function openFunctions(
  world: Pick<AccessWorld, 'address' | 'namespace' | 'stateMount' | 'identities'>,
  options: FunctionsOptions = {},
): Functions {
  const exchanges: VaultExchange[] = [];
  const audited: AuditLine[] = [];
  const published: LeasekeeperEvent[] = [];
  const clock = { ahead: 0 };
  const real = withoutDate(createTransport({ address: world.address }));
  const client = new VaultClient({
    transport: options.transport?.(real) ?? real,
    now: () => Date.now() + clock.ahead,
    retry: { baseMs: 1 },
    onExchange: (exchange) => exchanges.push(exchange),
  });
  onTestFinished(() => client.close());
  const config = readConfig({
    VAULT_ADDR: world.address,
    VAULT_NAMESPACE: world.namespace,
    VAULT_TOKEN: world.identities.fetch,
    LEASEKEEPER_AUTH: 'token',
    LEASEKEEPER_STATE_MOUNT: world.stateMount,
    LEASEKEEPER_SCAN_INTERVAL: '5',
    ...(options.callerMounts === undefined
      ? {}
      : { LEASEKEEPER_CALLER_MOUNTS: options.callerMounts.join(', ') }),
    LEASEKEEPER_CALLER_RATE: String(options.callerRate?.perSecond ?? 1_000),
    LEASEKEEPER_CALLER_BURST: String(options.callerRate?.burst ?? 1_000),
  });
  const parts: Parts = {
    config,
    client,
    bus: options.bus ?? {
      publish: async (events) => {
        published.push(...events);
        return new Set(events.map(({ id }) => id));
      },
    },
    metrics: noMetrics,
    logger: createLogger({
      level: options.log === undefined ? 'silent' : 'trace',
      name: 'test',
      destination: { write: (line) => void options.log?.push(line) },
    }),
    audit: createAudit({ write: (line) => audited.push(line) }),
    identityOf: (name: FunctionName) =>
      tokenAuth(new Secret(world.identities[name === 'manage' ? name : 'fetch'])),
    random: Math.random,
  };
  const hostOf = <D>(dependencies: D) => ({
    logger: parts.logger,
    now: Date.now,
    flushMetrics: () => Promise.resolve(),
    dependencies: () => dependencies,
  });
  const fetchHandler = fetchFunction(hostOf(wireFetch(parts)));
  const manageHandler = manageFunction(hostOf(wireManage(parts)));
  return {
    exchanges,
    audited,
    published,
    clock,
    fetch: async (method, path, asked) =>
      asDescribed(
        method,
        path,
        answered(await fetchHandler(eventOf(method, path, asked), localContext('fetch'))),
      ),
    manage: async (method, path, asked) =>
      asDescribed(
        method,
        path,
        answered(await manageHandler(eventOf(method, path, asked), localContext('manage'))),
      ),
  };
}

/** Vault's own clock would take back what a test moves. */
function withoutDate(real: Transport): Transport {
  return {
    exchange: async (request) => {
      const answer = await real.exchange(request);
      return { ...answer, headers: { ...answer.headers, date: undefined } };
    },
    close: () => real.close(),
  };
}

/** API Gateway's payload format 2.0, the path already decoded. */
function eventOf(method: string, path: string, asked: Asked = {}): APIGatewayProxyEventV2 {
  const { headers = {}, query = {}, body } = asked;
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: new URLSearchParams(query).toString(),
    headers: { ...headers },
    queryStringParameters: { ...query },
    requestContext: {
      accountId: '000000000000',
      apiId: 'test',
      domainName: 'test',
      domainPrefix: 'test',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '127.0.0.1', userAgent: 'test' },
      requestId: randomUUID(),
      routeKey: '$default',
      stage: '$default',
      time: '',
      timeEpoch: 0,
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    isBase64Encoded: false,
  };
}

function answered(result: APIGatewayProxyStructuredResultV2): Answered {
  const headers = Object.entries(result.headers ?? {}).map(([name, value]) => [name, String(value)] as const);
  return {
    status: result.statusCode ?? 0,
    headers: Object.fromEntries(headers),
    body: result.body === undefined ? undefined : JSON.parse(result.body),
  };
}

/** A problem document with that code, whatever its words. */
export const problem = (status: number, code: string) => ({
  status,
  headers: { 'content-type': 'application/problem+json' },
  body: { type: `urn:leasekeeper:problem:${code}`, status, code },
});

export const leaseSchema = z.object({
  lease_id: z.string(),
  expires_at: z.iso.datetime(),
  lease_duration: z.number(),
  renewable: z.boolean(),
  kept: z.boolean(),
  data: z.object({ username: z.string(), password: z.string() }).optional(),
  wrap_info: z.object({ token: z.string(), accessor: z.string(), ttl: z.number() }).optional(),
});
