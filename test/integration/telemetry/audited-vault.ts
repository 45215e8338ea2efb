import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inject } from 'vitest';
import * as z from 'zod';
import { startOpenBao } from '../../../lib/host/local/openbao.ts';
import { startTokenReview } from '../../../lib/host/local/token-review.ts';
import { appRoleAuth } from '../../../lib/index.ts';
import { Secret } from '../../../lib/telemetry/secret.ts';
import type { AuthMethod } from '../../../lib/vault/auth/login.ts';
import { type Admin, adminOf } from '../../support/admin.ts';
import { openWorld } from '../../support/open-world.ts';

export const NAMESPACE = 'lotabots';
export const STATE = 'leasekeeper';

/** A response in the audit log of Vault. Every request has one, also one that was denied. */
const responseSchema = z.object({
  type: z.literal('response'),
  error: z.string().optional(),
  auth: z
    .object({
      accessor: z.string().optional(),
      display_name: z.string().optional(),
      entity_id: z.string().optional(),
    })
    .optional(),
  request: z.object({
    id: z.string(),
    path: z.string(),
    operation: z.string(),
    headers: z.record(z.string(), z.array(z.string())).default({}),
  }),
  response: z.object({ secret: z.object({ lease_id: z.string() }).optional() }).nullish(),
});
export type VaultEntry = z.infer<typeof responseSchema>;

/** An OpenBao with a real audit device, and on it what the sample services have. */
export interface AuditedVault extends AsyncDisposable {
  readonly address: string;
  readonly rootToken: string;
  readonly admin: Admin;
  /** Logs in as the service `inference-service` with an entity of its own. */
  readonly serviceAuth: AuthMethod;
  /** A service account token of `lotabots/api-gateway`, for the role `api-gateway`. */
  readonly jwt: string;
  /** The responses so far, in order. */
  entries(): Promise<readonly VaultEntry[]>;
}

const secretIdSchema = z.object({ data: z.object({ secret_id: z.string() }) });
const roleIdSchema = z.object({ data: z.object({ role_id: z.string() }) });

export async function startAuditedVault(): Promise<AuditedVault> {
  await using started = new AsyncDisposableStack();
  const folder = await mkdtemp(path.join(tmpdir(), 'leasekeeper-audit-'));
  started.defer(() => rm(folder, { recursive: true, force: true }));
  const filePath = path.join(folder, 'audit.log');
  const server = await startOpenBao({
    binary: inject('binaries').openbao,
    dataDir: path.join(folder, 'openbao'),
    // Accessors in clear, so that the test can tell tokens apart.
    audit: { name: 'audit', filePath, options: { hmac_accessor: 'false' } },
  });
  started.defer(() => server.stop());
  const admin = adminOf(server);
  const cluster = await startTokenReview({ dataDir: path.join(folder, 'cluster') });
  started.defer(() => cluster.stop());
  await prepare(admin, cluster.url);
  const role = await admin.read(roleIdSchema, 'GET', 'auth/approle/role/inference-service/role-id');
  const secret = await admin.read(
    secretIdSchema,
    'POST',
    'auth/approle/role/inference-service/secret-id',
    {},
  );
  const all = started.move();
  return {
    address: server.address,
    rootToken: server.rootToken,
    admin,
    serviceAuth: appRoleAuth({
      roleId: role.data.role_id,
      secretId: new Secret(secret.data.secret_id),
    }),
    jwt: (await cluster.sign({ namespace: NAMESPACE, name: 'api-gateway' })).expose(),
    entries: async () => {
      const lines = (await readFile(filePath, 'utf8')).split('\n').filter((line) => line !== '');
      return lines.flatMap((line) => responseSchema.safeParse(JSON.parse(line)).data ?? []);
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

async function prepare({ request, address, rootToken }: Admin, cluster: string): Promise<void> {
  const { host, port, database, user, password } = inject('postgres');
  // docs/audit.md, "Correlating with Vault's own log". The second tells our requests from those of the test.
  await request('POST', 'sys/config/auditing/request-headers/x-correlation-id', { hmac: false });
  await request('POST', 'sys/config/auditing/request-headers/x-vault-request', { hmac: false });
  for (const [mount, body] of Object.entries({
    [`${NAMESPACE}/app`]: { type: 'kv', options: { version: '2' } },
    [`${NAMESPACE}/database`]: { type: 'database' },
    [STATE]: { type: 'kv', options: { version: '2' } },
  }))
    await request('POST', `sys/mounts/${mount}`, body);
  await request('POST', `${STATE}/config`, { cas_required: true, max_versions: 2 });
  for (const name of ['static', 'closed'])
    await request('POST', `${NAMESPACE}/app/data/${name}`, { data: { word: `the-word-of-${name}` } });
  await request('POST', `${NAMESPACE}/database/config/pg`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}?sslmode=disable`,
    username: user,
    password,
    username_template: 'audit-{{random 16}}',
  });
  const statements = {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
    revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
  };
  await request('POST', `${NAMESPACE}/database/roles/short`, {
    ...statements,
    default_ttl: '3s',
    max_ttl: '1h',
  });
  await request('POST', `${NAMESPACE}/database/roles/long`, {
    ...statements,
    default_ttl: '1h',
    max_ttl: '2h',
  });
  await prepareLogins(request, cluster);
  const world = openWorld({
    address,
    rootToken,
    namespace: NAMESPACE,
    stateMount: STATE,
    rolePrefix: 'audit',
    postgres: { host, port, database },
  });
  for (const book of [world.leases, world.rotations, world.deliveries]) await book.create(1);
  await world.close();
}

async function prepareLogins(request: Admin['request'], cluster: string): Promise<void> {
  const rule = (where: string, capability: string) => `path "${where}" { capabilities = ["${capability}"] }`;
  const rules = [
    rule(`${NAMESPACE}/app/*`, 'read'),
    rule(`${NAMESPACE}/app/data/closed`, 'deny'),
    rule(`${NAMESPACE}/database/creds/closed`, 'deny'),
    rule(`${NAMESPACE}/database/creds/*`, 'read'),
    rule('sys/leases/revoke', 'update'),
  ];
  await request('PUT', 'sys/policies/acl/service', { policy: rules.join('\n') });
  await request('POST', 'sys/auth/approle', { type: 'approle' });
  await request('POST', 'auth/approle/role/inference-service', {
    token_policies: ['service'],
    token_ttl: '1h',
  });
  await request('POST', 'sys/auth/kubernetes', { type: 'kubernetes' });
  await request('POST', 'auth/kubernetes/config', {
    kubernetes_host: cluster,
    disable_local_ca_jwt: true,
    kubernetes_ca_cert: 'none',
  });
  await request('POST', 'auth/kubernetes/role/api-gateway', {
    bound_service_account_names: ['api-gateway'],
    bound_service_account_namespaces: [NAMESPACE],
    audience: 'vault',
    token_policies: ['service'],
  });
}
