import { inject } from 'vitest';
import * as z from 'zod';
import { readPolicyFile } from '../../../lib/host/setup/policy-files.ts';
import { renderPolicy } from '../../../lib/host/setup/render-policy.ts';
import {
  type AuthMethod,
  appRoleAuth,
  Secret,
  SecretsManager,
  type SecretsManagerOptions,
  type Transport,
  type TransportRequest,
} from '../../../lib/index.ts';
import { createTransport } from '../../../lib/vault/transport.ts';
import { admin, uniqueName } from '../../support/admin.ts';
import { withPostgres } from '../../support/postgres.ts';

/** `prefix`: mounts named `<namespace>/nvidia`; `namespace`: a real namespace, with logins at the root or within it. */
export type Layout = 'prefix' | 'namespace' | 'namespace-auth';

export interface GroundOptions {
  readonly layout?: Layout;
  readonly leaseTtl?: string;
  readonly leaseMaxTtl?: string;
  readonly tokenTtl?: string;
  readonly tokenMaxTtl?: string;
  /** Whether the service may revoke its leases: the services' own policies do not say so. */
  readonly mayRevoke?: boolean;
  /** Whether it may renew them, as the services' own policies say. */
  readonly mayRenew?: boolean;
  /** A state mount is made, and the service may acknowledge in it as this consumer. */
  readonly consumer?: string;
}

/** What one service finds: mounts, a database role, a policy like the services' own, an AppRole. */
export interface Ground {
  readonly namespace: string;
  readonly authNamespace: string;
  /** Leasekeeper's state mount; only with `consumer` is it there. */
  readonly stateMount: string;
  /** Every PostgreSQL role made here begins so. */
  readonly rolePrefix: string;
  readonly auth: AuthMethod;
  /** The same, for another process. */
  readonly identity: { readonly roleId: string; readonly secretId: string; readonly mount: string };
  /** Gives the service another policy from now on. */
  allow(options: Pick<GroundOptions, 'mayRenew' | 'mayRevoke'>): Promise<void>;
  readonly managers: SecretsManager[];
  readonly requests: TransportRequest[];
  /** A manager that logs in by AppRole; its requests are recorded. */
  manager(options?: SecretsManagerOptions): SecretsManager;
}

const roleIdAnswer = z.object({ data: z.object({ role_id: z.string() }) });
const secretIdAnswer = z.object({ data: z.object({ secret_id: z.string() }) });

/** `whenDone` (a test's own `onTestFinished`) has its managers cleaned up. */
export async function prepareGround(
  options: GroundOptions = {},
  whenDone: (end: () => Promise<void>) => void = () => {},
): Promise<Ground> {
  const { layout = 'prefix' } = options;
  const namespace = uniqueName('ns');
  const rolePrefix = uniqueName('sm');
  const { request } = admin(inject);
  if (layout !== 'prefix') await request('POST', `sys/namespaces/${namespace}`, {});
  const mount = (name: string, body: object) =>
    layout === 'prefix'
      ? request('POST', `sys/mounts/${namespace}/${name}`, body)
      : request('POST', `${namespace}/sys/mounts/${name}`, body);
  await mount('nvidia', { type: 'kv', options: { version: '2' } });
  await mount('inference-service', { type: 'kv', options: { version: '2' } });
  await mount('shared', { type: 'kv', options: { version: '1' } });
  await mount('database', { type: 'database' });
  await prepareDatabase(namespace, rolePrefix, options);
  const authNamespace = layout === 'namespace-auth' ? namespace : '';
  const stateMount = uniqueName('state');
  if (options.consumer !== undefined) {
    await request('POST', `sys/mounts/${stateMount}`, { type: 'kv', options: { version: '2' } });
    await request('POST', `${stateMount}/config`, { cas_required: true, max_versions: 4 });
  }
  const { auth, identity, allow } = await prepareLogin(namespace, authNamespace, { ...options, stateMount });
  const managers: SecretsManager[] = [];
  const requests: TransportRequest[] = [];
  return {
    namespace,
    authNamespace,
    stateMount,
    rolePrefix,
    auth,
    identity,
    allow,
    managers,
    requests,
    manager: (more = {}) => {
      const manager = new SecretsManager({
        address: inject('openbao').address,
        namespace,
        authNamespace,
        env: {},
        auth,
        transport: recording(requests),
        ...more,
      });
      managers.push(manager);
      whenDone(() => manager.cleanup());
      return manager;
    },
  };
}

