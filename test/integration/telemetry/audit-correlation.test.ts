import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { startOneProcess } from '../../../lib/host/local/one-process.ts';
import { SecretsManager } from '../../../lib/index.ts';
import { type AuditLine, auditLineSchema, createAudit, hashLease } from '../../../lib/telemetry/audit.ts';
import { createLogger } from '../../../lib/telemetry/log.ts';
import { hostOn } from '../../support/host-on.ts';
import { until } from '../../support/until.ts';
import { type AuditedVault, NAMESPACE, STATE, startAuditedVault, type VaultEntry } from './audited-vault.ts';

let vault: AuditedVault;
let entries: readonly VaultEntry[];
const service: AuditLine[] = [];
const host: AuditLine[] = [];
/** All that the host logs, and the audit lines of the service. */
const written: string[] = [];
/** What must not be among it. */
const secrets: string[] = ['the-word-of-static', 'the-word-of-closed'];

beforeAll(async () => {
  vault = await startAuditedVault();
  await useSecretsManager();
  await useHost();
  entries = await vault.entries();
});
afterAll(() => vault?.[Symbol.asyncDispose]());

async function useSecretsManager(): Promise<void> {
  const manager = new SecretsManager({
    address: vault.address,
    namespace: NAMESPACE,
    auth: vault.serviceAuth,
    env: {},
    audit: createAudit({
      write: (line) => {
        written.push(JSON.stringify(line));
        service.push(line);
      },
    }),
  });
  await manager.getSecret('app/static');
  await manager.getSecret('app/static');
  await manager.getSecret('app/closed').catch(() => {});
  await manager.getSecret('app/absent').catch(() => {});
  await manager.getDynamicSecret('database/creds/closed').catch(() => {});
  const short = await manager.getDynamicSecret('database/creds/short', { fresh: true });
  await until(() => service.some(({ action }) => action === 'renew'), 10_000);
  await manager.release(short.leaseId ?? '');
  const long = await manager.getDynamicSecret('database/creds/long');
  await manager.getDynamicSecret('database/creds/long');
  for (const { data } of [short, long]) secrets.push(data.get('password'));
  await manager.cleanup();
}

