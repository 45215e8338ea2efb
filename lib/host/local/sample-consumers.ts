import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import * as z from 'zod';
import { codeOf } from '../../errors.ts';
import type { SecretData } from '../../secrets-manager/secret-data.ts';
import { SecretsManager } from '../../secrets-manager/secrets-manager.ts';
import type { Secret } from '../../telemetry/secret.ts';
import { isVaultError } from '../../vault/errors.ts';

/** What the consumers tell, for the account. */
export type ConsumerEvent =
  | { readonly kind: 'query'; readonly ok: true }
  | { readonly kind: 'query'; readonly ok: false; readonly code: string }
  /** Both generations logged in at the same time. */
  | { readonly kind: 'overlap'; readonly from: number; readonly to: number; readonly ok: boolean }
  | { readonly kind: 'lease'; readonly what: 'renewed' | 'rotated' | 'lost'; readonly path: string }
  | { readonly kind: 'fetched'; readonly ok: boolean; readonly code?: string }
  | { readonly kind: 'read'; readonly path: string };

export interface ConsumersOptions {
  readonly vaultAddress: string;
  readonly namespace: string;
  /** Where Leasekeeper serves HTTP. */
  readonly leasekeeper: string;
  readonly database: { readonly host: string; readonly port: number; readonly database: string };
  /** Files with the service accounts' tokens, by consumer. */
  readonly tokenFiles: Readonly<Record<'inference-service' | 'api-gateway', string>>;
  readonly tokenOf: (consumer: 'inference-service' | 'api-gateway') => Promise<Secret>;
  readonly onEvent: (event: ConsumerEvent) => void;
  readonly onFault: (error: unknown, consumer: string) => void;
}

const QUERY_EVERY_MS = 250;
const READ_EVERY_MS = 5_000;
const FETCH_EVERY_MS = 15_000;

/** The two sample services, at work until they are stopped. */
export interface Consumers {
  stop(): Promise<void>;
}

/**
 * `inference-service` reads its NVIDIA key and the generation of its model credentials; `api-gateway` queries PostgreSQL without pause,
 * with a lease of its own and with the generation that is published for it, and asks for a short-lived credential over HTTP.
 */
export function startConsumers(options: ConsumersOptions): Consumers {
  const stopped = new AbortController();
  const managerOf = (role: 'inference-service' | 'api-gateway') =>
    new SecretsManager({
      env: {},
      address: options.vaultAddress,
      namespace: options.namespace,
      role,
      serviceAccountTokenFile: options.tokenFiles[role],
      refreshMs: 1_000,
      cacheTtlMs: 15_000,
      overlapMs: 5_000,
      acknowledge: { as: role },
    });
  const inference = managerOf('inference-service');
  const gateway = managerOf('api-gateway');
  tellLeases(gateway, options);
  const work = [
    repeat(stopped.signal, READ_EVERY_MS, () => inferenceReads(inference, options)),
    repeat(stopped.signal, QUERY_EVERY_MS, () => queryWithLease(gateway, options)),
    repeat(stopped.signal, QUERY_EVERY_MS, generationQueries(gateway, options)),
    repeat(stopped.signal, FETCH_EVERY_MS, () => fetchOverHttp(options)),
  ];
  return {
    stop: async () => {
      stopped.abort();
      await Promise.all(work);
      await Promise.all([inference.cleanup(), gateway.cleanup()]);
    },
  };
}

function tellLeases(manager: SecretsManager, options: ConsumersOptions): void {
  manager.on('renewed', ({ path }) => options.onEvent({ kind: 'lease', what: 'renewed', path }));
  manager.on('rotated', ({ path }) => options.onEvent({ kind: 'lease', what: 'rotated', path }));
  manager.on('lost', ({ path }) => options.onEvent({ kind: 'lease', what: 'lost', path }));
  manager.on('fault', ({ error }) => options.onFault(error, 'api-gateway'));
}

async function repeat(signal: AbortSignal, everyMs: number, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await work();
    // Aborted while waiting: the loop ends.
    await sleep(everyMs, undefined, { signal }).catch(() => {});
  }
}

async function inferenceReads(manager: SecretsManager, options: ConsumersOptions): Promise<void> {
  try {
    await manager.getSecret('nvidia/api-key', { field: 'api_key' });
    options.onEvent({ kind: 'read', path: 'nvidia/api-key' });
    await manager.getDynamicSecret('inference-service/model-credentials');
    options.onEvent({ kind: 'read', path: 'inference-service/model-credentials' });
  } catch (error) {
    if (!isNotPublishedYet(error)) options.onFault(error, 'inference-service');
  }
}

async function queryWithLease(manager: SecretsManager, options: ConsumersOptions): Promise<void> {
  const code = await query(
    options,
    async () => (await manager.getDynamicSecret('database/creds/api-gateway')).data,
  );
  options.onEvent(code === undefined ? { kind: 'query', ok: true } : { kind: 'query', ok: false, code });
}

/** Queries with the published generation; at each new one, tries the one before it beside it. */
function generationQueries(manager: SecretsManager, options: ConsumersOptions): () => Promise<void> {
  let before: { readonly generation: number; readonly data: SecretData } | undefined;
  return async () => {
    const secret = await manager.getDynamicSecret('api-gateway/database').catch((error: unknown) => {
      if (!isNotPublishedYet(error)) options.onFault(error, 'api-gateway');
      return undefined;
    });
    if (secret === undefined) return;
    const code = await query(options, async () => secret.data);
    options.onEvent(code === undefined ? { kind: 'query', ok: true } : { kind: 'query', ok: false, code });
    const generation = secret.generation;
    if (generation === undefined) return;
    if (before !== undefined && before.generation < generation) {
      const { data } = before;
      const old = await query(options, async () => data);
      options.onEvent({
        kind: 'overlap',
        from: before.generation,
        to: generation,
        ok: old === undefined && code === undefined,
      });
    }
    before = { generation, data: secret.data };
  };
}

function isNotPublishedYet(error: unknown): boolean {
  return isVaultError(error, 'vault_not_found');
}

/** Logs in anew and runs a query: the hardest use of a credential. The code of what failed, if it did. */
async function query(
  options: ConsumersOptions,
  dataOf: () => Promise<SecretData>,
): Promise<string | undefined> {
  try {
    const data = await dataOf();
    const client = new Client({
      ...options.database,
      user: String(data.get('username')),
      password: String(data.get('password')),
      connectionTimeoutMillis: 10_000,
    });
    client.on('error', (error) => options.onFault(error, 'api-gateway'));
    try {
      await client.connect();
      await client.query('SELECT count(*) FROM pg_catalog.pg_class');
      return undefined;
    } finally {
      await client.end();
    }
  } catch (error) {
    return codeOf(error);
  }
}

const issuedSchema = z.object({ lease_id: z.string(), kept: z.boolean() });

/** What a service in any language would do: one POST with its service account's token. */
async function fetchOverHttp(options: ConsumersOptions): Promise<void> {
  try {
    const token = await options.tokenOf('api-gateway');
    const answer = await fetch(`${options.leasekeeper}/v1/leases`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token.expose()}`,
        'x-vault-role': 'api-gateway',
        'content-type': 'application/json',
      },
      body: JSON.stringify({ path: 'database/creds/api-gateway', ttl: 60 }),
    });
    const ok = answer.ok && issuedSchema.safeParse(await answer.json()).success;
    options.onEvent(ok ? { kind: 'fetched', ok } : { kind: 'fetched', ok, code: `HTTP ${answer.status}` });
  } catch (error) {
    options.onEvent({ kind: 'fetched', ok: false, code: codeOf(error) });
  }
}