async function prepareDatabase(namespace: string, rolePrefix: string, options: GroundOptions) {
  const { request } = admin(inject);
  const { host, port, database, user, password } = inject('postgres');
  await request('POST', `${namespace}/database/config/pg`, {
    plugin_name: 'postgresql-database-plugin',
    allowed_roles: '*',
    connection_url: `postgresql://{{username}}:{{password}}@${host}:${port}/${database}?sslmode=disable`,
    username: user,
    password,
    username_template: `${rolePrefix}-{{random 16}}`,
  });
  await request('POST', `${namespace}/database/roles/app`, {
    db_name: 'pg',
    creation_statements: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
    revocation_statements: `DROP ROLE IF EXISTS "{{name}}"`,
    default_ttl: options.leaseTtl ?? '1h',
    max_ttl: options.leaseMaxTtl ?? '24h',
  });
}

interface LoginOptions extends GroundOptions {
  readonly stateMount: string;
}

async function prepareLogin(namespace: string, authNamespace: string, options: LoginOptions) {
  const { request, read } = admin(inject);
  const within = authNamespace === '' ? '' : `${authNamespace}/`;
  const prefix = authNamespace === '' ? `${namespace}/` : '';
  const policy = uniqueName('service');
  const mount = uniqueName('approle');
  const allow: Ground['allow'] = async (changes) => {
    const rules = [policyOf(prefix, { ...options, ...changes }), await consumerPolicyOf(options)];
    await request('PUT', `${within}sys/policies/acl/${policy}`, { policy: rules.join('\n') });
  };
  await allow({});
  await request('POST', `${within}sys/auth/${mount}`, { type: 'approle' });
  await request('POST', `${within}auth/${mount}/role/service`, {
    token_policies: [policy],
    token_ttl: options.tokenTtl ?? '1h',
    token_max_ttl: options.tokenMaxTtl ?? '24h',
  });
  const role = await read(roleIdAnswer, 'GET', `${within}auth/${mount}/role/service/role-id`);
  const secret = await read(secretIdAnswer, 'POST', `${within}auth/${mount}/role/service/secret-id`, {});
  const identity = { roleId: role.data.role_id, secretId: secret.data.secret_id, mount };
  const secretId = new Secret(identity.secretId);
  return { auth: appRoleAuth({ ...identity, secretId, authNamespace }), identity, allow };
}

/** The services' own policy, the database's own path, and the namespace's leases where they are not the root's. */
function policyOf(prefix: string, { layout, mayRevoke, mayRenew = true }: GroundOptions): string {
  const rule = (path: string, capability: string) => `path "${path}" { capabilities = ["${capability}"] }`;
  const leases = layout === 'namespace' ? `${prefix}sys/leases` : 'sys/leases';
  return [
    rule(`${prefix}inference-service/*`, 'read'),
    rule(`${prefix}shared/*`, 'read'),
    rule(`${prefix}nvidia/*`, 'read'),
    rule(`${prefix}database/*`, 'read'),
    rule('auth/token/renew-self', 'update'),
    // The default policy allows it too, so leaving it out would not do.
    rule(`${leases}/renew`, mayRenew ? 'update' : 'deny'),
    ...(mayRevoke ? [rule(`${leases}/revoke`, 'update')] : []),
  ].join('\n');
}

/** What setup gives to a consumer beside its own policies. */
async function consumerPolicyOf({ consumer, stateMount }: LoginOptions): Promise<string> {
  if (consumer === undefined) return '';
  return renderPolicy(await readPolicyFile('leasekeeper-consumer'), { state: stateMount, consumer });
}

/** A real transport that keeps what it was given. */
export function recording(requests: TransportRequest[]): Transport {
  const real = createTransport({ address: inject('openbao').address });
  return {
    exchange: (request) => {
      requests.push(request);
      return real.exchange(request);
    },
    close: () => real.close(),
  };
}

/** The PostgreSQL roles that Vault made on this ground and that are still there. */
export async function liveRoles({ rolePrefix }: Ground): Promise<readonly string[]> {
  return withPostgres(inject, async (client) => {
    const { rows } = await client.query<{ rolname: string }>(
      'SELECT rolname FROM pg_roles WHERE rolname LIKE $1',
      [`${rolePrefix}-%`],
    );
    return rows.map(({ rolname }) => rolname);
  });
}

/** How many credentials were asked of Vault at a path. */
export function issued({ namespace, requests }: Ground, path: string): number {
  return requests.filter((request) => request.path === `/v1/${namespace}/${path}`).length;
}