async function useHost(): Promise<void> {
  const process = await startOneProcess({
    ...hostOn({ ...vault, namespace: NAMESPACE, stateMount: STATE }, { LEASEKEEPER_SCAN_INTERVAL: '30' }),
    logger: createLogger({
      level: 'info',
      name: 'test',
      destination: {
        write: (line) => {
          written.push(line);
          const parsed = auditLineSchema.safeParse(JSON.parse(line));
          if (parsed.success) host.push(parsed.data);
        },
      },
    }),
  });
  const own = { authorization: `Bearer ${vault.jwt}`, 'x-vault-role': 'api-gateway' };
  const ask = (path: string, headers: Record<string, string>, body?: unknown) =>
    fetch(`${process.address}${path}`, {
      headers: { ...headers, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
  const read = await ask('/v1/secrets/app/static', own);
  const answers = [
    read,
    await ask('/v1/secrets/app/static', { ...own, 'if-none-match': read.headers.get('etag') ?? '' }),
    await ask('/v1/secrets/app/closed', own),
    await ask('/v1/secrets/app/absent', own),
    await ask('/v1/secrets/app/static', { 'x-vault-token': 'a-token-of-nobody' }),
    await ask('/v1/secrets/app/static', { authorization: 'Bearer not.a.jwt', 'x-vault-role': 'api-gateway' }),
    await ask('/v1/leases', own, { path: 'database/creds/long' }),
    await ask('/v1/leases', own, { path: 'database/creds/long', wrap_ttl: 60 }),
  ];
  for (const answer of answers.slice(-2)) {
    const { data, wrap_info } = issuedSchema.parse(await answer.json());
    secrets.push(data?.password ?? wrap_info?.token ?? '');
  }
  const statuses = answers.map(({ status }) => status);
  await process.close();
  expect(statuses).toEqual([200, 304, 403, 404, 401, 401, 201, 201]);
}

const issuedSchema = z.object({
  data: z.object({ password: z.string() }).optional(),
  wrap_info: z.object({ token: z.string() }).optional(),
});

const lines = () => [...service, ...host];
const correlationOf = ({ request }: VaultEntry) => request.headers['x-correlation-id']?.[0];
/** The path of a secret as our lines have it; undefined for what is none. */
function secretIn({ request }: VaultEntry): string | undefined {
  const [, kept] = /^lotabots\/(app\/data\/.+|database\/creds\/.+)$/.exec(request.path) ?? [];
  return kept?.replace('app/data/', 'app/');
}
/** Vault's entries of the secret that a line is about. */
const entriesOf = (line: AuditLine) =>
  entries.filter((entry) => correlationOf(entry) === line.request_id && secretIn(entry) === line.path);

describe('our lines and the audit log of Vault', () => {
  it('are compared for every kind of access', () => {
    const kinds = (of: readonly AuditLine[]) =>
      of.map(
        ({ action, path, outcome, vault_request_id: id }) => `${action} ${path} ${outcome}${id ? ' id' : ''}`,
      );
    expect(kinds(service)).toEqual([
      'read app/static ok id',
      'read app/static ok',
      'read app/closed denied',
      'read app/absent error',
      'issue database/creds/closed denied',
      'read database/creds/closed denied',
      'issue database/creds/short ok id',
      'read database/creds/short ok id',
      'renew database/creds/short ok',
      'revoke database/creds/short ok',
      'issue database/creds/long ok id',
      'read database/creds/long ok id',
      'read database/creds/long ok',
      'revoke database/creds/long ok',
    ]);
    expect(kinds(host)).toEqual([
      'read app/static ok id',
      'read app/static ok id',
      'read app/closed denied',
      'read app/absent error',
      'read app/static denied',
      'read app/static denied',
      'issue database/creds/long ok id',
      'issue database/creds/long ok id',
    ]);
  });

  it("a line with Vault's request id has one entry: same path, same entity, and our own id", () => {
    const withId = lines().filter((line) => line.vault_request_id !== undefined);
    for (const line of withId) {
      const found = entries.filter(({ request }) => request.id === line.vault_request_id);
      expect(found).toHaveLength(1);
      expect(found.map(secretIn)).toEqual([line.path]);
      expect(found.map(correlationOf)).toEqual([line.request_id]);
      expect(found.map(({ auth }) => auth?.entity_id)).toEqual([line.who.entity]);
      expect(line.who.entity).toMatch(/^[0-9a-f-]{36}$/);
    }
    expect(withId).toHaveLength(9);
  });

  it('what was denied or is not there has no id of Vault, and one entry by ours', () => {
    const refused = lines().filter(({ outcome, code }) => outcome !== 'ok' && code !== 'caller_refused');
    for (const line of refused) {
      const found = entriesOf(line);
      expect(found).toHaveLength(1);
      expect(found.map(({ auth }) => auth?.entity_id)).toEqual([line.who.entity]);
      if (line.outcome === 'denied') expect(found[0]?.error).toContain('permission denied');
    }
    expect(refused).toHaveLength(6);
  });

  it('renewals and revocations have one entry by our id', () => {
    for (const action of ['renew', 'revoke'] as const) {
      const done = service.filter((line) => line.action === action);
      for (const { request_id, who } of done) {
        const found = entries.filter((entry) => correlationOf(entry) === request_id);
        expect(found.map(({ request }) => request.path)).toEqual([`sys/leases/${action}`]);
        expect(found.map(({ auth }) => auth?.entity_id)).toEqual([who.entity]);
      }
      expect(done.length).toBeGreaterThan(0);
    }
  });

  it('what came from the cache has no entry', () => {
    const cached = service.filter(
      ({ action, outcome, vault_request_id: id }) => action === 'read' && outcome === 'ok' && !id,
    );
    expect(cached).toHaveLength(2);
    for (const { request_id } of cached) expect(entries.map(correlationOf)).not.toContain(request_id);
  });

  it('a caller that Vault does not know has entries by our id, and none of a secret', () => {
    const unknown = host.filter(({ code }) => code === 'caller_refused');
    const paths = unknown.map((line) => {
      const found = entries.filter((entry) => correlationOf(entry) === line.request_id);
      expect(found.every(({ error = '' }) => error.includes('permission denied'))).toBe(true);
      return found.map(({ request }) => request.path);
    });
    expect(paths).toEqual([['auth/token/lookup-self'], ['auth/kubernetes/login']]);
  });

  it('each secret that Vault gave or refused us has one line, and each lease its hash', () => {
    const ours = entries.filter((entry) => entry.request.headers['x-vault-request'] && secretIn(entry));
    for (const entry of ours) {
      const found = lines().filter(
        ({ request_id, path }) => request_id === correlationOf(entry) && path === secretIn(entry),
      );
      // A service is told of what its SecretsManager asked of Vault, and that it was given it.
      const asked = found.filter(({ action }) => action === 'issue' || found.length === 1);
      expect(asked).toHaveLength(1);
      const leaseId = entry.response?.secret?.lease_id;
      if (leaseId !== undefined)
        expect(found.map(({ lease }) => lease)).toEqual(found.map(() => hashLease(leaseId)));
    }
    expect(ours).toHaveLength(12);
  });

  it('are of one token for each login', () => {
    for (const of of [service, host]) {
      const tokens = of.flatMap((line) => entriesOf(line).map(({ auth }) => auth?.accessor));
      expect(new Set(tokens).size).toBe(1);
    }
  });
});

it('who it was is in every line of a caller that Vault knows', () => {
  const { entity } = service[0]?.who ?? {};
  expect(service.map(({ who }) => who)).toEqual(service.map(() => ({ entity, role: 'inference-service' })));
  const known = host.filter(({ code }) => code !== 'caller_refused');
  for (const { who } of known)
    expect(who).toMatchObject({ role: 'api-gateway', service_account: 'lotabots/api-gateway' });
});

it('no value, token or lease id is in a line', () => {
  const leases = entries.flatMap(({ response }) => response?.secret?.lease_id ?? []);
  expect(leases.length).toBeGreaterThan(3);
  const hidden = [
    ...secrets,
    ...leases,
    ...leases.map((id) => id.split('/').at(-1) ?? ''),
    vault.jwt,
    vault.rootToken,
  ];
  expect(hidden.every((one) => one.length > 8)).toBe(true);
  const text = written.join('\n');
  expect(hidden.filter((one) => text.includes(one))).toEqual([]);
});
